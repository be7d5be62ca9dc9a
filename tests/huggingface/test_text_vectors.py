"""Directories of sentence-transformers load without a word and give the vectors of `encode`."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import oracle_transformers as oracle
import pytest
import torch
import transformers
from family import FAMILY

import bertjax
from bertjax import huggingface
from bertjax.errors import UserError
from bertjax.huggingface import TextVectors, declared_vectors

TEXTS = ["ab cd9, w3 w5 zq", "", "naïve 东京 ef", "a " * 20, "the [MASK] of w7", "ab"]
SYSTEMS = {
    "bert": {},  # with a pooler
    "no pooler": {"next_sentence_head": False},
    "pre": {"norm": "pre", "next_sentence_head": False},
    "albert-groups": FAMILY["albert-groups"],
    "electra": FAMILY["electra"],
    "modernbert": FAMILY["modernbert"],
}
VECTORS = {
    "mean": TextVectors("mean", False, "Said of mean."),
    "cls": TextVectors("cls", False, "Said of cls."),
    "mean, length 1": TextVectors("mean", True, "Said of length 1."),
}


def exported(tmp_path: Path, vectors: TextVectors, **fields) -> Path:
    cfg = oracle.random_config(3, **{"max_positions": 24, **fields})
    tokenizer = oracle.tiny_tokenizer(cfg.vocab_size, 0, tmp_path)
    params, out = oracle.random_params(cfg, 3), tmp_path / "hf"
    what = (cfg, params, tokenizer, out, oracle.CARD, oracle.LINES)
    report = huggingface.export_encoder(*what, vectors=vectors)
    assert report.bytes == sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
    return out


def by_hand(directory: Path) -> np.ndarray:
    """What the files say, done with transformers alone."""
    about = json.loads((directory / "sentence_bert_config.json").read_text())
    pooling = json.loads((directory / "1_Pooling" / "config.json").read_text())
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    encoder, info = transformers.AutoModel.from_pretrained(
        directory, output_loading_info=True, **about.get("model_args", {})
    )
    assert not any(info.values()), info
    assert encoder.config.hidden_size == pooling["word_embedding_dimension"]
    batch = tokenizer(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        hidden = encoder.eval()(**batch).last_hidden_state
    mask = batch["attention_mask"][..., None]
    mean = (hidden * mask).sum(1) / mask.sum(1)
    assert pooling["pooling_mode_cls_token"] != pooling["pooling_mode_mean_tokens"]
    found = hidden[:, 0] if pooling["pooling_mode_cls_token"] else mean
    if (directory / "2_Normalize").is_dir():
        found = torch.nn.functional.normalize(found, dim=1)
    return found.numpy()


@pytest.mark.parametrize("name", sorted(SYSTEMS))
def test_the_files_say_how_vectors_are_made(name, tmp_path) -> None:
    directory = exported(tmp_path, VECTORS["cls"], **SYSTEMS[name])
    ours = bertjax.load(directory).encode(TEXTS, pooling="cls")
    np.testing.assert_allclose(by_hand(directory), ours, rtol=0, atol=1e-5)


CASES = [("bert", name) for name in sorted(VECTORS)] + [
    (name, "mean") for name in sorted(SYSTEMS) if name != "bert"
]


@pytest.mark.parametrize(("name", "how"), CASES)
def test_sentence_transformers_gives_the_same(name, how, tmp_path, capfd, caplog) -> None:
    library = pytest.importorskip("sentence_transformers", reason="the oracle of its directories")
    vectors = VECTORS[how]
    directory = exported(tmp_path, vectors, **SYSTEMS[name])
    capfd.readouterr()
    loggers = [logging.getLogger(one) for one in ("transformers", "sentence_transformers")]
    propagated = [one.propagate for one in loggers]
    transformers.utils.logging.disable_progress_bar()
    try:
        for one in loggers:
            one.propagate = True
        with oracle.complaints() as messages:
            model = library.SentenceTransformer(str(directory), device="cpu")
            theirs = model.encode(TEXTS, batch_size=4, show_progress_bar=False)
    finally:
        transformers.utils.logging.enable_progress_bar()
        for one, propagate in zip(loggers, propagated, strict=True):
            one.propagate = propagate
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert not messages and not said and capfd.readouterr().err == ""
    assert model.max_seq_length == 24 and len(model) == 2 + vectors.normalize
    ours = bertjax.load(directory).encode(
        TEXTS, pooling=vectors.pooling, normalize=vectors.normalize
    )
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-5)
    # As the directory says, in the words of this version and, saved again, in those of the library.
    np.testing.assert_array_equal(bertjax.load(directory).encode(TEXTS), ours)
    model.max_seq_length = 23
    model.save(str(tmp_path / "again"))
    declared = (declared_vectors(at) for at in (directory, tmp_path / "again"))
    assert [one.longest for one in declared if one] == [24, 23]
    np.testing.assert_array_equal(bertjax.load(tmp_path / "again").encode(TEXTS), ours)
    card = (directory / "README.md").read_text()
    assert 'library_name: "sentence-transformers"' in card and vectors.trained in card


def test_options_have_precedence_over_what_a_directory_says(tmp_path) -> None:
    model = bertjax.load(exported(tmp_path, VECTORS["mean, length 1"]))
    assert np.linalg.norm(model.encode(["w3"])) == pytest.approx(1)
    assert np.linalg.norm(model.encode(["w3"], normalize=False)) != pytest.approx(1)
    np.testing.assert_array_equal(
        model.encode(["w3 w5"], pooling="cls"), model.encode(["w3 w5"], "cls", normalize=True)
    )


def change(name: str, edit):
    def spoil(directory: Path) -> None:
        path = directory / name
        path.write_text(json.dumps(edit(json.loads(path.read_text()))))

    return spoil


ABOUT, PROMPTS = "sentence_bert_config.json", "config_sentence_transformers.json"


@pytest.mark.parametrize(
    ("file", "key"), [(ABOUT, "max_seq_length"), ("tokenizer_config.json", "model_max_length")]
)
def test_a_text_that_the_directory_cuts_is_refused_unless_all_is_asked_for(file, key, tmp_path):
    """Version 6 has the number with the tokenizer, those before with the encoder."""
    directory = exported(tmp_path, VECTORS["mean"])
    change(ABOUT, lambda _: {})(directory)
    change(file, lambda old: old | {key: 5})(directory)
    model = bertjax.load(directory)
    assert model.encode(["w3 w4 w5"]).shape[0] == 1
    with pytest.raises(UserError, match=r"'w3 w4 w5 w6' has 6 tokens, .* after 5: shorten it, or "):
        model.encode(["w3", "w3 w4 w5 w6"])
    assert np.isfinite(model.encode(["w3 w4 w5 w6"], "mean", normalize=False)).all()


DENSE = {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"}


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (change("1_Pooling/config.json", lambda _: {"pooling_mode": "max"}), "pools by max"),
        (
            change("1_Pooling/config.json", lambda old: old | {"pooling_mode_max_tokens": True}),
            r"pools by \['mean', 'pooling_mode_max_tokens'\]",
        ),
        (change("modules.json", lambda old: [*old, DENSE]), "by Transformer, Pooling, Dense"),
        (
            change(
                PROMPTS, lambda old: old | {"prompts": {"q": "a: "}, "default_prompt_name": "q"}
            ),
            r"puts 'a: ' before every text \(default_prompt_name='q'\)",
        ),
        (change(ABOUT, lambda old: old | {"do_lower_case": True}), "has do_lower_case=True and"),
        (change(ABOUT, lambda old: old | {"max_seq_length": "8"}), "max_seq_length='8' is no int"),
        (change("modules.json", lambda _: {}), "no list of modules"),
        (change("modules.json", lambda _: [{"type": 1}]), "no list of modules"),
        (change("modules.json", lambda _: [{"type": "x", "path": "../x"}]), "no list of modules"),
        (lambda at: (at / "modules.json").write_text("{"), "modules.json is not valid JSON"),
        (lambda at: (at / "1_Pooling" / "config.json").unlink(), "config.json is missing"),
    ],
)
def test_vectors_that_are_made_otherwise_are_refused_unless_asked_for(spoil, said, tmp_path):
    directory = exported(tmp_path, VECTORS["mean"])
    spoil(directory)
    model = bertjax.load(directory)
    with pytest.raises(UserError, match=said):
        model.encode(["w3"])
    assert np.isfinite(model.encode(["w3"], "cls", normalize=False)).all()


def test_prompts_and_cases_that_change_nothing_are_read(tmp_path) -> None:
    directory = exported(tmp_path, VECTORS["mean"])
    plain = bertjax.load(directory).encode(["W3 w5"])
    prompts = {"query": "ask: ", "document": ""}
    for name in (None, "document"):
        said = {"prompts": prompts, "default_prompt_name": name}
        (directory / PROMPTS).write_text(json.dumps(said))
        np.testing.assert_array_equal(bertjax.load(directory).encode(["W3 w5"]), plain)
    change("tokenizer_config.json", lambda old: old | {"do_lower_case": True})(directory)
    change(ABOUT, lambda old: old | {"do_lower_case": True})(directory)
    np.testing.assert_array_equal(bertjax.load(directory).encode(["W3 w5"]), plain)
