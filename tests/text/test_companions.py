"""What stands beside a tokenizer, against what transformers makes of the same directory."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import tokenizer_kinds as kinds
from hypothesis import given, settings

from bertjax.errors import UserError
from bertjax.text.tokenizer import Tokenizer, load_tokenizer

transformers = pytest.importorskip("transformers")


def both(directory: Path) -> tuple[Tokenizer, Any]:
    return load_tokenizer(directory), transformers.AutoTokenizer.from_pretrained(directory)


def assert_same_rows(ours: Tokenizer, theirs: Any, texts: list[str]) -> None:
    """Texts alone, and each with the next one as a pair."""
    ids = ours.encode_batch(texts, parse_special=True)
    alone, pairs = theirs(texts), theirs(texts[:-1], texts[1:], return_token_type_ids=True)
    assert [ours.framing.row(i)[0].tolist() for i in ids] == alone["input_ids"]
    rows = [ours.framing.row(a, b) for a, b in pairwise(ids)]
    assert [tokens.tolist() for tokens, _ in rows] == pairs["input_ids"]
    assert [types.tolist() for _, types in rows] == pairs["token_type_ids"]


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_directories_give_the_rows_of_transformers_before_and_after(kind, tmp_path) -> None:
    kinds.KINDS[kind](tmp_path / "brought")
    ours, theirs = both(tmp_path / "brought")
    assert_same_rows(ours, theirs, kinds.TEXTS)
    assert ours.vocab_size == len(theirs)
    ours.save(tmp_path / "kept")
    again, served = both(tmp_path / "kept")
    assert again.fingerprint == ours.fingerprint
    assert_same_rows(ours, served, kinds.TEXTS)


CONTRADICTIONS: dict[str, dict[str, Any]] = {
    "capitals are kept after all": {"do_lower_case": False},
    "accents are kept": {"do_lower_case": True, "strip_accents": False},
    "Chinese is one word": {"do_lower_case": True, "tokenize_chinese_chars": False},
    "a generic class has no switches": {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "do_lower_case": False,
    },
    "a mask that takes the space before it": {
        "do_lower_case": True,
        "added_tokens_decoder": {
            token["id"]: token | {"lstrip": token["content"] == "[MASK]"}
            for token in json.loads(kinds.wordpiece().to_str())["added_tokens"]
        },
    },
    "special tokens of its own": {
        "do_lower_case": True,
        "extra_special_tokens": ["house", "<new>"],
        "entity_token": "[ENT]",
    },
}


@pytest.mark.parametrize("what", CONTRADICTIONS)
def test_the_config_beside_a_tokenizer_is_believed_first(what, tmp_path) -> None:
    config = {"tokenizer_class": "BertTokenizer"} | CONTRADICTIONS[what]
    kinds.save(kinds.wordpiece(), tmp_path, "bert", **config)
    ours, theirs = both(tmp_path)
    assert_same_rows(ours, theirs, [*kinds.TEXTS, "The River HOUSE house [ENT] <new>s a [MASK]"])
    bare = tmp_path / "bare"
    kinds.save(kinds.wordpiece(), bare, "bert", tokenizer_class="PreTrainedTokenizerFast")
    generic = "tokenizer_class" in CONTRADICTIONS[what]
    assert (ours.fingerprint == load_tokenizer(bare).fingerprint) == generic


@pytest.mark.parametrize("prefix", [False, True])
def test_the_space_before_the_first_word_is_the_config_s(prefix, tmp_path) -> None:
    kinds.save(
        kinds.roberta(not prefix), tmp_path, "roberta",
        tokenizer_class="RobertaTokenizer", add_prefix_space=prefix,
    )  # fmt: skip
    ours, theirs = both(tmp_path)
    assert_same_rows(ours, theirs, kinds.TEXTS)
    assert ours.token(ours.encode_batch(["The"])[0][0]).startswith("Ġ") == prefix


def test_special_tokens_may_have_other_names(tmp_path) -> None:
    pieces = kinds.wordpiece_pieces()
    pieces[2], pieces[4] = "[BOS]", "<MASK>"
    (tmp_path / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    names = {"cls_token": "[BOS]", "mask_token": "<MASK>"}
    kinds.write(
        tmp_path,
        config={"model_type": "bert"},
        tokenizer_config={"do_lower_case": True} | names,
    )
    ours, theirs = both(tmp_path)
    assert_same_rows(ours, theirs, [*kinds.TEXTS, "a <MASK> river"])
    assert (ours.special.cls, ours.special.mask) == (2, 4)
    ours.save(tmp_path / "kept")
    assert load_tokenizer(tmp_path / "kept").special == ours.special


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"added_tokens": {"rivercity": 999}}, r"'rivercity' has id 999 there, and \d+ in the"),
        ({"added_tokens": {"new": "x"}}, "does not give every added token an id"),
        ({"tokenizer_config": {"added_tokens_decoder": [1]}}, "does not give every added token"),
        ({"tokenizer_config": {"added_tokens_decoder": {"4": {"content": 3}}}}, "no added token"),
        ({"special_tokens_map": {"additional_special_tokens": [3]}}, "3 is no added token"),
        ({"special_tokens_map": []}, "a list, not a JSON object"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(files, message, tmp_path) -> None:
    kinds.save(kinds.wordpiece(), tmp_path, "bert")
    kinds.write(tmp_path, **files)
    with pytest.raises(UserError, match=message) as refused:
        load_tokenizer(tmp_path)
    assert "\n" not in str(refused.value)


def test_lower_casing_that_cannot_be_settled_is_refused(tmp_path) -> None:
    engine = kinds.wordpiece()
    engine.normalizer = kinds.normalizers.Lowercase()
    kinds.save(engine, tmp_path, "bert", do_lower_case=False)
    with pytest.raises(UserError, match=r"lower-cases, but .* do_lower_case=False"):
        load_tokenizer(tmp_path)


@pytest.fixture(scope="module")
def marked() -> Tokenizer:
    return Tokenizer(json.loads(kinds.roberta().to_str()))


def test_markers_are_one_id_and_the_five_stay_text_in_a_corpus(marked) -> None:
    text = "a [E1] river [/E1] </s> <mask>"
    corpus = [marked.token(i) for i in marked.encode_batch([text])[0]]
    assert [piece for piece in corpus if piece.startswith("[")] == ["[E1]", "[/E1]"]
    five = set(vars(marked.special).values())
    assert not five & set(marked.encode_batch([text])[0])
    assert {marked.special.sep, marked.special.mask} <= set(
        marked.encode_batch([text], parse_special=True)[0]
    )
    assert marked.encode_with_offsets(text)[0] == marked.encode_batch([text])[0]


@settings(max_examples=100)
@given(kinds.texts)
def test_words_given_one_by_one_are_those_after_a_space(marked, text) -> None:
    spaced = marked.for_words()
    assert spaced.for_words() is spaced
    for word in text.split(" "):
        if word and not word[0].isspace() and not word.startswith(("[", "<")):
            after = marked.encode_batch([f" {word}"], parse_special=True)
            assert spaced.encode_batch([word], parse_special=True) == after
