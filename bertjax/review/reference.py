"""Curves of finished runs of shipped recipes: nats under the unigram entropy, by tokens.

`curves/NAME.json` is made by `scripts/reference_curve.py` from real runs:

  recipe         the name of the file in configs/
  fields         dotted field of the config -> value: what a run must have to be set beside it
  text, device   what the runs were trained on, in words
  seeds          of the runs
  tokens         real ones that they had seen at each place
  below          of each run and place, unigram entropy of the held-out rows less the loss on them

Differences from the unigram entropy compare across tokenizers and texts better than losses do, and
not exactly: on other text a curve is some tenths of a nat elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import resources
from typing import Any

import numpy as np

from bertjax.config import PretrainConfig
from bertjax.tree import flatten

FOLDER = "curves"
# What no curve shows: the text's vocabulary, names, and which GELU the head has.
_NOT_COMPARED = (
    *("model/vocab_size", "model/family", "model/next_sentence_head", "model/head_activation"),
)


@dataclass(frozen=True)
class Reference:
    """Runs of one recipe."""

    recipe: str
    fields: Mapping[str, Any]
    text: str
    device: str
    seeds: Sequence[int]
    tokens: Sequence[float]
    below: Sequence[Sequence[float]]

    def band(self, tokens: float) -> tuple[float, float] | None:
        """The lowest and the highest of the runs after so many tokens; None beyond their ends."""
        if not self.tokens[0] <= tokens <= self.tokens[-1]:
            return None
        found = [float(np.interp(tokens, self.tokens, of_run)) for of_run in self.below]
        return min(found), max(found)

    def curves(
        self, unigram_entropy: float, tokens_a_step: float
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Steps and losses of each run, as one has them on rows of that entropy in such steps."""
        steps = np.asarray(self.tokens) / tokens_a_step
        return [(steps, unigram_entropy - np.asarray(of_run)) for of_run in self.below]


def references() -> list[Reference]:
    """Every curve that is shipped, by name."""
    folder = resources.files("bertjax.review") / FOLDER
    files = sorted((file for file in folder.iterdir()), key=lambda file: file.name)
    return [
        Reference(**json.loads(file.read_text(encoding="utf-8")))
        for file in files
        if file.name.endswith(".json")
    ]


def reference_of(cfg: PretrainConfig) -> Reference | None:
    """Runs of the same model on rows of the same shape; masks, rates and length may be others."""
    own = compared_fields(cfg)
    return next((one for one in references() if one.fields.items() <= own.items()), None)


def compared_fields(cfg: PretrainConfig) -> dict[str, Any]:
    """What `reference_of` goes by: the model, the shape of rows, what is learnt."""
    phases = tuple(replace(phase, weights=(), mask_rate=()) for phase in cfg.data.phases)
    parts = {
        "model": asdict(cfg.model),
        "data": {"format": cfg.data.format, "phases": [asdict(phase) for phase in phases]},
        "replaced_tokens": {"weight": cfg.replaced_tokens.weight},
    }
    found = {k: v for k, v in flatten(parts).items() if k not in _NOT_COMPARED}
    return json.loads(json.dumps({k.replace("/", "."): v for k, v in found.items()}))
