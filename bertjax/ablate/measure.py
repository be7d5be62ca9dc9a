"""What is measured of a finished cell: the probes of the ablation, example by example."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bertjax.ablate.held_out import HeldOut
from bertjax.config import HELD_OUT, AblationConfig
from bertjax.durable import replace_file
from bertjax.errors import UserError
from bertjax.pretrained import Pretrained, open_newest
from bertjax.probe.minimal_pairs import Pair, pair_scores, read_pairs
from bertjax.probe.pseudo_likelihood import pseudo_log_likelihoods
from bertjax.probe.scores import Scores
from bertjax.train.data import Data


@dataclass(frozen=True)
class Probes:
    """The material of all probes, read once for the whole grid."""

    held_out: Mapping[str, HeldOut]  # of each corpus
    pairs: Mapping[str, list[Pair]]

    @classmethod
    def read(cls, cfg: AblationConfig, data: Data) -> Probes:
        """Read every file that is named.

        Raises:
            UserError: one is missing, empty, or no table of pairs; two have one name.
        """
        pairs: dict[str, list[Pair]] = {}
        for path in cfg.probes.pairs:
            name = probe_name(path)
            if name in pairs or name == HELD_OUT:
                raise UserError(f"probes.pairs={path}: a probe {name} is there already: rename it")
            pairs[name] = _first_of_each(read_pairs(path), cfg.probes.per_paradigm)
        corpora = data.held_out.items()
        return cls({name: HeldOut.plan(cfg.base, corpus) for name, corpus in corpora}, pairs)

    def names(self) -> list[str]:
        """Every probe, in the order of the report."""
        return [HELD_OUT, *self.pairs]

    def measure(self, run: Path) -> dict[str, Scores]:
        """Measure the model of a run as it is after its last step."""
        found = open_newest(run)
        scores = {HELD_OUT: self._losses(found)}
        for name, pairs in self.pairs.items():
            scores[name] = _score_pairs(name, pairs, found)
        return scores

    def _losses(self, found: Pretrained) -> Scores:
        """The masked loss of every held-out row, by corpus where there are several."""
        of_corpora = [rows.losses(found.cfg, found.params) for rows in self.held_out.values()]
        losses, weights = (np.concatenate(parts) for parts in zip(*of_corpora, strict=True))
        groups = np.repeat(list(self.held_out), [len(losses) for losses, _ in of_corpora]).tolist()
        several = groups if len(self.held_out) > 1 else ()
        return Scores(HELD_OUT, losses, "nats a piece", "low", several, weights)


def probe_name(path: str) -> str:
    """`blimp` for `data/blimp.jsonl.xz`."""
    return Path(path).name.partition(".")[0]


def _first_of_each(pairs: list[Pair], most: int) -> list[Pair]:
    """The first pairs of each paradigm, in the order of the file; all for 0."""
    seen: dict[str, int] = {}
    kept = []
    for pair in pairs:
        seen[pair.paradigm] = seen.get(pair.paradigm, 0) + 1
        if not most or seen[pair.paradigm] <= most:
            kept.append(pair)
    return kept


def _score_pairs(name: str, pairs: list[Pair], found: Pretrained) -> Scores:
    """Which acceptable sentences are likelier, by phenomenon; the mean is that of the paradigms."""
    assert found.tokenizer is not None, "a run has a tokenizer"
    sentences = [sentence for pair in pairs for sentence in (pair.good, pair.bad)]
    known, place = np.unique(np.array(sentences, object), return_inverse=True)
    likely = pseudo_log_likelihoods(found.cfg, found.params, found.tokenizer, known.tolist())
    good, bad = likely[place].reshape(-1, 2).T
    scores = pair_scores(name, pairs, good, bad)
    return replace(scores, groups=[pair.phenomenon or pair.paradigm for pair in pairs])


def save_scores(path: Path, scores: Mapping[str, Scores]) -> None:
    """Write what was measured, the same bytes for the same scores."""
    arrays: dict[str, np.ndarray] = {}
    for name, found in scores.items():
        about = json.dumps([found.unit, found.better])
        arrays[f"{name}/values"] = found.values
        arrays[f"{name}/weights"] = found.weights
        arrays[f"{name}/groups"] = np.array(found.groups, str)
        arrays[f"{name}/about"] = np.array(about)
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **arrays)
    replace_file(path, file.getvalue())


def load_scores(path: Path) -> dict[str, Scores]:
    """The inverse of `save_scores`."""
    return dict(_read(path))


def _read(path: Path) -> Iterator[tuple[str, Scores]]:
    with np.load(path, allow_pickle=False) as arrays:
        for key in arrays:
            name, _, what = key.rpartition("/")
            if what == "values":
                unit, better = json.loads(str(arrays[f"{name}/about"]))
                groups = tuple(arrays[f"{name}/groups"].tolist())
                weights = arrays[f"{name}/weights"]
                yield name, Scores(name, arrays[key], unit, better, groups, weights)
