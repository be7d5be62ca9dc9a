"""Loading and running tokenizers, against transformers and the sentencepiece runtime."""

import io
import json
import logging
import lzma
import re
import shutil
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import sentencepiece
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from sentencepiece import sentencepiece_model_pb2 as proto
from tokenizers import decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, BertTokenizer
from transformers.models.bert.tokenization_bert_legacy import BertTokenizerLegacy

from bertjax.errors import UserError
from bertjax.text import tokenizer as tokenizer_module
from bertjax.text.tokenizer import SpecialIds, Tokenizer, load_tokenizer
from bertjax.text.tokenizer_training import train_tokenizer

PRIVATE_USE = "\ud7ff\ue000\ufffd"  # beside the surrogates
ADVERSARIAL = [
    *("", "  ", "[MASK]", " [MASK].", "a [MASK] b[SEP]c", "[mask]", "[UNK][PAD] [CLS]", "##ing"),
    *(
        "e\u0301 \u0301x n\u0303o\u0308",
        "cafe\u0327",
        "İstanbul ẞ ǅ ﬁ ½",
        "👩\u200d👩\u200d👧 👍🏽 🇫🇷",
    ),
    *("שָׁלוֹם עברית", "مرحبا بالعالم", "a\x00b\x07c\u200e", "\x7f\x80\xad\ufeff", PRIVATE_USE),
    *(
        "ｆｕｌｌ－ｗｉｄｔｈ　１２",
        "한국어 ㅎ 각\u1100\u1161",
        "ภาษาไทย",
        "हिन्दी",
        "ｶﾞ カタカナ ひらがな",
    ),
    *("中文English混排", "\U0002f800\U00020000𝔘", "a\tb\nc\rd\u2028e\u0085f", "▁a ▁▁ Ġb"),
    *(
        "x" * 100,
        "x" * 101,
        "x" * 5000,
        'don\'t "stop"... e-mail: a_b@c.d $1,234.56 != ~',
        "-" * 99,
    ),
]
SENTENCES = [
    "The quick brown fox jumps over the lazy dog.",
    "Whole words, hyphen-ated words; and numbers 1990 or 3.14!",
    "  Odd   white space, naïve café, ＷＩＤＥ and 😀 emoji. ",
    "He said that they were reading the other readers' books.",
] * 20


@pytest.fixture(scope="module")
def lines(shared_data: Path) -> list[str]:
    """English and Chinese paragraphs."""
    texts = []
    for name, count in (("en_wiki", 300), ("zh_wiki", 200)):
        with lzma.open(shared_data / name / "valid.txt.xz", "rt", encoding="utf-8") as file:
            texts += [line for line in map(str.strip, file) if line][:count]
    return texts


@pytest.fixture(scope="module")
def roberta() -> Tokenizer:
    """A byte-level BPE as RoBERTa's, trained by `tokenizers` alone."""
    engine = tokenizers.Tokenizer(models.BPE())
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    engine.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    engine.train_from_iterator(SENTENCES, trainer)
    engine.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return Tokenizer(json.loads(engine.to_str()))


@pytest.mark.parametrize("name", ["uncased", "chinese"])
def test_original_vocabularies_give_the_ids_of_transformers(
    name: str, lines: list[str], shared_data: Path
) -> None:
    path = shared_data / "vocab" / f"bert-base-{name}-vocab.txt"
    texts = lines + ADVERSARIAL
    found = load_tokenizer(path).encode_batch(texts, parse_special=True)
    fast = BertTokenizer(str(path))
    assert found == [fast(text, add_special_tokens=False)["input_ids"] for text in texts]
    python = BertTokenizerLegacy(str(path))
    for text, ids in zip(texts, found, strict=True):
        # Python's category Co is a control character to it; to the Rust engine it is not.
        if text != PRIVATE_USE:
            assert ids == python(text, add_special_tokens=False)["input_ids"], text


@pytest.mark.parametrize("options", [{"do_lower_case": False}, {"strip_accents": False}])
def test_vocabulary_options_come_from_the_config_beside_it(
    options: dict[str, bool], tmp_path: Path, shared_data: Path
) -> None:
    shutil.copy(shared_data / "vocab" / "bert-base-uncased-vocab.txt", tmp_path / "vocab.txt")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(options))
    theirs = BertTokenizer(str(tmp_path / "vocab.txt"), **options)
    found = load_tokenizer(tmp_path).encode_batch(ADVERSARIAL, parse_special=True)
    assert found == theirs(ADVERSARIAL, add_special_tokens=False)["input_ids"]


SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


@pytest.mark.parametrize(
    ("pieces", "cased"), [(["a", "##b"], False), (["<S>", "[Z]"], False), (["a", "##B"], True)]
)
def test_capitals_tell_a_cased_vocabulary(pieces: list[str], cased: bool, tmp_path: Path) -> None:
    path = tmp_path / "vocab.txt"
    path.write_text("\r\n".join([*SPECIALS, "x", "X", *pieces][: 6 + cased] + pieces) + "\r\n")
    tokenizer = load_tokenizer(path)
    assert tokenizer.token(tokenizer.encode_batch(["X"])[0][0]) == ("X" if cased else "x")


def reloads_in_transformers(tokenizer: Tokenizer, directory: Path, texts: list[str]) -> None:
    """Assert that transformers gives equal ids and says nothing, and fingerprints stay equal."""
    tokenizer.save(directory, model_max_length=10**6)
    messages = io.StringIO()
    handler = logging.StreamHandler(messages)
    logging.getLogger("transformers").addHandler(handler)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        theirs = AutoTokenizer.from_pretrained(directory)
        given_ids = theirs(texts, add_special_tokens=False)["input_ids"]
        theirs.save_pretrained(directory / "again")
    logging.getLogger("transformers").removeHandler(handler)
    assert messages.getvalue() == ""
    assert given_ids == tokenizer.encode_batch(texts, parse_special=True)
    assert theirs.model_max_length == 10**6
    roles = asdict(tokenizer.special)
    assert {role: getattr(theirs, f"{role}_token_id") for role in roles} == roles
    cls, sep = tokenizer.special.cls, tokenizer.special.sep
    assert theirs("ab")["input_ids"] == [cls, *tokenizer.encode_batch(["ab"])[0], sep]
    assert load_tokenizer(directory).fingerprint == tokenizer.fingerprint
    assert load_tokenizer(directory / "again").fingerprint == tokenizer.fingerprint


def test_bert_vocabulary_reloads_in_transformers(
    tmp_path: Path, lines: list[str], shared_data: Path
) -> None:
    tokenizer = load_tokenizer(shared_data / "vocab" / "bert-base-uncased-vocab.txt")
    reloads_in_transformers(tokenizer, tmp_path, lines + ADVERSARIAL)
    pair = AutoTokenizer.from_pretrained(tmp_path)("one", "two three")
    assert pair["input_ids"] == [101, 2028, 102, 2048, 2093, 102]
    assert pair["token_type_ids"] == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("kind", ["wordpiece", "unigram", "bpe"])
def test_trained_tokenizers_reload_in_transformers(
    kind: str, lines: list[str], tmp_path: Path
) -> None:
    tokenizer = train_tokenizer(kind, lines[:200], 1500)
    reloads_in_transformers(tokenizer, tmp_path, lines + ADVERSARIAL)
    pair = AutoTokenizer.from_pretrained(tmp_path)("a [MASK].", "a")
    ids = tokenizer.encode_batch(["a [MASK].", "a"], parse_special=True)
    assert pair["input_ids"] == [2, *ids[0], 3, *ids[1], 3]
    assert pair["token_type_ids"] == [0] * (len(ids[0]) + 2) + [1] * (len(ids[1]) + 1)


def test_roberta_reloads_in_transformers(roberta: Tokenizer, tmp_path: Path) -> None:
    assert roberta.special == SpecialIds(pad=1, unk=3, cls=0, sep=2, mask=4)
    reloads_in_transformers(roberta, tmp_path, ADVERSARIAL + SENTENCES[:4])
    pair = AutoTokenizer.from_pretrained(tmp_path)("a", "b")["input_ids"]
    assert pair == [0, roberta.id("a"), 2, 2, roberta.id("b"), 2]


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=60))
def test_byte_level_ids_and_offsets_hold_all_the_text(roberta: Tokenizer, text: str) -> None:
    ids, offsets = roberta.encode_with_offsets(text)
    assert [ids] == roberta.encode_batch([text])
    assert roberta.decode(ids) == text
    assert sorted(offsets) == offsets
    covered = {i for begin, end in offsets for i in range(begin, end)}
    assert covered >= {i for i, character in enumerate(text) if not character.isspace()}


def test_fingerprint_ignores_truncation_and_padding_and_nothing_else(roberta: Tokenizer) -> None:
    engine = tokenizers.Tokenizer.from_str(roberta._canonical())
    engine.enable_truncation(7)
    engine.enable_padding(length=9)
    cut = Tokenizer(json.loads(engine.to_str()))
    assert cut.fingerprint == roberta.fingerprint
    assert cut.encode_batch(SENTENCES) == roberta.encode_batch(SENTENCES)
    engine.normalizer = tokenizers.normalizers.Lowercase()
    assert Tokenizer(json.loads(engine.to_str())).fingerprint != roberta.fingerprint


def test_bare_tokenizer_json_is_completed() -> None:
    """A file whose special tokens are plain pieces, without a post-processor."""
    vocabulary = {piece: i for i, piece in enumerate([*SPECIALS, "mask", "a"])}
    engine = tokenizers.Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    engine.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer = Tokenizer(json.loads(engine.to_str()))
    assert tokenizer.encode_batch(["a [MASK]"], parse_special=True) == [[6, 4]]
    completed = tokenizers.Tokenizer.from_str(tokenizer._canonical())
    pair = completed.encode("a", "mask")
    assert (pair.ids, pair.type_ids) == ([2, 6, 3, 5, 3], [0, 0, 0, 1, 1])


@pytest.fixture(scope="module")
def sentencepiece_model(lines: list[str]) -> Callable[..., bytes]:
    """Train with sentencepiece's own normalization, as others do."""

    def train(kind: str, rule: str, **options: object) -> bytes:
        model = io.BytesIO()
        arguments = {
            "control_symbols": ["[MASK]"],
            **{"pad_id": 0, "unk_id": 1, "bos_id": 2, "eos_id": 3},
            **{"pad_piece": "<pad>", "bos_piece": "[CLS]", "eos_piece": "[SEP]"},
            **options,
        }
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines[:200]),
            model_writer=model,
            model_type=kind,
            vocab_size=1200,
            normalization_rule_name=rule,
            minloglevel=2,
            **arguments,
        )
        return model.getvalue()

    return train


ODD_ENGLISH = [
    *("", " ", "   ", "Leading", "  two  spaces ", "tab\tand\nnewline\r\nhere", "no\u00a0break"),
    *(
        "naïve café Ünïcödé",
        "nai\u0308ve cafe\u0301",
        "ＦＵＬＬ　ｗｉｄｔｈ",
        "ﬁne ½ №",
        "😀 👍🏽 x😀y",
    ),
]


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
@pytest.mark.parametrize("rule", ["nmt_nfkc", "nmt_nfkc_cf"])
def test_model_file_gives_the_ids_of_sentencepiece(
    kind: str,
    rule: str,
    lines: list[str],
    sentencepiece_model: Callable[..., bytes],
    tmp_path: Path,
) -> None:
    model = sentencepiece_model(kind, rule)
    (tmp_path / "spm.model").write_bytes(model)
    tokenizer = load_tokenizer(tmp_path)
    runtime = sentencepiece.SentencePieceProcessor(model_proto=model)
    # A run such as 000 ties ("0" + "00", "00" + "0") and float rounding decides; see the module.
    texts = [line for line in lines[200:300] if not re.search(r"(.)\1\1", line)] + ODD_ENGLISH
    assert len(texts) > 80
    assert tokenizer.encode_batch(texts) == runtime.encode(texts)
    assert tokenizer.special == SpecialIds(pad=0, unk=1, cls=2, sep=3, mask=4)


def test_user_defined_symbols_of_a_unigram_model_are_kept(
    sentencepiece_model: Callable[..., bytes], lines: list[str], tmp_path: Path
) -> None:
    """As in the models of google-research/albert."""
    model = sentencepiece_model("unigram", "nmt_nfkc_cf", user_defined_symbols=["(", ")", "-", "£"])
    (tmp_path / "spm.model").write_bytes(model)
    texts = ["(a) well-known £5 ((x))--", *lines[200:250]]
    runtime = sentencepiece.SentencePieceProcessor(model_proto=model)
    assert load_tokenizer(tmp_path).encode_batch(texts) == runtime.encode(texts)


@pytest.mark.parametrize(
    ("kind", "options", "reason"),
    [
        ("bpe", {"user_defined_symbols": ["("]}, "user_defined_symbols"),
        ("unigram", {"byte_fallback": True}, "byte_fallback"),
        ("unigram", {"treat_whitespace_as_suffix": True}, "treat_whitespace_as_suffix"),
        ("unigram", {"remove_extra_whitespaces": False}, "remove_extra_whitespaces"),
        ("unigram", {"add_dummy_prefix": False}, "add_dummy_prefix"),
        ("unigram", {"split_by_whitespace": False}, "spans words"),
        ("word", {"hard_vocab_limit": False}, "neither unigram nor bpe"),
        ("unigram", {"control_symbols": ["[M]"]}, r"no \[MASK\] or <mask> among its 1200 pieces"),
    ],
)
def test_models_without_an_exact_equivalent_are_refused(
    kind: str,
    options: dict[str, object],
    reason: str,
    sentencepiece_model: Callable[..., bytes],
    tmp_path: Path,
) -> None:
    path = tmp_path / "spm.model"
    path.write_bytes(sentencepiece_model(kind, "nmt_nfkc", **options))
    with pytest.raises(UserError, match=reason) as refused:
        load_tokenizer(path)
    assert str(refused.value).startswith(f"{path}: ") and "\n" not in str(refused.value)


def test_a_conversion_that_changes_ids_is_refused(
    sentencepiece_model: Callable[..., bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "spm.model"
    path.write_bytes(sentencepiece_model("unigram", "nmt_nfkc_cf"))
    # A table that SentencePiece applies and the conversion would lose.
    monkeypatch.setattr(
        "tokenizers.normalizers.Precompiled", lambda _: tokenizers.normalizers.NFD()
    )
    with pytest.raises(UserError, match="cannot be converted exactly"):
        load_tokenizer(path)


def wordpiece_json(**model: object) -> str:
    vocabulary = {piece: i for i, piece in enumerate([*SPECIALS, "a"])}
    engine = tokenizers.Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    content = json.loads(engine.to_str())
    content["model"].update(model)
    return json.dumps(content)


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("vocab.txt", "a\nb\n", r"no \[PAD\] or <pad>, no \[UNK\].* among its 2 pieces"),
        ("vocab.txt", "", "no .* among its 1 pieces"),
        ("vocab.txt", "\n".join([*SPECIALS, "a", "b", "a"]), "'a' is on lines 6 and 8"),
        ("vocab.txt", b"[PAD]\n\xff\xfe", "byte 6 is not UTF-8"),
        ("tokenizer.json", "{", "not valid JSON"),
        ("tokenizer.json", "[" * 200_000, "not valid JSON"),
        ("tokenizer.json", "[1]", "a list, not a JSON object"),
        ("tokenizer.json", '{"model": {"type": "WordPiece"}}', "no model with a vocabulary"),
        ("tokenizer.json", wordpiece_json(type="Magic"), "refuses it"),
        ("tokenizer.json", wordpiece_json(continuing_subword_prefix="@@"), "does not mark words"),
        ("tokenizer.json", wordpiece_json(vocab={"a": 2**22}), "id of 4,194,304: the limit"),
        ("spm.model", b"\x00\x01not a protobuf", "not a SentencePiece model"),
        ("spm.model", b"", "not a SentencePiece model"),
        ("pytorch_model.bin", b"\x80\x04.", "pickled files are never opened"),
        ("tokenizer.pkl", b"\x80\x04.", "pickled files are never opened"),
    ],
)
def test_bad_files_are_refused_in_one_line(
    name: str, data: str | bytes, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    with pytest.raises(UserError, match=reason) as refused:
        load_tokenizer(path)
    assert str(refused.value).startswith(f"{path}: ") and "\n" not in str(refused.value)


def test_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such tokenizer"):
        load_tokenizer(tmp_path / "nowhere")
    with pytest.raises(UserError, match="holds no tokenizer"):
        load_tokenizer(tmp_path)


def test_oversized_files_are_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tokenizer.json"
    with path.open("wb") as file:
        file.truncate((64 << 20) + 1)  # sparse
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("it was read"))
    with pytest.raises(UserError, match=r"67,108,865 bytes is too large .* 67,108,864"):
        load_tokenizer(path)


def test_oversized_vocabularies_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer_module, "MAX_VOCABULARY", 5)
    with pytest.raises(UserError, match="6 pieces: the limit is 5"):
        Tokenizer(json.loads(wordpiece_json()))


def test_a_panic_in_the_library_is_a_user_error(capfd: pytest.CaptureFixture[str]) -> None:
    """A damaged table of special tokens makes the Rust code panic, which is no `Exception`."""
    content = json.loads(wordpiece_json())
    content["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}],
        "pair": [],
        "special_tokens": {},
    }
    with pytest.raises(UserError, match="refuses it"):
        Tokenizer(content)


def test_holes_in_the_ids_are_counted(tmp_path: Path) -> None:
    proto_free = json.loads(wordpiece_json())
    proto_free["model"]["vocab"]["b"] = 9
    tokenizer = Tokenizer(proto_free)
    assert tokenizer.vocab_size == len(tokenizer.starts_word) == 10
    assert (tokenizer.token(7), tokenizer.token(9), tokenizer.id("no")) == ("", "b", None)


def test_corrupted_models_never_escape(
    sentencepiece_model: Callable[..., bytes],
) -> None:
    """Flip pieces of a model into what protobuf still reads."""
    from bertjax.text.sentencepiece_json import engine_from_model

    for damage in ("piece", "charsmap", "type"):
        parsed = proto.ModelProto.FromString(sentencepiece_model("unigram", "nmt_nfkc"))
        if damage == "charsmap":
            parsed.normalizer_spec.precompiled_charsmap = b"\x04\x00\x00\x00abcd"
        data = parsed.SerializeToString()
        if damage == "piece":
            data = data.replace("▁the".encode(), b"\xff\xfe\x81the", 1)
        if damage == "type":
            data = data[: len(data) // 2]
        with pytest.raises(UserError, match="not a SentencePiece model, or damaged"):
            engine_from_model(data, "spm.model")


def test_special_tokens_spelled_out_in_a_text_are_text(shared_data):
    tokenizer = load_tokenizer(shared_data / "vocab" / "bert-base-uncased-vocab.txt")
    text = "a [SEP] b [MASK] c [CLS]"
    special = {tokenizer.special.sep, tokenizer.special.mask, tokenizer.special.cls}
    plain = tokenizer.encode_batch([text])[0]
    assert not special & set(plain)
    assert [tokenizer.token(i) for i in plain][:6] == ["a", "[", "sep", "]", "b", "["]
    assert special <= set(tokenizer.encode_batch([text], parse_special=True)[0])
    assert plain == tokenizer.encode_with_offsets(text)[0] == tokenizer.encode_batch([text])[0]
