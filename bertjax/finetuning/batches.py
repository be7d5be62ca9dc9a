"""Rows of unequal length as batches of few forms: a pure function of (rows, forms, seed, epoch).

The groups of an epoch, sorted by length, are cut into stretches of as many as there are batches,
and each batch is dealt one of every stretch: so all hold about as many tokens, and `layout` can
give them one form.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bertjax.data import keyed
from bertjax.finetuning.layout import Form, Lengths, count_apart, deal, lay
from bertjax.tasks.task import Rows

_ORDER, _BATCHES = 2, 3  # keep the draws of an epoch apart


class Plan(NamedTuple):
    """Groups of rows that make one batch, and where its rows lie."""

    groups: np.ndarray  # int64 [<= batch size]
    form: Form
    begins: list[int]  # of each row, on lines end to end


def training_plan(
    rows: Rows, forms: Sequence[Form], batch_size: int, seed: int, epoch: int
) -> list[Plan]:
    """The batches of one epoch, each group of rows in exactly one of them."""
    lengths = Lengths.of([rows])
    among_equals = keyed.bits(seed, _ORDER, epoch, np.arange(len(lengths.rows)))
    plans = [
        _plan(batch, lengths, form)
        for order, form in _by_form(lengths, among_equals, forms, batch_size)
        for batch in deal(order, lengths, batch_size, seed, epoch)
    ]
    shuffled = np.argsort(keyed.bits(seed, _BATCHES, epoch, np.arange(len(plans))), kind="stable")
    return [plans[i] for i in shuffled]


class Beside:
    """Batches of other rows, one for each step of a run: all of them in turn, shuffled anew."""

    def __init__(self, rows: Rows, forms: Sequence[Form], batch_size: int, seed: int):
        self.rows, self.forms, self.size, self.seed = rows, forms, batch_size, seed
        self._turn, self._plans = 0, self._dealt(0)

    def rows_and_plan(self, step: int) -> tuple[Rows, Plan]:
        """What a step has beside its own batch: a pure function of the step."""
        turn, place = divmod(step, len(self._plans))  # as many in every turn
        if turn != self._turn:
            self._turn, self._plans = turn, self._dealt(turn)
        return self.rows, self._plans[place]

    def _dealt(self, turn: int) -> list[Plan]:
        return training_plan(self.rows, self.forms, self.size, self.seed, turn)


def evaluation_plan(rows: Rows, forms: Sequence[Form], batch_size: int) -> list[Plan]:
    """All rows once, in batches of as many groups as their form has room for."""
    lengths = Lengths.of([rows])
    plans = []
    for order, form in _by_form(lengths, np.arange(len(lengths.rows)), forms, batch_size):
        mixed = np.concatenate(list(deal(order, lengths, batch_size, 0, 0)))
        ends = np.cumsum(lengths.rows[mixed].sum(1))
        at = 0
        while at < len(mixed):
            full = (ends[at - 1] if at else 0) + form.lines * form.width
            batch = mixed[at : max(at + 1, np.searchsorted(ends, full, "right"))][:batch_size]
            while len(batch) > 1 and _laid(batch, lengths, form)[1] > form.lines:
                batch = batch[:-1]
            plans.append(_plan(batch, lengths, form))
            at += len(batch)
    return plans


def row_indices(rows: Rows, plan: Plan) -> np.ndarray:
    """The rows of a plan's groups, int64 [groups · rows.group]."""
    return (plan.groups[:, None] * rows.group + np.arange(rows.group)).ravel()


def make_batch(rows: Rows, plan: Plan, batch_size: int, pad: int) -> dict[str, np.ndarray]:
    """Arrays of a batch, of L lines of W tokens and B rows: `batch_size` groups.

    int32 [L, W] `tokens`, `token_types`, `positions`, `segments` (a number for each row, 0 for
    padding), int32 [B, T] `places` (of a row's tokens, on lines end to end; -1 for padding),
    float32 [B] `example_weights` (0 where there is no row), and the targets of `Rows`: `fixed`
    [B, ...], `ragged` [B, T] padded with -1; of a frozen encoder also float32 [L, W, S, D]
    `states`, and of rows that do not count alike float32 [B] `loss_weights`.
    """
    (lines, width, longest), count = plan.form, batch_size * rows.group
    indices = row_indices(rows, plan)
    sizes = [len(rows.tokens[i]) for i in indices]
    within = [np.arange(size, dtype=np.int32) for size in sizes]
    places = [begin + at for begin, at in zip(plan.begins, within, strict=True)]
    everywhere = np.concatenate(places)

    def on_lines(arrays: list[np.ndarray], fill: int = 0) -> np.ndarray:
        values = np.concatenate(arrays)
        flat = np.full((lines * width, *values.shape[1:]), fill, values.dtype)
        flat[everywhere] = values
        return flat.reshape(lines, width, *values.shape[1:])

    batch = {
        "tokens": on_lines([rows.tokens[i] for i in indices], pad),
        "token_types": on_lines([rows.token_types[i] for i in indices]),
        "positions": on_lines(within),
        "segments": on_lines([np.full_like(at, row) for row, at in enumerate(within, start=1)]),
        "places": _padded(places, count, longest),
        "example_weights": (np.arange(count) < len(indices)).astype(np.float32),
    }
    weights = {} if rows.weights is None else {"loss_weights": rows.weights}
    for name, values in (rows.fixed | weights).items():
        target = np.zeros((count, *values.shape[1:]), values.dtype)
        target[: len(indices)] = values[indices]
        batch[name] = target
    for name, arrays in rows.ragged.items():
        batch[name] = _padded([arrays[i] for i in indices], count, longest)
    if rows.states:
        batch["states"] = on_lines([rows.states[i] for i in indices])
    return batch


def _by_form(
    lengths: Lengths, among_equals: np.ndarray, forms: Sequence[Form], batch_size: int
) -> list[tuple[np.ndarray, Form]]:
    """The groups of each form, the longest first; the last batch of long ones is filled up."""
    order = np.lexsort((among_equals, -lengths.longest))
    apart = count_apart(lengths, forms[0].longest, batch_size) if len(forms) > 1 else 0
    parts = [(order[apart:], forms[0]), (order[:apart], forms[-1])]
    return [(part, form) for part, form in parts if len(part)]


def _laid(groups: np.ndarray, lengths: Lengths, form: Form) -> tuple[list[int], int]:
    return lay(lengths.rows[groups].ravel().tolist(), form.width)


def _plan(groups: np.ndarray, lengths: Lengths, form: Form) -> Plan:
    """A plan; in the rare case that the form is too small for a batch, of a larger one."""
    begins, lines = _laid(groups, lengths, form)
    times = max(1, -(-lines // form.lines))  # still a multiple of the devices
    return Plan(groups, form._replace(lines=times * form.lines), begins)


def _padded(arrays: list[np.ndarray], count: int, length: int) -> np.ndarray:
    out = np.full((count, length), -1, np.int32)
    for row, array in enumerate(arrays):
        out[row, : len(array)] = array
    return out
