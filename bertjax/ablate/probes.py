"""What is measured of every finished cell: each probe holds its material, read once a grid."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from bertjax.ablate.finetuned import FineTuned
from bertjax.ablate.held_out import HeldOut
from bertjax.ablate.leaks import leaked_sentences
from bertjax.config import HELD_OUT, AblationConfig
from bertjax.errors import UserError
from bertjax.pretrained import Pretrained
from bertjax.probe.held_out_text import read_texts, text_scores
from bertjax.probe.minimal_pairs import Pair, pair_likelihoods, pair_scores, read_pairs
from bertjax.probe.scores import Scores
from bertjax.probe.tagged_words import read_tagged, tag_scores
from bertjax.terminal import count
from bertjax.text.tokenizer import Tokenizer
from bertjax.train.data import Data

WORDS = "words"  # the probe of `probes.tagged`
_MOST_EQUAL = 0.01  # share of pairs whose two sentences may be equal; BLiMP has one of 67,000


class Probe(Protocol):
    """What `Table` and the report know of a probe is in its `Scores`."""

    @property
    def name(self) -> str:
        """Of the probe, in the report and in `decides`."""

    @property
    def left_out(self) -> int:
        """Examples that stand in the training text."""

    @property
    def takes_detector(self) -> bool:
        """Whether it takes, of two networks, the one that detects replaced tokens."""

    def material(self) -> Any:
        """All that decides the scores of a given model, as JSON values."""

    def measure(self, found: Pretrained) -> Scores:
        """The scores of a run's model."""


def fingerprint(probe: Probe) -> str:
    """SHA-256 of a probe's material, in hexadecimal."""
    return hashlib.sha256(json.dumps(probe.material()).encode()).hexdigest()


def probe_names(cfg: AblationConfig) -> list[str]:
    """What the probes of an ablation are called, in the order of the report.

    Raises:
        UserError: two of them have one name.
    """
    names = [HELD_OUT, *map(probe_name, (*cfg.probes.pairs, *cfg.probes.text))]
    names += [WORDS] if cfg.probes.tagged else []
    names += map(FineTuned.name_of, cfg.probes.finetune)
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"two probes are called {name}, after their files: rename one file")
    return names


def read_probes(
    cfg: AblationConfig,
    data: Data,
    tokenizer: Tokenizer,
    positions: int,
    progress: Callable[[str], None],
) -> list[Probe]:
    """Every probe of an ablation, as `probe_names` has them.

    `positions` are those of the arm that has the fewest; `progress` is told of what takes time.

    Raises:
        UserError: a file is missing, empty or of another kind, or nothing of it can be used.
    """
    probes: list[Probe] = [
        HeldOutRows({name: HeldOut.plan(cfg.base, of) for name, of in data.held_out.items()})
    ]
    text = TrainingText(data, progress)
    for path in cfg.probes.pairs:
        most = cfg.probes.per_paradigm
        probes.append(MinimalPairs.read(path, most, text, tokenizer, positions))
    probes += [UnseenText.read(path, text, tokenizer) for path in cfg.probes.text]
    if cfg.probes.tagged:
        train, test = read_tagged(cfg.probes.tagged), read_tagged(cfg.probes.tagged_test)
        probes.append(TaggedWords(train, test))
    probes += [FineTuned.read(typed) for typed in cfg.probes.finetune]
    return probes


@dataclass(frozen=True)
class TrainingText:
    """The text that the cells are trained on."""

    data: Data
    progress: Callable[[str], None]

    def holds(self, probe: str, ids: Sequence[Sequence[int]]) -> np.ndarray:
        """Which of a probe's texts share a run of pieces with it, bool [len(ids)]."""
        corpora = self.data.train.values()
        size = count(sum(len(corpus.tokens) for corpus in corpora))
        self.progress(f"looking for {probe} in {size} tokens of training text")
        rows = [np.array(row, np.int64) for row in ids]
        return np.logical_or.reduce([leaked_sentences(corpus.tokens, rows) for corpus in corpora])


@dataclass(frozen=True, eq=False)
class HeldOutRows:
    """The masked loss of the held-out rows of each corpus; the corpus's identity is theirs."""

    rows: Mapping[str, HeldOut]

    name, left_out, takes_detector = HELD_OUT, 0, False

    def material(self) -> Any:
        """How many rows of which length."""
        return {name: [rows.rows, rows.source.seq_len] for name, rows in self.rows.items()}

    def measure(self, found: Pretrained) -> Scores:
        """By corpus where there are several."""
        of_corpora = [rows.losses(found.cfg, found.params) for rows in self.rows.values()]
        losses, weights = (np.concatenate(parts) for parts in zip(*of_corpora, strict=True))
        groups = np.repeat(list(self.rows), [len(losses) for losses, _ in of_corpora]).tolist()
        several = groups if len(self.rows) > 1 else ()
        return Scores(HELD_OUT, losses, "nats a piece", "low", several, weights)


@dataclass(frozen=True, eq=False)
class MinimalPairs:
    """Which acceptable sentences are likelier than the others."""

    name: str
    pairs: Sequence[Pair]
    left_out: int

    takes_detector = False

    @classmethod
    def read(
        cls, path: str, per_paradigm: int, text: TrainingText, tokenizer: Tokenizer, positions: int
    ) -> MinimalPairs:
        """The first pairs of each paradigm, or all for 0, that the training text does not hold."""
        pairs = list(_first_of_each(read_pairs(path), per_paradigm))
        equal = [pair for pair in pairs if pair.good == pair.bad]
        if len(equal) > _MOST_EQUAL * len(pairs):
            raise UserError(
                f"probes.pairs={path}: {len(equal):,} of {len(pairs):,} pairs are two equal "
                f"sentences, such as {equal[0].good[:60]!r}, which no model can tell apart: remove "
                "them"
            )
        sentences = [sentence for pair in pairs for sentence in (pair.good, pair.bad)]
        ids = tokenizer.encode_batch(sentences, parse_special=True)
        longest = max(range(len(ids)), key=lambda i: len(ids[i]))
        tokens = len(ids[longest]) + tokenizer.framing.special_tokens(1)
        if tokens > positions:
            raise UserError(
                f"probes.pairs={path}: {sentences[longest][:60]!r} has {tokens} tokens, an arm "
                f"{positions} positions: shorten the sentence or leave its pair out"
            )
        leaks = text.holds(probe_name(path), ids).reshape(-1, 2).tolist()
        kept = [pair for pair, stands in zip(pairs, leaks, strict=True) if not any(stands)]
        _require_some(f"probes.pairs={path}", kept)
        return cls(probe_name(path), kept, len(pairs) - len(kept))

    def material(self) -> Any:
        """The pairs."""
        return [[p.paradigm, p.phenomenon, p.good, p.bad] for p in self.pairs]

    def measure(self, found: Pretrained) -> Scores:
        """By phenomenon; the mean is that of the paradigms."""
        assert found.tokenizer is not None, "a run has a tokenizer"
        good, bad = pair_likelihoods(found.cfg, found.params, found.tokenizer, self.pairs)
        scores = pair_scores(self.name, self.pairs, good, bad)
        return replace(scores, groups=[pair.phenomenon or pair.paradigm for pair in self.pairs])


@dataclass(frozen=True, eq=False)
class UnseenText:
    """Bits a byte of other text than the corpus's."""

    name: str
    texts: Sequence[str]
    left_out: int

    takes_detector = False

    @classmethod
    def read(cls, path: str, text: TrainingText, tokenizer: Tokenizer) -> UnseenText:
        """The documents of which no run of pieces stands in the training text."""
        texts = read_texts(path)
        leaks = text.holds(probe_name(path), tokenizer.encode_batch(texts)).tolist()
        kept = [text for text, stands in zip(texts, leaks, strict=True) if not stands]
        _require_some(f"probes.text={path}", kept)
        return cls(probe_name(path), kept, len(texts) - len(kept))

    def material(self) -> Any:
        """The documents."""
        return list(self.texts)

    def measure(self, found: Pretrained) -> Scores:
        """Of each document."""
        assert found.tokenizer is not None, "a run has a tokenizer"
        scores = text_scores(found.cfg, found.params, found.tokenizer, self.texts)
        return replace(scores["bits_per_byte"], name=self.name)


@dataclass(frozen=True, eq=False)
class TaggedWords:
    """What frozen states say of words' tags, to a linear classifier of each layer."""

    train: Sequence[Any]
    test: Sequence[Any]

    name, left_out, takes_detector = WORDS, 0, True

    def material(self) -> Any:
        """The sentences and their tags."""
        return [[list(e.texts), list(e.label)] for e in (*self.train, *self.test)]

    def measure(self, found: Pretrained) -> Scores:
        """The mean over all layers, so that no layer is chosen by what it is judged by."""
        assert found.tokenizer is not None, "a run has a tokenizer"
        of_layers = tag_scores(found.cfg, found.params, found.tokenizer, self.train, self.test)
        largest = max(int(name.partition("/")[0]) for name in of_layers)
        mine = [s.contributions for name, s in of_layers.items() if name.startswith(f"{largest}/")]
        unit = "of the words, the mean of the layers"
        return Scores(WORDS, np.mean(mine, axis=0), unit, "high")


def probe_name(path: str) -> str:
    """`blimp` for `data/blimp.jsonl.xz`."""
    return Path(path).name.partition(".")[0]


def _first_of_each(pairs: Sequence[Pair], most: int) -> Iterator[Pair]:
    """The first pairs of each paradigm, in the order of the file; all for 0."""
    seen: dict[str, int] = {}
    for pair in pairs:
        seen[pair.paradigm] = seen.get(pair.paradigm, 0) + 1
        if not most or seen[pair.paradigm] <= most:
            yield pair


def _require_some(what: str, kept: Sequence[Any]) -> None:
    if not kept:
        raise UserError(
            f"{what}: all of it stands in the training text: give other examples, or leave their "
            "documents out of the corpus"
        )
