"""Which shapes batches have: as few as compiling them is worth, with little padding in each.

Rows of tokens share lines. A line is one row of the arrays that the encoder sees: several rows of
a batch end to end, each a segment of its own that attends to nothing else, as in packed
pretraining. Batches are dealt from all lengths alike (`bertjax.finetuning.batches`), so that one
form fits them all. Rows that are much longer than the rest would make every line as long as they
are, and attention pays for the length of a line; they are given batches and a form of their own
where that saves more than compiling the second form costs.

All is a pure function of lengths and config: what compiling costs is told in FLOPs, not by a clock.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from bertjax.config import FinetuneConfig, ModelConfig
from bertjax.data import keyed
from bertjax.shapes import rounded_up
from bertjax.tasks.task import Rows

_DEALT = 1  # keeps these draws apart from those of `batches`
_MULTIPLE = 8  # widths of lines are multiples of it, for vector units
_DEALS, _TRIED = 4, 64  # epochs, and the fullest of their batches, that a form is made for


class Form(NamedTuple):
    """The shape of a batch."""

    lines: int
    width: int  # tokens that a line holds
    longest: int  # tokens of the longest row, to which targets of tokens are padded


# What compiling a layer costs, and an element of an attention matrix, in FLOPs of the products that
# two cores of a shared x86 machine do in that time: docs/performance.md, "Fine-tuning".
_COMPILED_STEP, _COMPILED_PREDICTION, _SCORE = 1.5e11, 2.5e10, 256


@dataclass(frozen=True)
class Cost:
    """What decides whether a second form is worth compiling."""

    model: ModelConfig
    passes: float  # through all rows, forwards; a step has the work of three
    compilation: float  # FLOPs a layer

    def token(self, width: int) -> float:
        """Forward FLOPs of a token through a layer, in lines of `width`."""
        of_keys = 4 * self.model.inner_size + _SCORE * self.model.num_heads
        return 2 * self.model.layer_size + width * of_keys


class Lengths(NamedTuple):
    """Tokens of rows that stay together, such as the endings of a choice."""

    rows: np.ndarray  # int64 [G, rows of a group]

    @classmethod
    def of(cls, parts: Sequence[Rows]) -> Lengths:
        """Of all rows of `parts`, which are of one task."""
        sizes = [len(tokens) for rows in parts for tokens in rows.tokens]
        return cls(np.array(sizes, np.int64).reshape(-1, parts[0].group))

    @property
    def longest(self) -> np.ndarray:
        """The longest row of each group, int64 [G]."""
        return self.rows.max(1)


def training_forms(cfg: FinetuneConfig, parts: Sequence[Rows], devices: int) -> tuple[Form, ...]:
    """Forms of the batches that train all models of a run on `parts`, or on some of their rows."""
    passes = 3 * cfg.tune.epochs * cfg.tune.models if cfg.tune.layers != 0 else 0
    cost = _cost(cfg, passes, _COMPILED_STEP)
    return choose_forms(Lengths.of(parts), cfg.tune.batch_size, devices, cost)


def beside_forms(cfg: FinetuneConfig, rows: Rows, devices: int) -> tuple[Form, ...]:
    """The one form of the batches that stand beside others: two would double the programs."""
    cost = Cost(cfg.model, 0, math.inf)
    return choose_forms(Lengths.of([rows]), cfg.tune.batch_size, devices, cost)


def evaluation_forms(
    cfg: FinetuneConfig, parts: Sequence[Rows], devices: int, passes: int
) -> tuple[Form, ...]:
    """Forms of the batches that go through all `parts`, so many times."""
    cost = _cost(cfg, passes, _COMPILED_PREDICTION)
    return choose_forms(Lengths.of(parts), cfg.tune.evaluation_batch_size, devices, cost)


def form_of_one_batch(rows: Rows, devices: int) -> Form:
    """A form of few for rows that make one batch: another text of a program has it again."""
    lines = devices * int(rounded_up(-(-len(rows.tokens) // devices)))
    width = int(rounded_up(max(map(len, rows.tokens))))
    return Form(lines, width, width)


def _cost(cfg: FinetuneConfig, passes: float, compilation: float) -> Cost:
    """With `tune.row_lengths=1` no second form is worth its price."""
    return Cost(cfg.model, passes, compilation if cfg.tune.row_lengths > 1 else math.inf)


def choose_forms(lengths: Lengths, size: int, devices: int, cost: Cost) -> tuple[Form, ...]:
    """One form, or two, for batches of `size` groups over `devices`; the shorter rows' first."""
    order = np.argsort(-lengths.longest, kind="stable")
    before = np.concatenate([[0], np.cumsum(lengths.rows[order].sum(1))])
    bounds = np.unique(_rounded(lengths.longest))[::-1]
    apart = np.array([count_apart(lengths, bound, size) for bound in bounds])
    tokens = np.array([cost.token(bound) for bound in bounds])
    prices = before[apart] * tokens[0] + (before[-1] - before[apart]) * tokens
    best = int(np.argmin(prices))
    if (prices[0] - prices[best]) * cost.passes <= cost.compilation:
        best = 0
    parts = [order[apart[best] :], order[: apart[best]]]
    return tuple(
        _form(Lengths(lengths.rows[part]), size, devices, cost) for part in parts if len(part)
    )


def count_apart(lengths: Lengths, bound: int, size: int) -> int:
    """How many groups, the longest, are in batches for rows beyond `bound`: full ones."""
    beyond = int(np.sum(lengths.longest > bound))
    return min(-(-beyond // size) * size, len(lengths.rows))


def _rounded(longest: Any) -> Any:
    return -(-longest // _MULTIPLE) * _MULTIPLE


def _form(lengths: Lengths, size: int, devices: int, cost: Cost) -> Form:
    """The cheapest shape that holds every batch of some epochs, and a row more for others."""
    order = np.argsort(-lengths.longest, kind="stable")
    dealt = [batch for epoch in range(_DEALS) for batch in deal(order, lengths, size, 0, epoch)]
    batches = sorted((lengths.rows[batch].ravel() for batch in dealt), key=np.sum)[-_TRIED:]
    longest = int(_rounded(lengths.rows.max()))

    spare = int(lengths.rows.mean())

    def lines(width: int) -> int:
        most = max(lay([*batch.tolist(), spare], width)[1] for batch in batches)
        return -(-most // devices) * devices

    widths = range(longest, 2 * longest + 1, _MULTIPLE)
    forms = [Form(lines(width), width, longest) for width in widths]
    return min(forms, key=lambda form: form.lines * form.width * cost.token(form.width))


def lay(sizes: Sequence[int], width: int) -> tuple[list[int], int]:
    """Where rows begin on lines that follow each other, and how many lines they need.

    The longest row comes first, and each goes to the first line with room (first-fit decreasing).
    """
    begins: list[int] = [0] * len(sizes)
    room: list[int] = []
    for row in sorted(range(len(sizes)), key=lambda row: -sizes[row]):
        line = next((i for i, left in enumerate(room) if left >= sizes[row]), len(room))
        if line == len(room):
            room.append(width)
        begins[row] = (line + 1) * width - room[line]
        room[line] -= sizes[row]
    return begins, len(room)


def deal(
    order: np.ndarray, lengths: Lengths, size: int, seed: int, epoch: int
) -> Iterator[np.ndarray]:
    """Deal the groups `order`, the longest first, to batches of at most `size` that weigh alike.

    Each batch has one group of every stretch of the order: the batch that holds most so far gets
    the group with fewest tokens, and chance decides among equals.
    """
    count = -(-len(order) // size)
    stretches = np.pad(order, (0, -len(order) % count), constant_values=-1).reshape(-1, count)
    tokens = np.append(lengths.rows.sum(1), 0)  # and of no group, which is -1
    draws = keyed.bits(seed, _DEALT, epoch, np.arange(2 * stretches.size))
    dealt, held = np.empty_like(stretches), np.zeros(count, np.int64)
    for row, (stretch, draw) in enumerate(zip(stretches, draws.reshape(-1, 2, count), strict=True)):
        takers = np.lexsort((draw[0], -held))
        dealt[row, takers] = stretch[np.lexsort((draw[1], tokens[stretch]))]
        held += tokens[dealt[row]]
    for batch in dealt.T:
        yield batch[batch >= 0]
