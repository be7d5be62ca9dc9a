"""Corpora built from tiny texts, against TFDS, `tokenizers` and brute force."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_text import (
    ENVIRONMENT,
    VOCAB,
    build,
    contents,
    random_documents,
    split_documents,
    write_text,
)
from tokenizers import BertWordPieceTokenizer

from bertjax.data import writer
from bertjax.data.corpus import (
    SENTENCE,
    WORD,
    open_corpus,
    token_dtype,
)
from bertjax.data.dedup import mark_first
from bertjax.data.documents import Documents, examples
from bertjax.errors import UserError
from bertjax.text.sentences import split_sentences

pytestmark = pytest.mark.usefixtures("small_chunks")


def test_same_bytes_for_any_number_of_workers(vocab, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(writer, "SHARD_BYTES", 4000)
    texts = random_documents(120)
    text = [write_text(tmp_path / "a.txt", texts[:70]), write_text(tmp_path / "b.txt", texts[60:])]
    made = {}
    for workers in (1, 2, 3):
        out = tmp_path / f"made by {workers}"
        build(out, text, vocab, workers)
        made[workers] = contents(out)
    assert made[1] == made[2] == made[3]
    assert sum(name.count("array_record") for name in made[1]) > 2
    assert not any(str(tmp_path).encode() in data for data in made[1].values())


def test_tokens_and_boundaries_are_those_of_each_sentence(built, vocab) -> None:
    path, texts = built
    oracle = BertWordPieceTokenizer(str(vocab), lowercase=True)
    expected = {}
    for text in texts:
        encoded = [oracle.encode(s, add_special_tokens=False) for s in split_sentences(text, "en")]
        ids = tuple(i for e in encoded for i in e.ids)
        sentences = np.cumsum([0] + [len(e.ids) for e in encoded[:-1]]).tolist()
        pieces = [piece for e in encoded for piece in e.tokens]
        words = [i for i, p in enumerate(pieces) if not p.startswith("##") or i in sentences]
        expected[ids] = (sentences, words)
    seen = set()
    for split in ("train", "validation"):
        corpus = open_corpus(path, split)
        starts = corpus.document_starts
        for document, start, end in zip(
            split_documents(corpus), starts[:-1], starts[1:], strict=True
        ):
            flags = corpus.boundaries[start:end]
            sentences, words = expected[document]
            assert np.flatnonzero(flags & SENTENCE).tolist() == sentences
            assert np.flatnonzero(flags & WORD).tolist() == words
            seen.add(document)
        marked = np.flatnonzero(corpus.boundaries & SENTENCE)
        np.testing.assert_array_equal(marked, corpus.sentence_starts[:-1])
        assert corpus.sentence_starts[-1] == starts[-1] == len(corpus.tokens)
        assert corpus.tokens.dtype == np.uint16 and isinstance(corpus.tokens, np.memmap)
        assert corpus.special.mask == VOCAB.index("[MASK]") and corpus.vocab_size == len(VOCAB)
    assert seen == set(expected)


READ_WITH_TFDS = """
import sys
import numpy as np, tensorflow_datasets as tfds
from bertjax.data.corpus import open_corpus
builder = tfds.builder_from_directory(sys.argv[1])
for split in ("train", "validation"):
    source, corpus = builder.as_data_source(split), open_corpus(sys.argv[1], split)
    starts = corpus.document_starts
    assert len(source) == len(starts) - 1 == builder.info.splits[split].num_examples > 10
    for i, example in enumerate(source.__getitems__(list(range(len(source))))):
        here = slice(starts[i], starts[i + 1])
        np.testing.assert_array_equal(example["tokens"], corpus.tokens[here])
        flags = corpus.boundaries[here]
        np.testing.assert_array_equal(example["word_starts"], np.flatnonzero(flags & 1))
        np.testing.assert_array_equal(example["sentence_starts"], np.flatnonzero(flags & 2))
        assert example["tokens"].dtype == np.int32
assert "tensorflow" not in sys.modules
"""


def test_tfds_reads_the_same_documents_without_tensorflow(built) -> None:
    path, _ = built
    assert len(list(path.glob("*train*-of-*"))) > 1
    subprocess.run([sys.executable, "-c", READ_WITH_TFDS, str(path)], env=ENVIRONMENT, check=True)


@settings(max_examples=50)
@given(st.lists(st.lists(st.integers(0, 2**22), min_size=1, max_size=300), max_size=4), st.data())
def test_examples_decode_in_tfds(documents: list[list[int]], data) -> None:
    tfds = pytest.importorskip("tensorflow_datasets")
    tokens = np.array([t for d in documents for t in d], np.uint32)
    starts = np.cumsum([0, *map(len, documents)])
    flags = data.draw(st.lists(st.integers(0, 1), min_size=len(tokens), max_size=len(tokens)))
    boundaries = np.array(flags, np.uint8)
    boundaries[starts[:-1]] |= WORD
    empty = np.zeros((len(documents), 16), np.uint8)
    serialized = list(examples(Documents(tokens, boundaries, starts, starts, empty, starts[1:])))
    names = ("tokens", "sentence_starts", "word_starts")
    tensor = tfds.features.Tensor(shape=(None,), dtype=np.int32)
    features = tfds.features.FeaturesDict(dict.fromkeys(names, tensor))
    assert len(serialized) == len(documents)
    for i, example in enumerate(serialized):
        decoded = features.deserialize_example_np(example)
        assert decoded["tokens"].tolist() == documents[i]
        assert decoded["sentence_starts"].tolist() == [0]
        expected = np.flatnonzero(boundaries[starts[i] : starts[i + 1]] & WORD)
        assert decoded["word_starts"].tolist() == expected.tolist()


@settings(max_examples=50)
@given(st.lists(st.integers(0, 40), min_size=1), st.integers(1, 9))
def test_first_of_equals(tmp_path_factory, values: list[int], bucket: int) -> None:
    scratch = tmp_path_factory.mktemp("dedup")
    rng = np.random.default_rng(0)
    table = rng.integers(0, 256, (41, 16), np.uint8)
    table[1::2, :8] = table[0:-1:2, :8]  # pairs that differ in one half only
    table[2::4, 8:] = table[0:-2:4, 8:]
    (scratch / "digests").write_bytes(table[values].tobytes())
    first = mark_first(scratch / "digests", scratch, bucket)
    assert first.tolist() == [v not in values[:i] for i, v in enumerate(values)]


def test_duplicates_are_dropped_wherever_they_are(vocab, tmp_path) -> None:
    texts = random_documents(60)
    text = [
        write_text(tmp_path / "a.txt", [*texts, *texts[10:20]]),
        write_text(tmp_path / "b.txt", [t.replace("\n", " \r\n ") for t in texts[30:]]),
    ]
    content = build(tmp_path / "out", text, vocab)
    once = build(tmp_path / "once", text[:1], vocab)
    assert (content["duplicates"], once["duplicates"]) == (40, 10)
    assert content["splits"] == once["splits"]
    one, other = contents(tmp_path / "out"), contents(tmp_path / "once")
    assert {k for k in one if one[k] != other[k]} == {"manifest.json"}


def test_held_out_documents_are_chosen_by_their_own_text(vocab, tmp_path) -> None:
    texts = random_documents(400)

    def held_out(name: str, documents: list[str], share: float) -> set[tuple[int, ...]]:
        text = write_text(tmp_path / f"{name}.txt", documents)
        build(tmp_path / name, [text], vocab, held_out=share)
        kept = split_documents(open_corpus(tmp_path / name, "train"))
        held = split_documents(open_corpus(tmp_path / name, "validation"))
        assert len(kept) + len(held) == len(documents) and not set(kept) & set(held)
        return set(held)

    some, more = held_out("some", texts, 0.1), held_out("more", texts, 0.3)
    assert 20 < len(some) < 65 < 80 < len(more) < 165 and some < more
    assert held_out("half", texts[::-2], 0.1) <= some  # order and company do not matter
    assert len(held_out("few", texts[:3], 0.01)) == 1  # both splits have a document
    assert len(held_out("most", texts[:3], 0.99)) == 2
    build(tmp_path / "none", [write_text(tmp_path / "n.txt", texts)], vocab, held_out=0.0)
    with pytest.raises(UserError, match=r"no 'validation' split.*--held-out above 0"):
        open_corpus(tmp_path / "none", "validation")


def test_empty_sentences_and_documents_leave_no_trace(vocab, tmp_path) -> None:
    noise = "\u200b\n\u200b"  # not a space, and no token
    texts = [noise, "a cat.\n\u200b\nb", "c", noise, "d"]
    content = build(tmp_path / "out", [write_text(tmp_path / "a.txt", texts)], vocab, held_out=0.0)
    assert content["splits"]["train"] == {
        "documents": 3, "sentences": 4, "words": 6, "tokens": 8, "unknown": 0,
        "text_bytes": (6 + 1 + 3 + 1 + 1) + 1 + 1,  # with line feeds, and U+200B of three bytes
    }  # fmt: skip


def test_chinese_words_change_flags_and_never_ids(vocab, tmp_path) -> None:
    rjieba = pytest.importorskip("rjieba")
    sentence = "我们爱北京"
    text = [write_text(tmp_path / "a.txt", [sentence + "。" + sentence, "the cat"])]
    build(tmp_path / "zh", text, vocab, held_out=0.0)
    build(tmp_path / "en", text, vocab, held_out=0.0, language="en")
    chinese, plain = open_corpus(tmp_path / "zh", "train"), open_corpus(tmp_path / "en", "train")
    np.testing.assert_array_equal(chinese.tokens, plain.tokens)
    starts = np.cumsum([0, *map(len, rjieba.cut(sentence))])[:-1].tolist()
    assert len(starts) == 3
    end = int(chinese.document_starts[1])
    expected = [*starts, 5, *(6 + s for s in starts)]
    assert np.flatnonzero(chinese.boundaries[:end] & WORD).tolist() == expected
    assert np.flatnonzero(chinese.boundaries[:end] & SENTENCE).tolist() == [0, 6]
    assert (plain.boundaries[:end] & WORD).all()


def test_large_vocabularies_get_wide_tokens() -> None:
    assert [token_dtype(v) for v in (65536, 65537)] == [np.uint16, np.uint32]


MEASURE = """
import resource, sys
from pathlib import Path
from bertjax.data.build import BuildSettings, build_corpus
from bertjax.text.sources import find_sources
from bertjax.text.tokenizer import load_tokenizer
if __name__ == "__main__":
    text, out, vocab = sys.argv[1:]
    settings = BuildSettings()
    build_corpus(find_sources([text]), Path(out), load_tokenizer(Path(vocab)), settings, 2)
    # Not ru_maxrss of this process, which begins at the size of the process that started it.
    own = Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]
    print(int(own) * 1024)
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
"""


@pytest.mark.slow
def test_memory_stays_under_1_gb(vocab, tmp_path) -> None:
    """The hardest documents: the largest allowed, of the widest characters; and a million small."""
    wide = tmp_path / "a.txt"
    with wide.open("w") as file:
        for _ in range(3):
            file.write(("\U00020000 b " * 1000 + "\n") * 2200 + "\n")  # 15.4 MB
        for i in range(1_000_000):
            file.write(f"cat {i}\n\n")
    script = tmp_path / "measure.py"
    script.write_text(MEASURE)
    command = [sys.executable, str(script), str(wide), str(tmp_path / "out"), str(vocab)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert max(map(int, done.stdout.split())) < 1e9
