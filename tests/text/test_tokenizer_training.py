"""Training: deterministic, equal to the sentencepiece runtime, bounded by what the text gives."""

import lzma
import random
import subprocess
import sys
import unicodedata
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
import sentencepiece
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as Engine
from tokenizers import normalizers, pre_tokenizers

from bertjax.errors import UserError
from bertjax.text import tokenizer_training
from bertjax.text.sentencepiece_json import engine_from_model
from bertjax.text.tokenizer import SpecialIds
from bertjax.text.tokenizer_training import share_of_marks, train_tokenizer
from bertjax.text.words import CJK

KINDS = ("wordpiece", "unigram", "bpe")


@pytest.fixture(scope="module")
def lines(shared_data: Path) -> list[str]:
    """English and Chinese paragraphs."""
    texts = []
    for name in ("en_wiki", "zh_wiki"):
        with lzma.open(shared_data / name / "valid.txt.xz", "rt", encoding="utf-8") as file:
            texts += [line for line in map(str.strip, file) if line][:400]
    return texts


@pytest.mark.parametrize("kind", KINDS)
def test_trained_tokenizers(kind: str, lines: list[str]) -> None:
    tokenizer = train_tokenizer(kind, iter(lines), 5000)
    assert tokenizer.special == SpecialIds(pad=0, unk=1, cls=2, sep=3, mask=4)
    assert tokenizer.vocab_size == 5000
    pieces = [tokenizer.token(i).removeprefix("##").removeprefix("▁") for i in range(5000)]
    chinese = [piece for piece in pieces if CJK.search(piece)]
    assert chinese and all(len(piece) == 1 for piece in chinese)
    assert len(set(pieces)) > 2500
    ids = [i for text in tokenizer.encode_batch(lines) for i in text]
    assert ids.count(tokenizer.special.unk) < 0.01 * len(ids)
    text = "The [MASK] of the 北京 University"
    shown = tokenizer.decode(tokenizer.encode_batch([text])[0]).replace(" ", "")
    assert shown == text.lower().replace(" ", "")
    cased = train_tokenizer(kind, iter(lines), 5000, lowercase=False)
    assert cased.decode(cased.encode_batch(["University Press"])[0]) == "University Press"


DETERMINISM = """
import sys
from bertjax.text.tokenizer_training import share_of_marks, train_tokenizer
lines = sys.stdin.read().split("\\n")
print(*[train_tokenizer(kind, lines, 5000).fingerprint for kind in {kinds!r}])
"""


@pytest.mark.slow
def test_training_gives_the_same_bytes_in_any_process(lines: list[str]) -> None:
    """The trainers hash with random seeds and share work among as many threads as there are."""
    here = [train_tokenizer(kind, iter(lines), 5000).fingerprint for kind in KINDS]
    there = subprocess.run(
        [sys.executable, "-c", DETERMINISM.format(kinds=KINDS)],
        input="\n".join(lines),
        env={"PYTHONPATH": ":".join(sys.path), "RAYON_NUM_THREADS": "1", "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
        encoding="utf-8",
    )
    assert there.stdout.split() == here
    assert there.stderr == ""
    assert train_tokenizer("bpe", reversed(lines[:200]), 3000).fingerprint != here[2]


Converted = tuple[Engine, sentencepiece.SentencePieceProcessor, normalizers.Normalizer]


@pytest.fixture(scope="module", params=["unigram", "bpe"])
def converted(request: pytest.FixtureRequest, lines: list[str]) -> Converted:
    """A trained model in both runtimes, and what normalizes text ahead of SentencePiece."""
    before = tokenizer_training._normalizer(lowercase=True)
    model = tokenizer_training._sentencepiece_model(request.param, lines[:500], 3000, before)
    runtime = sentencepiece.SentencePieceProcessor(model_proto=model)
    return engine_from_model(model, "trained", before), runtime, before


def differing(converted: Converted, texts: list[str]) -> list[str]:
    engine, runtime, before = converted
    found = engine.encode_batch(texts, add_special_tokens=False)
    expected = runtime.encode([before.normalize_str(text) for text in texts])
    return [text for text, f, e in zip(texts, found, expected, strict=True) if f.ids != e]


def test_real_text_gives_the_ids_of_sentencepiece(converted: Converted, lines: list[str]) -> None:
    assert differing(converted, lines) == []


def test_odd_text_gives_the_ids_of_sentencepiece(converted: Converted) -> None:
    """Runs tie, whitespace collapses, marks combine; neither engine may see it differently."""
    draw = random.Random(0)
    odd = "\x00\x07\x9f\r\n\ufffd\ufeff\u3000\t  \ue000"
    odd += "abcXYZéÉ\u0301\u0308½ﬁ（）中文字😀👍🏽\u200d\u200b-=.…▁한ㅎไท"
    runs = "0ab-. "
    texts = ["".join(draw.choices(odd, k=draw.randint(0, 25))) for _ in range(1500)]
    texts += [
        "".join(draw.choice(runs) * draw.randint(1, 7) for _ in range(8)) for _ in range(1500)
    ]
    assert differing(converted, ["", " ", "a" * 5000, *texts]) == []


@settings(max_examples=200)
@given(text=st.text(max_size=40))
def test_any_text_gives_the_ids_of_sentencepiece(converted: Converted, text: str) -> None:
    assume("[" not in text)  # a special token spelled out is one to `tokenizers` alone
    assert differing(converted, [text]) == []


def plain_wordpiece(words: Counter[str], alphabet: list[str], size: int) -> dict[str, int]:
    """Join the most frequent pair, then the one of the lowest ids, until nothing is left."""
    first = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"##{c}" for c in alphabet)]
    vocabulary = {piece: i for i, piece in enumerate([*first, *alphabet])}
    split = {word: [word[0], *(f"##{c}" for c in word[1:])] for word in words}
    while len(vocabulary) < size:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, pieces in split.items():
            for pair in pairwise(pieces):
                pairs[pair] += words[word]
        if not pairs or max(pairs.values()) < 2:
            break
        best = min(pairs, key=lambda p: (-pairs[p], vocabulary[p[0]], vocabulary[p[1]]))
        joined = best[0] + best[1].removeprefix("##")
        vocabulary.setdefault(joined, len(vocabulary))
        for pieces in split.values():
            at = 0
            while at < len(pieces) - 1:
                if (pieces[at], pieces[at + 1]) == best:
                    pieces[at : at + 2] = [joined]
                at += 1
    return vocabulary


def test_wordpiece_training_equals_plain_python() -> None:
    draw = random.Random(1)
    words = ["".join(draw.choices("abcde", k=draw.randint(1, 6))) for _ in range(60)]
    text = [" ".join(draw.choices(words, k=12)) for _ in range(40)]
    counts = Counter(word for line in text for word in line.split())
    for size in (15, 40, 100):
        trained = train_tokenizer("wordpiece", text, size)
        found = {trained.token(i): i for i in range(trained.vocab_size)}
        assert found == plain_wordpiece(counts, list("abcde"), size)


def test_wordpiece_stops_where_no_pair_repeats() -> None:
    assert train_tokenizer("wordpiece", ["ab cd ef"], 1000).vocab_size == 5 + 2 * 6


def test_characters_that_stand_alone_have_no_inner_piece(lines: list[str]) -> None:
    tokenizer = train_tokenizer("wordpiece", lines, 5000)
    splitter = pre_tokenizers.BertPreTokenizer()
    for piece in (tokenizer.token(i) for i in range(5, 5000)):
        if piece.startswith("##"):
            assert len(splitter.pre_tokenize_str(f"a{piece[2:]}")) == 1 and not CJK.search(piece)


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_an_unattainable_size_names_the_largest(kind: str) -> None:
    text = ["the cat sat on the mat", "the dog sat on the log"]
    with pytest.raises(UserError, match=f"a {kind} vocabulary of 90000: .* at most") as refused:
        train_tokenizer(kind, text, 90_000)
    assert "\n" not in str(refused.value)
    largest = int(str(refused.value).split("at most ")[1].split()[0])
    assert train_tokenizer(kind, text, largest).vocab_size == largest
    with pytest.raises(UserError, match=f"at most {largest} pieces"):
        train_tokenizer(kind, text, largest + 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_size_below_the_characters_names_the_smallest(kind: str) -> None:
    text = ["the cat sat on the mat"]
    with pytest.raises(UserError, match=r"a vocabulary of 9 does not hold .* at least") as refused:
        train_tokenizer(kind, text, 9)
    smallest = int(str(refused.value).split("at least ")[1])
    assert train_tokenizer(kind, text, smallest).vocab_size == smallest


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", [[], ["", " \n"], ["\ufeff\u200b"]])
def test_no_text_is_refused(kind: str, text: list[str]) -> None:
    with pytest.raises(UserError, match="no text to train a tokenizer on"):
        train_tokenizer(kind, text, 100)


@pytest.mark.parametrize("size", [-1, 0, 5, 2**22 + 1])
def test_impossible_sizes_are_refused(size: int) -> None:
    with pytest.raises(UserError, match=rf"vocabulary of {size}: .* use 6 to 4194304"):
        train_tokenizer("wordpiece", ["text"], size)


def test_unknown_kinds_are_refused() -> None:
    with pytest.raises(UserError, match="'wordpeice' is not known: did you mean 'wordpiece'"):
        train_tokenizer("wordpeice", ["text"], 100)


SIZES = {"wordpiece": 60, "unigram": 26, "bpe": 40}


@pytest.mark.parametrize("kind", KINDS)
def test_text_that_spells_special_tokens_and_long_lines_can_be_trained_on(kind: str) -> None:
    text = ["[CLS] is put before and ［SEP］ behind; [MASK]\0"] * 3 + ["word and 字 " * 2000]
    tokenizer = train_tokenizer(kind, text, SIZES[kind], lowercase=False)
    assert tokenizer.encode_batch(["[MASK][CLS]"], parse_special=True) == [[4, 2]]


def test_accents_and_vowel_signs_can_be_kept_in_lower_case():
    words = ["में म", "が か", "Má ma", "Schön schon", "Й и"]
    stripped = train_tokenizer("wordpiece", words * 20, 200)
    kept = train_tokenizer("wordpiece", words * 20, 200, keep_accents=True)
    for pair in words:
        one, other = pair.split()
        assert stripped.encode_batch([one]) == stripped.encode_batch([other])
        assert kept.encode_batch([one]) != kept.encode_batch([other])
    assert kept.encode_batch(["MÁ"]) == kept.encode_batch(["má"])
    # As it always was where nobody asks: the same bytes.
    assert '"strip_accents":null' in stripped._canonical()


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("plain English text, in which naïve stands at most once in quite a while " * 3, 0.0, 0.02),
        ("यह एक शांत शहर है मैं कल वहाँ गया था", 0.1, 0.5),
        ("Tiếng Việt có nhiều dấu", 0.1, 0.5),
        ("Die schöne Brücke über den Fluß", 0.03, 0.2),
        ("", 0.0, 0.0),
    ],
)
def test_share_of_marks(text, low, high):
    """Oracle: characters of category Mn after decomposition."""
    share = share_of_marks([text])
    assert low <= share <= high
    decomposed = [c for c in unicodedata.normalize("NFD", text) if not c.isspace()]
    marks = sum(unicodedata.category(c) == "Mn" for c in decomposed)
    assert share == pytest.approx(marks / len(decomposed) if decomposed else 0)
