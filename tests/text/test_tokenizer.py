"""Loading and running tokenizers, against transformers."""

import io
import json
import logging
import lzma
import shutil
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import decoders, models, pre_tokenizers, processors, trainers

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
    transformers = pytest.importorskip("transformers")
    legacy = pytest.importorskip("transformers.models.bert.tokenization_bert_legacy")
    path = shared_data / "vocab" / f"bert-base-{name}-vocab.txt"
    texts = lines + ADVERSARIAL
    found = load_tokenizer(path).encode_batch(texts, parse_special=True)
    fast = transformers.BertTokenizer(str(path))
    assert found == [fast(text, add_special_tokens=False)["input_ids"] for text in texts]
    python = legacy.BertTokenizerLegacy(str(path))
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
    transformers = pytest.importorskip("transformers")
    theirs = transformers.BertTokenizer(str(tmp_path / "vocab.txt"), **options)
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


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    for name, text in (("vocab.txt", "\n".join([*SPECIALS, "a"])), ("t.json", wordpiece_json())):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        plain = load_tokenizer(path)
        path.write_text(text, encoding="utf-8-sig")
        assert load_tokenizer(path).fingerprint == plain.fingerprint


def reloaded_in_transformers(tokenizer: Tokenizer, directory: Path, texts: list[str]) -> Any:
    """Assert that transformers gives equal ids and says nothing, and fingerprints stay equal.

    Returns its tokenizer.
    """
    transformers = pytest.importorskip("transformers")
    tokenizer.save(directory, model_max_length=10**6)
    messages = io.StringIO()
    handler = logging.StreamHandler(messages)
    logging.getLogger("transformers").addHandler(handler)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        theirs = transformers.AutoTokenizer.from_pretrained(directory)
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
    return theirs


def test_bert_vocabulary_reloads_in_transformers(
    tmp_path: Path, lines: list[str], shared_data: Path
) -> None:
    tokenizer = load_tokenizer(shared_data / "vocab" / "bert-base-uncased-vocab.txt")
    theirs = reloaded_in_transformers(tokenizer, tmp_path, lines + ADVERSARIAL)
    pair = theirs("one", "two three")
    assert pair["input_ids"] == [101, 2028, 102, 2048, 2093, 102]
    assert pair["token_type_ids"] == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("kind", ["wordpiece", "unigram", "bpe"])
def test_trained_tokenizers_reload_in_transformers(
    kind: str, lines: list[str], tmp_path: Path
) -> None:
    tokenizer = train_tokenizer(kind, lines[:200], 1500)
    theirs = reloaded_in_transformers(tokenizer, tmp_path, lines + ADVERSARIAL)
    pair = theirs("a [MASK].", "a")
    ids = tokenizer.encode_batch(["a [MASK].", "a"], parse_special=True)
    assert pair["input_ids"] == [2, *ids[0], 3, *ids[1], 3]
    assert pair["token_type_ids"] == [0] * (len(ids[0]) + 2) + [1] * (len(ids[1]) + 1)


def test_roberta_reloads_in_transformers(roberta: Tokenizer, tmp_path: Path) -> None:
    assert roberta.special == SpecialIds(pad=1, unk=3, cls=0, sep=2, mask=4)
    theirs = reloaded_in_transformers(roberta, tmp_path, ADVERSARIAL + SENTENCES[:4])
    pair = theirs("a", "b")["input_ids"]
    assert pair == [0, roberta.id("a"), 2, 2, roberta.id("b"), 2]


@settings(max_examples=100)
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


def test_dropout_of_merges_is_off(roberta: Tokenizer, tmp_path: Path) -> None:
    """Else one text has other ids each time; what is saved has none either."""
    content = json.loads(roberta._canonical())
    content["model"]["dropout"] = 0.9
    read = Tokenizer(content)
    assert read.encode_batch(SENTENCES * 3) == roberta.encode_batch(SENTENCES) * 3
    assert read.fingerprint == roberta.fingerprint


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
        ("vocab.txt", "", "line 1 is blank"),
        ("vocab.txt", "\n".join([*SPECIALS, "", "a"]), "line 6 is blank: every line must hold one"),
        ("vocab.txt", "\r\n".join([*SPECIALS, "a", "", ""]), "line 7 is blank"),
        ("vocab.txt", "\n".join([*SPECIALS, "a", "b", "a"]), "'a' is on lines 6 and 8"),
        ("vocab.txt", b"[PAD]\n\xff\xfe", "byte 6 is not UTF-8"),
        ("tokenizer.json", "{", "not valid JSON"),
        ("tokenizer.json", "[" * 200_000, "not valid JSON"),
        ("tokenizer.json", "[1]", "a list, not a JSON object"),
        ("tokenizer.json", '{"model": {"type": "WordPiece"}}', "no model with a vocabulary"),
        ("tokenizer.json", wordpiece_json(type="Magic"), "refuses it"),
        (
            "tokenizer.json",
            wordpiece_json(continuing_subword_prefix="@@"),
            "in no way",
        ),
        ("tokenizer.json", wordpiece_json(vocab={"a": 2**22}), "id of 4,194,304: the limit"),
        ("pytorch_model.bin", b"\x80\x04.", "pickled files are never opened"),
        ("tokenizer.pt", b"PK\x03\x04", "pickled files are never opened"),
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
    content = json.loads(wordpiece_json())
    content["model"]["vocab"]["b"] = 9
    tokenizer = Tokenizer(content)
    assert tokenizer.vocab_size == len(tokenizer.starts_word) == 10
    assert (tokenizer.token(7), tokenizer.token(9), tokenizer.id("no")) == ("", "b", None)


def test_special_tokens_spelled_out_in_a_text_are_text(shared_data: Path) -> None:
    tokenizer = load_tokenizer(shared_data / "vocab" / "bert-base-uncased-vocab.txt")
    text = "a [SEP] b [MASK] c [CLS]"
    special = {tokenizer.special.sep, tokenizer.special.mask, tokenizer.special.cls}
    plain = tokenizer.encode_batch([text])[0]
    assert not special & set(plain)
    assert [tokenizer.token(i) for i in plain][:6] == ["a", "[", "sep", "]", "b", "["]
    assert special <= set(tokenizer.encode_batch([text], parse_special=True)[0])
    assert plain == tokenizer.encode_with_offsets(text)[0] == tokenizer.encode_batch([text])[0]


def test_half_a_surrogate_pair_is_refused(roberta: Tokenizer) -> None:
    """As `sys.argv` holds for a byte that is not UTF-8."""
    text = b"ab\xff".decode("utf-8", "surrogateescape")
    with pytest.raises(UserError, match=r"'ab\\udcff' is not Unicode: character 3"):
        roberta.encode_batch(["a", text])
    with pytest.raises(UserError, match="is not Unicode"):
        roberta.encode_with_offsets(text)
