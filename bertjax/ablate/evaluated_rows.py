"""On which held-out rows a run is evaluated: what its config and its corpora say of them.

`train/evaluate.py` takes the first `train.eval_rows` of the plan that `data/batches.py` makes of
the held-out documents for the phase in question. No batch, mask, rate or seed of the run is part of
that.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import Any

from bertjax.config import DataConfig, PretrainConfig


def other_rows(configs: Mapping[str, PretrainConfig], corpora: Mapping[str, str]) -> list[str]:
    """What says that runs were evaluated on other rows than one another; nothing if it is the same.

    `corpora` has the identity of each run's corpora, empty where it is not known.
    """
    found = [_rows(cfg) for cfg in configs.values()]
    named = [name for name in found[0] if any(of[name] != found[0][name] for of in found)]
    known = {corpora[name] for name in configs} - {""}
    return [*(["corpus"] if len(known) > 1 else []), *named]


def _rows(cfg: PretrainConfig) -> dict[str, Any]:
    data = cfg.data.without_pair_loss  # a loss of pairs changes no row
    cut = data.pairing is not None and data.pairing.shape == "segment_pair"
    return {
        "data.format": data.format,
        "data.phases": _stretches(data),
        "data.max_packed": data.max_packed,
        "data.short_seq_prob": data.short_seq_prob if cut else None,
        "train.eval_rows": cfg.train.eval_rows,
    }


def _stretches(data: DataConfig) -> list[tuple[Any, float]]:
    """Stretches of a run that are evaluated on the same rows, and the share of the steps of each.

    Pairs are drawn anew in each phase; of several corpora the mean is by the weights of the phase.
    """

    def rows(phase: int) -> tuple[Any, ...]:
        drawn = phase if data.pairing is not None else None
        return data.phases[phase].seq_len, data.shares(phase), drawn

    return [
        (of, sum(data.phases[phase].fraction for phase in phases))
        for of, phases in groupby(range(len(data.phases)), rows)
    ]
