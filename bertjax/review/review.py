"""Is the loss of a run normal? What is said at its end, and kept in its directory for `compare`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from bertjax import written
from bertjax.config import PretrainConfig
from bertjax.data.batches import Batches, BatchSource
from bertjax.data.corpus import Corpus
from bertjax.durable import write_json
from bertjax.objectives.objective import Objective
from bertjax.review.bigram import bigram_loss
from bertjax.review.causes import Cause, causes
from bertjax.review.reference import reference_of
from bertjax.review.signs import log_signs, row_signs, text_signs
from bertjax.terminal import count

_BATCHES, _ROWS = 16, slice(0, 32)  # that are looked at: over a run, and of each
_PLATEAU = 0.03  # of the unigram entropy: a loss that is nearer to it has not left it
_BEHIND = 0.6  # of what reference runs had learnt by then


_FORM = {  # of review.json
    "step": int,
    "tokens": written.NUMBER,
    "loss": written.NULLABLE,
    "unigram_entropy": written.NUMBER,
    "bigram_loss": written.NULLABLE,
    "recipe": str,
    "band": ([written.NUMBER, written.NUMBER], None),
    "causes": [{"name": str, "says": str}],
}


@dataclass(frozen=True)
class Review:
    """A finished run beside its text and beside reference runs."""

    step: int
    tokens: float
    loss: float  # on held-out rows, nats a piece
    unigram_entropy: float  # of the same rows
    bigram_loss: float | None  # on the same rows; None where more than pieces of text is predicted
    recipe: str  # of the reference; "" where there is none
    band: tuple[float, float] | None  # nats under the unigram entropy after as many tokens
    causes: tuple[Cause, ...]

    @property
    def below(self) -> float:
        """How much the run has learnt from context, nats a piece."""
        return self.unigram_entropy - self.loss

    def lines(self) -> list[str]:
        """What to say of it, a line each."""
        said = f"{_apart(self.below)} the unigram entropy of the same rows"
        if self.bigram_loss is not None:
            said += f", {_apart(self.bigram_loss - self.loss)} a bigram model's loss on them"
            said += f" ({self.bigram_loss:.4f})"
        lines = [said]
        if self.band is not None:
            low, high = (f"{nats:.2f}" for nats in self.band)
            between = low if low == high else f"{low} to {high}"
            lines.append(
                f"recipe {self.recipe} was {between} nats under the unigram entropy of "
                f"its rows after {count(self.tokens)} tokens"
            )
        return lines + [f"look at {cause.name}: {cause.says}" for cause in self.causes]


def _apart(nats: float) -> str:
    return f"{abs(nats):.2f} nats {'under' if nats >= 0 else 'above'}"


def review(
    cfg: PretrainConfig,
    objective: Objective,
    train: Mapping[str, Corpus],
    held_out: Mapping[str, BatchSource],
    batches: Batches,
    steps: int,
    log: Sequence[Mapping[str, Any]],
    tokens: float,
) -> Review:
    """Look at a run that has ended.

    Args:
        cfg: the run.
        objective: of its last phase.
        train: its corpora by name.
        held_out: the rows of its last phase that it was measured on, likewise.
        batches: those of its last phase.
        steps: how many of them it took.
        log: the rows of its metrics.jsonl.
        tokens: real ones that it has seen.
    """
    evaluated = [row for row in log if row["kind"] == "evaluation"][-1]
    value = evaluated[objective.selects]
    value = float("inf") if value is None else value
    entropy, phase = evaluated["unigram_entropy"], evaluated["phase"]
    shares = cfg.data.shares(phase)
    special = next(iter(train.values())).special
    of_bigrams = None
    if {special.cls, special.sep} <= set(objective.never_predicted):
        each = [
            bigram_loss(corpus, held_out[name], cfg.train.eval_rows, objective.never_predicted)
            for name, corpus in train.items()
        ]
        of_bigrams = float(np.average(each, weights=shares))
    found = reference_of(cfg)
    band = found.band(tokens) if found else None
    below = entropy - value
    plateau = below < _PLATEAU * entropy or (band is not None and below < _BEHIND * band[0])
    at = np.unique(np.linspace(0, max(0, steps - 1), _BATCHES).astype(int)).tolist()
    largest = max(zip(shares, train.values(), strict=True), key=lambda pair: pair[0])[1]
    return Review(
        step=evaluated["step"],
        tokens=tokens,
        loss=value,
        unigram_entropy=entropy,
        bigram_loss=of_bigrams,
        recipe=found.recipe if found and band else "",
        band=band,
        causes=tuple(
            causes(
                cfg,
                text_signs(largest),
                row_signs([batches.batch(i, _ROWS) for i in at]),
                log_signs(log, objective.selects),
                plateau,
            )
        ),
    )


def save_review(path: Path, found: Review) -> None:
    """Write it as JSON."""
    write_json(path, asdict(found))


def load_review(path: Path) -> Review | None:
    """The inverse; None where there is none, as in runs that have not ended."""
    if not path.exists():
        return None
    found = written.read(path, _FORM)
    found = {field.name: found[field.name] for field in fields(Review)}
    found["causes"] = tuple(Cause(one["name"], one["says"]) for one in found["causes"])
    found["loss"] = float("inf") if found["loss"] is None else found["loss"]
    found["band"] = tuple(found["band"]) if found["band"] else None
    return Review(**found)
