"""Where examples begin and end in a corpus, and which slices of it each one is made of.

Every input format answers one question: which slices of the flat token array make example i?
The answer is a `Spans`; `bertjax.data.assemble` turns it into a batch. Here are the formats that
read the corpus from end to end (the first two: RoBERTa, Liu et al. 2019, section 4.2):

full_sentences  [CLS] sentences [SEP], as many whole sentences as fit; may run into the next
                document, with one more [SEP] where it does
doc_sentences   the same, but never leaves its document
full_rows       [CLS] exactly T − 2 tokens of the documents laid end to end, a [SEP] after each,
                [SEP]; sentences are cut where a row ends, and attention needs no mask

In the first two a sentence longer than a row is cut into pieces that fill one, so that no token is
lost; full_rows leaves out what does not fill the last row. There is no `short_seq_prob` here: it is
part of BERT's pair procedure (`bertjax.data.pairs`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from bertjax.data.corpus import Corpus
from bertjax.data.ragged import ragged

# Sentences planned at a time: enough to make vectorising pay, few enough to need little memory.
BLOCK = 1 << 18


@dataclass(frozen=True, eq=False)
class Spans:
    """Slices of the corpus that make n examples: [CLS], then each span followed by [SEP].

    S spans in all, in order; an example's spans are neighbours and every example has at least one.
    Before each span but an example's first stand `more_separators` [SEP]s more.
    """

    example: np.ndarray  # int64 [S], which of the n examples, ascending
    source: np.ndarray  # int64 [S], where the slice starts in `Corpus.tokens`
    length: np.ndarray  # int64 [S], its tokens
    token_type: np.ndarray  # int32 [S]
    labels: np.ndarray  # int32 [n], the pair label; -1 where there is none
    more_separators: int = 0  # as RoBERTa has one between the texts of a pair

    def leads(self) -> np.ndarray:
        """Count the special tokens that stand right before each span, int64 [S]."""
        first = np.diff(self.example, prepend=-1) > 0
        return np.where(first, 1, self.more_separators)

    def sizes(self) -> np.ndarray:
        """Count each example's tokens with its [CLS] and [SEP]s, int64 [n]."""
        placed = self.leads() + self.length + 1
        return np.bincount(self.example, placed, minlength=len(self.labels)).astype(np.int64)


class Examples(Protocol):
    """All examples of one input format, numbered; fixed for every epoch."""

    def __len__(self) -> int: ...

    def spans(self, example: np.ndarray, epoch: np.ndarray) -> Spans:
        """Slices that make the examples numbered `example` [n] in the epochs `epoch` [n]."""
        ...


@dataclass(frozen=True, eq=False)
class Contiguous:
    """Examples of full_sentences and doc_sentences: example i is tokens[edges[i]:edges[i + 1]]."""

    corpus: Corpus
    edges: np.ndarray  # int64 [examples + 1]

    @classmethod
    def plan(cls, corpus: Corpus, seq_len: int, cross_documents: bool) -> Contiguous:
        """Cut `corpus` greedily into rows of at most `seq_len` tokens, specials included."""
        return cls(corpus, _greedy_edges(corpus, seq_len - 2, cross_documents))

    def __len__(self) -> int:
        return len(self.edges) - 1

    def spans(self, example: np.ndarray, epoch: np.ndarray) -> Spans:
        """One span for each document that the example touches; the epoch changes nothing."""
        documents = self.corpus.document_starts
        start, end = self.edges[example], self.edges[example + 1]
        first = np.searchsorted(documents, start, side="right") - 1
        last = np.searchsorted(documents, end, side="left") - 1
        owner, within = ragged(last - first + 1)
        document = first[owner] + within
        source = np.maximum(start[owner], documents[document])
        return Spans(
            example=owner,
            source=source,
            length=np.minimum(end[owner], documents[document + 1]) - source,
            token_type=np.zeros(len(owner), np.int32),
            labels=np.full(len(example), -1, np.int32),
        )


@dataclass(frozen=True, eq=False)
class FullRows:
    """Examples of full_rows: example i is places [i·C, (i + 1)·C) of a line, C = T − 2.

    On that line each document's tokens are followed by one place for its [SEP]. Where a row begins
    or ends with that place, the document on the other side of it has an empty span in the row.
    """

    corpus: Corpus
    capacity: int  # C
    begins: np.ndarray  # int64 [documents], the first place of each on the line

    @classmethod
    def plan(cls, corpus: Corpus, seq_len: int) -> FullRows:
        """Lay the documents of `corpus` on the line."""
        starts = corpus.document_starts[:-1]
        return cls(corpus, seq_len - 2, starts + np.arange(len(starts)))

    def __len__(self) -> int:
        boundaries = max(0, len(self.begins) - 1)
        return (len(self.corpus.tokens) + boundaries) // self.capacity

    def spans(self, example: np.ndarray, epoch: np.ndarray) -> Spans:
        """One span for each document that the example touches; the epoch changes nothing."""
        documents = self.corpus.document_starts
        start = example.astype(np.int64) * self.capacity
        end = start + self.capacity
        first = np.searchsorted(self.begins, start, side="right") - 1
        last = np.searchsorted(self.begins, end, side="right") - 1
        owner, within = ragged(last - first + 1)
        document = first[owner] + within
        source = np.maximum(start[owner] - document, documents[document])
        stop = np.minimum(end[owner] - document, documents[document + 1])
        return Spans(
            example=owner,
            source=source,
            length=stop - source,
            token_type=np.zeros(len(owner), np.int32),
            labels=np.full(len(example), -1, np.int32),
        )


def _greedy_edges(corpus: Corpus, capacity: int, cross_documents: bool) -> np.ndarray:
    """Return row starts and the final end, int64 [rows + 1], in token offsets.

    Pieces (sentences, or parts of over-long ones) are laid on a line on which a document boundary
    takes room as well: one place, its [SEP], if rows may cross it, else more than a row can hold.
    A row then is simply the longest run of pieces within `capacity`.
    """
    sentences, documents = corpus.sentence_starts, corpus.document_starts
    boundary_room = 1 if cross_documents else capacity
    edges = [np.zeros(1, np.int64)]
    start = 0  # of the first row that is not finished yet
    for block in range(0, len(sentences) - 1, BLOCK):
        stop = min(block + BLOCK, len(sentences) - 1)
        first = np.searchsorted(sentences, start, side="right")
        pieces = np.concatenate([[start], sentences[first : stop + 1]])
        pieces = _cut(pieces, capacity)
        room = np.searchsorted(documents, pieces[:-1], side="right") * boundary_room
        successor = np.searchsorted(pieces[1:] + room, pieces[:-1] + room + capacity, side="right")
        visited, _ = follow(successor, 0)
        edges.append(pieces[visited[1:]])
        start = pieces[visited[-1]]  # a later block may still add to this row
    if len(sentences) > 1:
        edges.append(sentences[-1:])
    return np.concatenate(edges)


def _cut(edges: np.ndarray, capacity: int) -> np.ndarray:
    """Add edges so that no two neighbours are further apart than `capacity`."""
    parts = -(-np.diff(edges) // capacity)
    owner, within = ragged(parts)
    return np.append(edges[:-1][owner] + within * capacity, edges[-1])


def follow(successor: np.ndarray, start: int) -> tuple[np.ndarray, int]:
    """Walk start, successor[start], ... while inside the array.

    Returns the places visited, int64, and the first place outside. Each place depends on the one
    before, so this is a loop; over a plain list it costs some 50 ns a step.
    """
    steps, here, visited = successor.tolist(), start, []
    while here < len(steps):
        visited.append(here)
        here = steps[here]
    return np.array(visited, np.int64), here
