"""Examples of two segments with a sentence-order label, after google-research/bert and albert.

segment_pair   create_pretraining_data.py of google-research/bert: sentences are collected until a
               target length, the first few become A; B is the rest, or comes from elsewhere and
               the rest is put back to be used again
sentence_pair  the same procedure with two sentences instead of a target length (RoBERTa, Liu et
               al. 2019, section 4.2, names the format but publishes no procedure)

label        in order (0)     label 1
nsp          B is the rest    B from a random document, by a fair coin or if there is no rest
sop          A, rest          rest, A by a fair coin; a random B if there is no rest, as in ALBERT's
                              code, so next-sentence prediction leaks in
sop_strict   A, rest          rest, A; if there is no rest, A alone, which has no label (-1)

Draws that decide where examples begin (short target, split, coin) depend on the document or
sentence alone, so the examples can be counted; the random partner and which ends are cut off
depend on (epoch, example) and so are new in each epoch. `short_seq_prob` shortens the target of a
whole document, as in BERT; sentence_pair has no target, so it changes nothing there.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from bertjax.data import keyed
from bertjax.data.corpus import Corpus
from bertjax.data.rows import BLOCK, Spans, follow

# What each keyed draw is for: the first coordinate after the key.
SHORT, TARGET, SPLIT, COIN, PARTNER, PARTNER_START, CUT_A, CUT_B = range(8)

IN_ORDER, RANDOM, SWAPPED, ALONE = range(4)  # Chunks.kind
_LABELS = np.array([0, 1, 1, -1], np.int32)  # by kind

PARTNER_DRAWS = 10  # tries for another document; BERT takes the tenth even if it is the same one


@dataclass(frozen=True, eq=False)
class Chunks:
    """Stretches of sentences from which examples are made; all int64 [n]."""

    document: np.ndarray
    start: np.ndarray  # sentences start .. split - 1 are A
    split: np.ndarray
    end: np.ndarray  # sentences split .. end - 1 are the rest
    target: np.ndarray  # tokens
    kind: np.ndarray


@dataclass(frozen=True, eq=False)
class Pairs:
    """Examples of segment_pair and sentence_pair."""

    corpus: Corpus
    capacity: int  # tokens of A and B together: seq_len less [CLS] and the [SEP]s
    pairs: str  # nsp | sop | sop_strict
    single_sentences: bool
    short_seq_prob: float
    key: int
    fixed_partners: bool  # the same random partner in every epoch, so that lengths never change
    first_sentence: np.ndarray  # int64 [documents + 1]
    starts: np.ndarray  # int64 [examples], first sentence of each

    @classmethod
    def plan(
        cls,
        corpus: Corpus,
        seq_len: int,
        *,
        pairs: str,
        single_sentences: bool,
        short_seq_prob: float,
        key: int,
        fixed_partners: bool,
    ) -> Pairs:
        """Find where every example begins, by following the chain of chunks."""
        blank = cls(
            corpus=corpus,
            capacity=seq_len - corpus.framing.special_tokens(2),
            pairs=pairs,
            single_sentences=single_sentences,
            short_seq_prob=short_seq_prob,
            key=key,
            fixed_partners=fixed_partners,
            first_sentence=np.searchsorted(corpus.sentence_starts, corpus.document_starts),
            starts=np.zeros(0, np.int64),
        )
        return replace(blank, starts=blank._chain())

    def __len__(self) -> int:
        return len(self.starts)

    def _chain(self) -> np.ndarray:
        sentences = len(self.corpus.sentence_starts) - 1
        starts, here = [np.zeros(0, np.int64)], 0
        for block in range(0, sentences, BLOCK):
            chunks = self.chunks(np.arange(block, min(block + BLOCK, sentences)))
            put_back = chunks.kind == RANDOM
            successor = np.where(put_back, chunks.split, chunks.end) - block
            visited, outside = follow(successor, here - block)
            starts.append(visited + block)
            here = outside + block
        return np.concatenate(starts)

    def chunks(self, start: np.ndarray) -> Chunks:
        """The chunk that begins at each of the sentences `start` [n]."""
        sentences = self.corpus.sentence_starts
        document = np.searchsorted(self.first_sentence, start, side="right") - 1
        target = self._targets(document)
        if self.single_sentences:
            end = start + 2
        else:
            end = np.searchsorted(sentences, sentences[start] + target, side="left")
        end = np.minimum(end, self.first_sentence[document + 1])
        lonely = end - start == 1
        split = start + 1 + keyed.below(np.maximum(end - start - 1, 1), self.key, SPLIT, start)
        tails = keyed.coin(self.key, COIN, start)
        if self.pairs == "nsp":
            kind = np.where(lonely | tails, RANDOM, IN_ORDER)
        else:
            without_rest = RANDOM if self.pairs == "sop" else ALONE
            kind = np.where(lonely, without_rest, np.where(tails, SWAPPED, IN_ORDER))
        return Chunks(document, start, split, end, target, kind)

    def _targets(self, document: np.ndarray) -> np.ndarray:
        """Tokens to collect: the capacity, or for a few documents anything from 2 up to it."""
        short = keyed.uniform(self.key, SHORT, document) < self.short_seq_prob
        length = 2 + keyed.below(self.capacity - 1, self.key, TARGET, document)
        return np.where(short, length, self.capacity)

    def spans(self, example: np.ndarray, epoch: np.ndarray) -> Spans:
        """Slices of A and B, cut to fit, for the examples `example` [n] in epochs `epoch` [n]."""
        chunks = self.chunks(self.starts[example])
        sentences = self.corpus.sentence_starts
        ends = np.stack([chunks.start, chunks.split, chunks.split, chunks.end], 1)
        swapped = chunks.kind == SWAPPED
        ends[swapped] = ends[swapped][:, [2, 3, 0, 1]]
        random = np.flatnonzero(chunks.kind == RANDOM)
        partner_epoch = np.zeros_like(epoch) if self.fixed_partners else epoch
        ends[random, 2:] = self._partners(
            _take(chunks, random), partner_epoch[random], example[random]
        )
        tokens = sentences[ends]  # [n, 4]: start and end of A, start and end of B
        source, length = tokens[:, ::2], tokens[:, 1::2] - tokens[:, ::2]
        kept = np.stack(truncated_lengths(length[:, 0], length[:, 1], self.capacity), 1)
        cut = length - kept
        front = np.stack(
            [
                keyed.heads(cut[:, side], self.key, purpose, epoch, example)
                for side, purpose in enumerate((CUT_A, CUT_B))
            ],
            1,
        )
        owner, side = np.nonzero(kept)  # drops the empty B of a lone A
        return Spans(
            example=owner,
            source=(source + front)[owner, side],
            length=kept[owner, side],
            token_type=(side * self.corpus.framing.second_type).astype(np.int32),
            labels=_LABELS[chunks.kind],
            more_separators=self.corpus.framing.separators - 1,
        )

    def _partners(self, chunks: Chunks, epoch: np.ndarray, example: np.ndarray) -> np.ndarray:
        """Draw a random B for each chunk: its first and end sentence, int64 [n, 2]."""
        sentences, first_sentence = self.corpus.sentence_starts, self.first_sentence
        tries = keyed.below(
            len(first_sentence) - 1,
            *(self.key, PARTNER, epoch[:, None], example[:, None], np.arange(PARTNER_DRAWS)),
        )
        other = tries != chunks.document[:, None]
        other[:, -1] = True
        document = tries[np.arange(len(tries)), np.argmax(other, axis=1)]
        begin, stop = first_sentence[document], first_sentence[document + 1]
        start = begin + keyed.below(stop - begin, self.key, PARTNER_START, epoch, example)
        if self.single_sentences:
            return np.stack([start, start + 1], 1)
        length_a = sentences[chunks.split] - sentences[chunks.start]
        wanted = np.maximum(chunks.target - length_a, 1)  # at least one sentence
        end = np.searchsorted(sentences, sentences[start] + wanted, side="left")
        return np.stack([start, np.minimum(end, stop)], 1)


def _take(chunks: Chunks, index: np.ndarray) -> Chunks:
    return Chunks(*(getattr(chunks, field.name)[index] for field in fields(Chunks)))


def truncated_lengths(a: np.ndarray, b: np.ndarray, capacity: int) -> tuple[np.ndarray, np.ndarray]:
    """Lengths left when tokens are dropped one by one from the longer side (B when equal)."""
    b = np.minimum(b, np.maximum(capacity - a, capacity // 2))
    return np.minimum(a, capacity - b), b
