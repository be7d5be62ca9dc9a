"""Exported directories: what transformers and the Hub make of them, and when there are none."""

from __future__ import annotations

import dataclasses
import json
import pydoc_data.topics
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import oracle_transformers as oracle
import pytest
import tiny_model
import transformers
from safetensors import safe_open

from bertjax import huggingface, model
from bertjax.config import PretrainConfig
from bertjax.errors import UserError
from bertjax.huggingface import export
from bertjax.huggingface.config_json import to_hub_config
from bertjax.huggingface.names import architecture_of
from bertjax.recipes.files import load_config
from bertjax.text.tokenizer import Tokenizer
from bertjax.text.tokenizer_training import train_tokenizer

CONFIGS = sorted((Path(__file__).resolve().parents[2] / "configs").glob("*.py"))
FILES = {
    "README.md",
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
}
UNICODE = [
    "",
    " ",
    "a",
    "naïve café, NAÏVE CAFÉ; e\u0301 versus é",
    "ﬁne ﬂow ½ ① Ⅷ ™ ㎏ ｆｕｌｌｗｉｄｔｈ",
    "漢字かな交じり文、한국어 と 𠀀𪜀",
    "عربى עברית हिन्दी ไทย",
    "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 ☃\ufe0f",
    "zero\u200bwidth\u200djoiner\ufeffbom soft\u00adhyphen",
    "tab\tnew\nline\r\nform\x0cfeed nbsp\u00a0thin\u2009em\u2003line\u2028para\u2029",
    "control\x00\x01\x7f\x85 replacement\ufffd private\ue000",
    "İstanbul ıI ß ẞ ŉ ǰ ΐ ς Σ",
    "[MASK] [CLS][SEP] [PAD] [UNK] [mask] <mask> [MASK].[MASK]",
    "x" * 300,
    "##ing ▁piece Ġbyte @@ </w>",
    "a\u0300\u0301\u0302\u0303\u0304 Zalgo ̷̡̛ text",
    "don't O'Neil's e-mail: x_y@z.com http://a.b/c?d=e&f=%20",
    "1,234.56 −7 ½ 10² 3×4 ∑∫√∞ ≠",
]


@pytest.fixture(scope="module")
def text() -> list[str]:
    topics = pydoc_data.topics.topics.values()
    return [line.strip() for topic in topics for line in topic.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def tokenizer(text) -> Tokenizer:
    return train_tokenizer("wordpiece", text[:2000], 300)


@pytest.fixture(scope="module")
def trained(tokenizer) -> tuple:
    """A config, its parameters and its tokenizer; shared, so only ever read."""
    cfg = oracle.random_config(1, vocab_size=tokenizer.vocab_size)
    return cfg, oracle.random_params(cfg, 1), tokenizer


KINDS = {
    "pretraining": ("wordpiece", {}),
    "masked-lm": ("wordpiece", {"next_sentence_head": False}),
    "roberta": (
        "unigram",
        {"family": "roberta", "next_sentence_head": False, "type_vocab_size": 1},
    ),
    "pre-norm": ("bpe", {"norm": "pre", "next_sentence_head": False}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_transformers_loads_it_and_has_nothing_to_say(kind, text, tmp_path) -> None:
    tokenizer_kind, fields = KINDS[kind]
    tokenizer = train_tokenizer(tokenizer_kind, text[:2000], 300)
    cfg = oracle.random_config(
        3, vocab_size=tokenizer.vocab_size, max_positions=320, num_layers=1, **fields
    )
    params = oracle.random_params(cfg, 3)
    out = tmp_path / "hf"
    huggingface.export_model(cfg, params, tokenizer, out, oracle.CARD, text[2000:3000])

    with oracle.complaints() as complaints:
        loaded = transformers.AutoTokenizer.from_pretrained(out)
        reference = oracle.load(out)
    assert complaints == []
    with oracle.complaints() as complaints:
        pipeline = transformers.pipeline("fill-mask", model=str(out))
        filled = pipeline(f"a {loaded.mask_token} of words", top_k=3)
    if cfg.next_sentence_head:  # the pipeline has no place for it: as with Google's BERT
        (report,) = complaints
        left_out = {line.split()[0] for line in report.splitlines() if "| UNEXPECTED" in line}
        assert left_out == {
            f"{module}.{name}"
            for module in ("bert.pooler.dense", "cls.seq_relationship")
            for name in ("weight", "bias")
        }
        assert "| MISSING" not in report and "| MISMATCH" not in report
    else:
        assert complaints == []
    special = tokenizer.special
    for line, ids in zip(UNICODE, tokenizer.encode_batch(UNICODE, parse_special=True), strict=True):
        assert loaded(line)["input_ids"] == [special.cls, *ids, special.sep], line
    assert loaded.model_max_length == 320
    assert loaded.mask_token_id == special.mask and loaded.pad_token_id == special.pad

    batch = dict(loaded(["a word", "of"], ["and more words", "x"], padding=True))
    types = np.array(batch.get("token_type_ids", np.zeros_like(batch["input_ids"])))
    assert (types.max() > 0) == (cfg.type_vocab_size > 1)
    ours = _as_our_batch(np.array(batch["input_ids"]), np.array(batch["attention_mask"]), types)
    logits = oracle.our_logits(cfg, params, ours)
    oracle.assert_same_logits(logits, oracle.their_logits(reference, ours), ours, 1e-4)

    text = tokenizer.encode_batch(["a [MASK] of words"], parse_special=True)[0]
    ids = [special.cls, *text, special.sep]
    ours = _as_our_batch(np.array([ids]), np.ones((1, len(ids))), np.zeros((1, len(ids))))
    logits = oracle.our_logits(cfg, params, ours)["masked_lm"][0, ids.index(special.mask)]
    best = np.argsort(-logits)[:3]
    assert [answer["token"] for answer in filled] == best.tolist()
    np.testing.assert_allclose(
        [answer["score"] for answer in filled], jax.nn.softmax(logits)[best], 1e-4
    )


def _as_our_batch(ids: np.ndarray, real: np.ndarray, types: np.ndarray) -> dict:
    positions = np.tile(np.arange(ids.shape[1]), (len(ids), 1))
    batch = {
        "tokens": ids,
        "token_types": types,
        "segments": real,
        "positions": positions,
        "predict_positions": positions,
        "cls_positions": np.zeros((len(ids), 1)),
        "labels": ids,
        "next_labels": np.zeros(len(ids)),
    }
    return {name: values.astype(np.int32) for name, values in batch.items()}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"next_sentence_head": False, "activation": "gelu_tanh", "type_vocab_size": 1},
        {"family": "roberta", "next_sentence_head": False, "position_offset": 1},
        {"family": "roberta", "next_sentence_head": False, "position_offset": 1, "norm": "pre"},
    ],
)
def test_import_of_export_gives_the_same_bits(fields, trained, tmp_path) -> None:
    _, _, tokenizer = trained
    cfg = oracle.random_config(7, vocab_size=tokenizer.vocab_size + 9, **fields)
    params = oracle.random_params(cfg, 7)
    out = oracle.export(cfg, params, tokenizer, tmp_path / "hf")
    back = huggingface.import_model(out)
    assert back.cfg == cfg and back.fresh == [] and back.ignored == []
    assert oracle.same_bits(back.params, params)
    assert back.tokenizer is not None and back.tokenizer.fingerprint == tokenizer.fingerprint


def test_transformers_saves_the_same_tensors_again(trained, tmp_path) -> None:
    out = oracle.export(*trained, tmp_path / "hf")
    oracle.load(out).save_pretrained(tmp_path / "again")
    with (
        safe_open(out / "model.safetensors", "np") as ours,
        safe_open(tmp_path / "again" / "model.safetensors", "np") as theirs,
    ):
        assert theirs.metadata() == {"format": "pt"}
        assert ours.metadata() == theirs.metadata() | {"tokenizer_sha256": trained[2].fingerprint}
        assert set(ours.keys()) == set(theirs.keys())
        for name in ours.keys():  # noqa: SIM118
            assert ours.get_tensor(name).tobytes() == theirs.get_tensor(name).tobytes(), name
    ours, theirs = (
        json.loads((folder / "config.json").read_text()) for folder in (out, tmp_path / "again")
    )
    assert ours["dtype"] == "float32"
    assert {key: theirs[key] for key in ours} == ours


def test_report_counts_what_is_there(trained, tmp_path) -> None:
    cfg, params, tokenizer = trained
    out = tmp_path / "deep" / "hf"
    out.mkdir(parents=True)  # an empty directory may be used
    report = huggingface.export_model(cfg, params, tokenizer, out, oracle.CARD, oracle.LINES)
    assert {file.name for file in out.iterdir()} == FILES
    assert [child.name for child in out.parent.iterdir()] == ["hf"]
    assert len({file.stat().st_mode for file in out.iterdir()}) == 1
    assert report.bytes == sum(file.stat().st_size for file in out.iterdir())
    assert report.architecture == "BertForPreTraining"
    assert report.parameters == oracle.load(out).num_parameters()


ROBERTA = {"family": "roberta", "next_sentence_head": False}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"family": "roberta"}, "train without one, data.format=full_sentences"),
        ({"norm": "pre"}, "RobertaPreLayerNormForMaskedLM"),
    ],
)
def test_models_without_a_class_are_refused(fields, message, tokenizer, tmp_path) -> None:
    cfg = oracle.random_config(1, vocab_size=tokenizer.vocab_size, **fields)
    with pytest.raises(UserError, match=message):
        oracle.export(cfg, oracle.random_params(cfg, 1), tokenizer, tmp_path / "hf")
    assert not (tmp_path / "hf").exists()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configs_can_be_exported(path) -> None:
    """When a run has ended it is too late to learn that no class holds its model."""
    trained = load_config(path, PretrainConfig).with_trained_heads().model
    sized = dataclasses.replace(trained, vocab_size=1000)
    architecture = architecture_of(sized)
    assert hasattr(transformers, architecture.name)
    to_hub_config(sized, tiny_model.SPECIAL, architecture)  # which refuses what the class lacks


def test_head_can_be_left_out(tokenizer, tmp_path) -> None:
    cfg = oracle.random_config(1, vocab_size=tokenizer.vocab_size, norm="pre")
    params = oracle.random_params(cfg, 1)
    smaller, kept = huggingface.without_next_sentence_head(cfg, params)
    oracle.load(oracle.export(smaller, kept, tokenizer, tmp_path / "hf"))
    with pytest.raises(UserError, match=r"next_sentence/classifier/bias is only in the weights"):
        oracle.export(smaller, params, tokenizer, tmp_path / "other")


def test_bad_input_is_refused_and_nothing_is_left(trained, tmp_path) -> None:
    cfg, params, tokenizer = trained

    def refuse(message, cfg=cfg, params=params, lines=oracle.LINES, out=tmp_path / "hf"):
        with pytest.raises(UserError, match=message):
            huggingface.export_model(cfg, params, tokenizer, out, oracle.CARD, lines)

    sick = jax.tree.map(np.array, params)
    sick["layer_0"]["attention"]["key"]["bias"][1] = np.nan
    refuse("layer_0/attention/key/bias has NaN", params=sick)
    refuse("999 lines", lines=oracle.LINES[:999])
    wider = dataclasses.replace(cfg, intermediate_size=cfg.intermediate_size + 1)
    refuse("has shape", cfg=wider)
    small = dataclasses.replace(cfg, vocab_size=200)
    refuse("tokenizer has 300 pieces", cfg=small, params=oracle.random_params(small, 0))
    (tmp_path / "file").write_text("x")
    refuse("exists already", out=tmp_path / "file")
    refuse("cannot be written", out=tmp_path / "file" / "hf")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious").write_text("x")
    refuse("exists already", out=tmp_path / "full")
    assert (tmp_path / "full" / "precious").read_text() == "x"
    assert {path.name for path in tmp_path.iterdir()} == {"file", "full"}


@pytest.fixture
def small_files_only() -> Iterator[None]:
    """No file may grow past 20 kB: the errors of a full disk, without one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    signal.signal(signal.SIGXFSZ, before)


@pytest.mark.usefixtures("small_files_only")
def test_full_disk_leaves_nothing(tokenizer, tmp_path) -> None:
    cfg = oracle.random_config(1, vocab_size=tokenizer.vocab_size, hidden_size=24, num_heads=2)
    params = jax.tree.map(lambda s: np.ones(s.shape, np.float32), model.abstract_params(cfg))
    with pytest.raises(UserError, match="cannot be written"):
        huggingface.export_model(cfg, params, tokenizer, tmp_path / "hf", oracle.CARD, oracle.LINES)
    assert list(tmp_path.iterdir()) == []


def test_difference_in_what_was_written_is_refused(trained, tmp_path, monkeypatch) -> None:
    cfg, params, tokenizer = trained
    write = export.write_weights

    def flip_a_bit(path, *given):
        write(path, *given)
        data = bytearray(path.read_bytes())
        data[-5] ^= 1
        path.write_bytes(data)

    with monkeypatch.context() as patch:
        patch.setattr(export, "write_weights", flip_a_bit)
        with pytest.raises(UserError, match="differs from what was written"):
            oracle.export(cfg, params, tokenizer, tmp_path / "hf")

    save = tokenizer.save

    def save_cased(directory, *options):
        save(directory, *options)
        file = directory / "tokenizer.json"
        content = json.loads(file.read_text())
        content["normalizer"]["strip_accents"] = False
        file.write_text(json.dumps(content))

    with monkeypatch.context() as patch:
        patch.setattr(tokenizer, "save", save_cased)
        with pytest.raises(UserError, match=r"the written tokenizer gives ids .* 'café"):
            oracle.export(cfg, params, tokenizer, tmp_path / "hf")
    assert list(tmp_path.iterdir()) == []
