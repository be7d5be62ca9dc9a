"""Words that a tokenizer is given as pieces: whole ones alone, and nothing else changes."""

from __future__ import annotations

import lzma
from collections import Counter
from pathlib import Path

import pytest
import tokenizer_kinds
from hypothesis import given, settings
from hypothesis import strategies as st

from bertjax.errors import UserError
from bertjax.text.new_words import NewWord
from bertjax.text.tokenizer import Tokenizer, load_tokenizer

transformers = pytest.importorskip("transformers")

KINDS = sorted(tokenizer_kinds.KINDS)
DOMAIN = (
    "The electrode met the carousel. Electrodes, an electrode and (electrode) electrode's; the "
    "electrode_x x_electrode electrode2 preelectrode electrode-carousel: carousels 我electrode "
    "electrode\nelectrode carousel carousel's."
)
# The space before a word goes with it, and what follows would begin a word of its own.
PREFIXES_EVERYTHING = "xlm-roberta"


@pytest.fixture(scope="session")
def grown(once):
    """Kind -> the tokenizer, and the same with its four costliest words of `DOMAIN`."""
    made: dict[str, tuple[Tokenizer, Tokenizer]] = {}

    def of(kind: str) -> tuple[Tokenizer, Tokenizer]:
        if kind not in made:
            made[kind] = _grown(once(f"kind {kind}".replace(" ", "-"), tokenizer_kinds.KINDS[kind]))
        return made[kind]

    return of


def _grown(directory: Path) -> tuple[Tokenizer, Tokenizer]:
    old = load_tokenizer(directory)
    return old, old.with_words([word.piece for word in chosen(old)])


def chosen(old: Tokenizer) -> list[NewWord]:
    found = old.costly_words(Counter(old.words_of(DOMAIN)))
    return [word for word in found if word.piece.strip("Ġ") in ("electrode", "carousel")]


def expanded(old: Tokenizer, new: Tokenizer, ids: list[int], like: list[int]) -> list[int]:
    """Ids with the old pieces of each new one in its place; without its mark where `like` is so."""
    made: list[int] = []
    pieces = {new.id(word.piece): word for word in chosen(old)}
    for i in ids:
        alone, old_ids = [i], [i]
        if i in pieces:
            old_ids = list(pieces[i].old)
            dot, both = old.encode_batch([".", f".{pieces[i].piece}"])
            alone = both[len(dot) :] if old.mark == "▁" else old_ids
        rest = like[len(made) :]
        made += old_ids if rest[: len(old_ids)] == old_ids else alone
    return made


PARTS = (
    *("electrode", "Electrode", "carousel", "s", "pre", "The", "river", "é", "我", "ß", "2", "_"),
    *(" ", " ", "  ", "\n", "'s", ", ", ".", "-", "(", ") ", "[MASK]", " <mask>", "[E1]", "[/E1]"),
)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != PREFIXES_EVERYTHING])
@settings(max_examples=100)
@given(parts=st.lists(st.sampled_from(PARTS), max_size=25))
def test_new_words_take_the_place_of_their_pieces_and_nothing_else_changes(grown, kind, parts):
    old, new = grown(kind)
    for parse in (False, True):
        before, after = (
            one.encode_batch(["".join(parts)], parse_special=parse)[0] for one in (old, new)
        )
        assert expanded(old, new, after, before) == before


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=50)
@given(text=tokenizer_kinds.texts)
def test_text_without_new_words_keeps_its_ids(grown, kind, text):
    old, new = grown(kind)
    for parse in (False, True):
        texts = [text, *tokenizer_kinds.TEXTS]
        before = old.encode_batch(texts, parse_special=parse)
        assert new.encode_batch(texts, parse_special=parse) == before


@pytest.mark.parametrize("kind", KINDS)
def test_whole_words_alone_are_new_and_begin_words(grown, kind):
    old, new = grown(kind)
    assert new.vocab_size - old.vocab_size >= 2
    assert [new.token(i) for i in range(old.vocab_size)] == list(
        map(old.token, range(old.vocab_size))
    )
    (ids,) = new.encode_batch(["an electrode, electrodes preelectrode electrode_x electrode2"])
    electrode = new.id("electrode") if new.mark != "Ġ" else new.id("Ġelectrode")
    byte_level = new.mark == "Ġ"  # whose words end at digits and at underscores
    assert ids.count(electrode) == (3 if byte_level else 1)
    assert new.starts_word[electrode] and not new.white[electrode]


@pytest.mark.parametrize("kind", KINDS)
def test_transformers_gives_the_same_ids(grown, kind, tmp_path):
    _, new = grown(kind)
    new.save(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    for text in (DOMAIN, *tokenizer_kinds.TEXTS):
        ours = new.encode_batch([text], parse_special=True)[0]
        assert theirs(text, add_special_tokens=False)["input_ids"] == ours
    assert load_tokenizer(tmp_path).fingerprint == new.fingerprint


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != PREFIXES_EVERYTHING])
def test_what_a_word_saves_is_what_the_text_has_fewer(grown, kind):
    old, new = grown(kind)
    after_spaces = DOMAIN.replace("(", "").replace("-", " ")
    found = old.costly_words(Counter(old.words_of(after_spaces)))
    assert found == sorted(found, key=lambda word: -word.saved)
    before, after = (len(one.encode_batch([after_spaces])[0]) for one in (old, new))
    saved = {word.piece: word.saved for word in found}
    assert before - after == sum(saved[word.piece] for word in chosen(old)) > 0


def test_a_byte_level_document_decodes_to_itself(grown):
    _, new = grown("roberta")
    (ids,) = new.encode_batch([DOMAIN])
    assert new.decode(ids) == DOMAIN and max(ids) > 420


def test_a_word_is_letters_that_occur_twice_and_are_known(grown):
    old, _ = grown("wordpiece")
    counts = Counter({"electrode": 1, "rivers2": 9, "北京大学": 9, "ϣϣ": 9, "the": 9, "cafés": 2})
    assert [word.piece for word in old.costly_words(counts)] in ([], ["cafés"])


def test_merges_that_leave_out_a_piece_are_refused(grown):
    old, _ = grown("roberta")
    model = old._content["model"]
    content = old._content | {"model": model | {"vocab": model["vocab"] | {"Ġzzqq": 423}}}
    content["added_tokens"] = [t for t in content["added_tokens"] if t["id"] < 420]
    with pytest.raises(UserError, match="do not make 1 of its own pieces, such as 'Ġzzqq'"):
        Tokenizer(content).with_words(["Ġelectrode"])


def test_five_hundred_words_of_a_real_vocabulary(shared_data):
    """Python's proposals in BERT's pieces: each new id is its word's old ones, wherever it is."""
    old = load_tokenizer(shared_data / "vocab" / "bert-base-uncased-vocab.txt")
    texts = {}
    for name in ("en_peps/peps.txt.xz", "en_wiki/valid.txt.xz"):
        with lzma.open(shared_data / name, "rt", encoding="utf-8") as file:
            texts[name] = file.read(600_000).split("\n\n")
    domain, general = texts.values()
    counts = Counter(word for text in domain for word in old.words_of(text))
    words = old.costly_words(counts)[:500]
    new = old.with_words([word.piece for word in words])
    assert len(words) == 500 == new.vocab_size - old.vocab_size
    pieces = {old.vocab_size + i: word.old for i, word in enumerate(words)}
    sizes = {}
    for name, found in (("domain", domain), ("general", general)):
        before, after = (one.encode_batch(found) for one in (old, new))
        put_back = [[p for i in ids for p in pieces.get(i, (i,))] for ids in after]
        assert [a == b for a, b in zip(put_back, before, strict=True)].count(False) == 0
        sizes[name] = [sum(map(len, ids)) for ids in (before, after)]
    assert sizes["domain"][0] - sizes["domain"][1] == sum(word.saved for word in words)
    assert 0 < sizes["general"][0] - sizes["general"][1] < 0.01 * sizes["general"][0]
