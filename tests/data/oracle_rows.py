"""Slow plain-Python versions of the input formats, one document and one row at a time.

They follow the published procedures (RoBERTa section 4.2; create_pretraining_data.py of
google-research/bert and google-research/albert) and share no code with the package; only the
draws are the same numbers, recomputed here with Python integers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from bertjax.data.corpus import SENTENCE, WORD, Corpus, SpecialIds

SPECIAL = SpecialIds(pad=0, unk=1, cls=2, sep=3, mask=4)
FIRST_TOKEN = 5
MASK64 = 2**64 - 1


def numbered_corpus(sentence_lengths: list[list[int]], word_every: int = 3) -> Corpus:
    """A corpus of documents of sentences in which every token has an id of its own."""
    flat = [length for document in sentence_lengths for length in document]
    sentence_starts = np.concatenate([[0], np.cumsum(flat)]).astype(np.int64)
    first = np.concatenate([[0], np.cumsum([len(d) for d in sentence_lengths])]).astype(np.int64)
    total = int(sentence_starts[-1])
    boundaries = np.where(np.arange(total) % word_every == 0, WORD, 0).astype(np.uint8)
    boundaries[sentence_starts[:-1]] |= WORD | SENTENCE
    return Corpus(
        tokens=np.arange(FIRST_TOKEN, FIRST_TOKEN + total, dtype=np.uint32),
        boundaries=boundaries,
        document_starts=sentence_starts[first],
        sentence_starts=sentence_starts,
        special=SPECIAL,
        vocab_size=FIRST_TOKEN + total,
        fingerprint="tokenizer",
        identity="corpus",
    )


def sentences_of(corpus: Corpus) -> list[list[list[int]]]:
    """Documents of sentences of token ids."""
    documents: list[list[list[int]]] = []
    starts = set(corpus.document_starts.tolist())
    for begin, end in zip(corpus.sentence_starts, corpus.sentence_starts[1:], strict=False):
        if int(begin) in starts:
            documents.append([])
        documents[-1].append(corpus.tokens[begin:end].tolist())
    return documents


@dataclass
class Row:
    """One example, without padding."""

    tokens: list[int]
    types: list[int]
    span_starts: list[int]  # where spans, [CLS] and [SEP] begin
    label: int = -1


def _row(spans: list[list[int]], types: list[int], label: int = -1) -> Row:
    row = Row([SPECIAL.cls], [0], [0], label)
    for span, kind in zip(spans, types, strict=True):
        row.span_starts += [len(row.tokens), len(row.tokens) + len(span)]
        row.tokens += [*span, SPECIAL.sep]
        row.types += [kind] * (len(span) + 1)
    return row


def contiguous_rows(corpus: Corpus, seq_len: int, cross_documents: bool) -> list[Row]:
    """full_sentences and doc_sentences, sentence by sentence."""
    rows: list[Row] = []
    spans: list[list[int]] = []

    def close() -> None:
        nonlocal spans
        if spans:
            rows.append(_row(spans, [0] * len(spans)))
        spans = []

    def room() -> int:
        return seq_len - 1 - sum(len(span) + 1 for span in spans)

    for document in sentences_of(corpus):
        new_document = True
        if not cross_documents:
            close()
        for sentence in document:
            most = seq_len - 2
            for at in range(0, len(sentence), most):
                piece = sentence[at : at + most]
                needed = len(piece) + (1 if new_document or not spans else 0)
                if needed > room():
                    close()
                if new_document or not spans:
                    spans.append([])
                spans[-1] += piece
                new_document = False
    close()
    return rows


def hash64(*coordinates: int) -> int:
    """SplitMix64, chained over coordinates."""
    state = 0
    for coordinate in coordinates:
        state = (state + (coordinate + 1) * 0x9E3779B97F4A7C15) & MASK64
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK64
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & MASK64
        state ^= state >> 31
    return state


def random01(*coordinates: int) -> float:
    return (hash64(*coordinates) >> 11) / 2**53


@dataclass
class PairOracle:
    """segment_pair and sentence_pair over a whole corpus."""

    corpus: Corpus
    seq_len: int
    pairs: str
    single_sentences: bool
    short_seq_prob: float
    key: int
    partner_epoch: int | None = None  # None: a new partner in every epoch
    chunks: list[dict] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.documents = sentences_of(self.corpus)
        number = 0
        for document in range(len(self.documents)):
            self._plan_document(document, number)
            number += len(self.documents[document])

    def _plan_document(self, document: int, number: int) -> None:
        sentences = self.documents[document]
        capacity = self.seq_len - 3
        target = capacity
        if random01(self.key, 0, document) < self.short_seq_prob:
            target = 2 + int(random01(self.key, 1, document) * (capacity - 1))
        chunk: list[int] = []
        i = 0
        while i < len(sentences):
            chunk.append(i)
            collected = sum(len(sentences[j]) for j in chunk)
            enough = len(chunk) == 2 if self.single_sentences else collected >= target
            if i == len(sentences) - 1 or enough:
                start = number + chunk[0]
                a_end = 1
                if len(chunk) >= 2:
                    a_end += int(random01(self.key, 2, start) * (len(chunk) - 1))
                tails = hash64(self.key, 3, start) >= 2**63
                kind = self._kind(len(chunk), tails)
                if kind == "random":
                    i -= len(chunk) - a_end
                self.chunks.append(
                    {
                        "document": document,
                        "a": [t for j in chunk[:a_end] for t in sentences[j]],
                        "rest": [t for j in chunk[a_end:] for t in sentences[j]],
                        "kind": kind,
                        "target": target,
                    }
                )
                chunk = []
            i += 1

    def _kind(self, sentences: int, tails: bool) -> str:
        if self.pairs == "nsp":
            return "random" if sentences == 1 or tails else "in order"
        if sentences == 1:
            return "random" if self.pairs == "sop" else "alone"
        return "swapped" if tails else "in order"

    def partner(self, number: int, epoch: int) -> tuple[int, list[int]]:
        """Document and tokens of the random second segment."""
        chunk = self.chunks[number]
        epoch = epoch if self.partner_epoch is None else self.partner_epoch
        for attempt in range(10):
            document = int(random01(self.key, 4, epoch, number, attempt) * len(self.documents))
            if document != chunk["document"]:
                break
        sentences = self.documents[document]
        start = int(random01(self.key, 5, epoch, number) * len(sentences))
        tokens: list[int] = []
        for sentence in sentences[start:]:
            tokens += sentence
            if self.single_sentences or len(tokens) >= chunk["target"] - len(chunk["a"]):
                break
        return document, tokens

    def row(self, number: int, epoch: int) -> Row:
        """Example `number` as `epoch` has it."""
        chunk = self.chunks[number]
        a, b = list(chunk["a"]), list(chunk["rest"])
        if chunk["kind"] == "random":
            b = self.partner(number, epoch)[1]
        elif chunk["kind"] == "swapped":
            a, b = b, a
        tossed = [0, 0]
        while len(a) + len(b) > self.seq_len - 3:
            side = 0 if len(a) > len(b) else 1
            longer = (a, b)[side]
            word, bit = divmod(tossed[side], 64)
            tossed[side] += 1
            if hash64(self.key, 6 + side, epoch, number, word) >> bit & 1:
                del longer[0]
            else:
                longer.pop()
        if chunk["kind"] == "alone":
            return _row([a], [0])
        return _row([a, b], [0, 1], 0 if chunk["kind"] == "in order" else 1)


def check_example(batch: dict, row: int, slot: int, corpus: Corpus, expected: Row) -> int:
    """Compare one example of a batch, every field; returns the column after it."""
    start = int(batch["cls_positions"][row, slot])
    size = len(expected.tokens)
    columns = slice(start, start + size)
    assert batch["tokens"][row, columns].tolist() == expected.tokens
    assert batch["token_types"][row, columns].tolist() == expected.types
    assert batch["positions"][row, columns].tolist() == list(range(size))
    assert batch["segments"][row, columns].tolist() == [slot + 1] * size
    assert (batch["segments"][row] == slot + 1).sum() == size
    words = [
        at in expected.span_starts or bool(corpus.boundaries[token - FIRST_TOKEN] & WORD)
        for at, token in enumerate(expected.tokens)
    ]
    assert batch["word_starts"][row, columns].tolist() == words
    assert int(batch["pair_labels"][row, slot]) == expected.label
    return start + size


def check_empty(batch: dict, row: int, column: int, slots: int) -> None:
    """Nothing is left in a row from `column` and `slots` on."""
    assert (batch["tokens"][row, column:] == SPECIAL.pad).all()
    for name in ("token_types", "positions", "segments", "word_starts"):
        assert not batch[name][row, column:].any(), name
    assert not batch["cls_positions"][row, slots:].any()
    assert (batch["pair_labels"][row, slots:] == -1).all()
