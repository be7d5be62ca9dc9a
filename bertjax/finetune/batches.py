"""Rows of unequal length as batches of few shapes: a pure function of (rows, config, seed, step).

Rows are shuffled, sorted by length inside pools of many batches, cut into batches, and the batches
shuffled again; each is padded to the nearest of a few row lengths. So little is padding, and the
training step is compiled few times.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bertjax.data import keyed
from bertjax.tasks.task import Rows

_ORDER, _BATCHES = 1, 2  # keep the two shuffles of an epoch apart
_POOL = 50  # batches sorted together: longer rows together, yet no two epochs alike
_MULTIPLE = 8  # row lengths are multiples of it, for vector units
_WORTH = 0.05  # share of all tokens that one more length, and its compilation, has to save


class Plan(NamedTuple):
    """Groups of rows that make one batch, and the length they are padded to."""

    groups: np.ndarray  # int64 [<= batch size]
    length: int


def row_lengths(lengths: Sequence[int], at_most: int) -> tuple[int, ...]:
    """Choose the row lengths (multiples of 8, ascending) that waste least padding on `lengths`.

    Exact for its number of them, by dynamic programming over the distinct lengths; one more is
    only added where it saves a twentieth of the tokens.
    """
    rounded = -(-np.asarray(lengths, np.int64) // _MULTIPLE) * _MULTIPLE
    values, counts = np.unique(rounded, return_counts=True)
    m, below = len(values), np.concatenate([[0], np.cumsum(counts)])
    # cost[k][j]: padded tokens of the rows up to the j-th length, in k + 1 lengths, j the longest.
    cost = [values * below[1:]]
    came_from = []
    for _ in range(min(at_most, m) - 1):
        step = np.full((m, m), np.iinfo(np.int64).max // 2)
        for j in range(m):
            step[j, :j] = cost[-1][:j] + values[j] * (below[j + 1] - below[1 : j + 1])
        came_from.append(step.argmin(1))
        cost.append(step.min(1))
    used = 0
    while used + 1 < len(cost) and cost[used + 1][-1] < (1 - _WORTH) * cost[used][-1]:
        used += 1
    chosen, j = [m - 1], m - 1
    for k in range(used, 0, -1):
        j = int(came_from[k - 1][j])
        chosen.append(j)
    return tuple(int(values[j]) for j in reversed(chosen))


def training_plan(
    rows: Rows, lengths: Sequence[int], batch_size: int, seed: int, epoch: int
) -> list[Plan]:
    """The batches of one epoch, each group of rows in exactly one of them."""
    longest = _group_lengths(rows)
    order = np.argsort(keyed.bits(seed, _ORDER, epoch, np.arange(len(longest))), kind="stable")
    batches = []
    for start in range(0, len(order), batch_size * _POOL):
        pool = order[start : start + batch_size * _POOL]
        pool = pool[np.argsort(longest[pool], kind="stable")]
        batches += [pool[i : i + batch_size] for i in range(0, len(pool), batch_size)]
    shuffled = np.argsort(keyed.bits(seed, _BATCHES, epoch, np.arange(len(batches))), kind="stable")
    return [_plan(batches[i], longest, lengths) for i in shuffled]


def evaluation_plan(rows: Rows, lengths: Sequence[int], batch_size: int) -> list[Plan]:
    """All rows once, the shortest first."""
    longest = _group_lengths(rows)
    order = np.argsort(longest, kind="stable")
    return [
        _plan(order[i : i + batch_size], longest, lengths) for i in range(0, len(order), batch_size)
    ]


def row_indices(rows: Rows, plan: Plan) -> np.ndarray:
    """The rows of a plan's groups, int64 [groups · rows.group]."""
    return (plan.groups[:, None] * rows.group + np.arange(rows.group)).ravel()


def make_batch(rows: Rows, plan: Plan, batch_size: int, pad: int) -> dict[str, np.ndarray]:
    """Arrays of `batch_size` groups, those missing of weight 0.

    int32 [B, T] `tokens`, `token_types`, `positions`, `segments` (1, or 0 for padding), float32
    [B] `example_weights`, and the targets of `Rows`: `fixed` [B, ...], `ragged` [B, T] padded
    with -1; of a frozen encoder also float32 [B, T, S, D] `states`.
    """
    count, length = batch_size * rows.group, plan.length
    indices = row_indices(rows, plan)
    batch = {
        "tokens": _padded([rows.tokens[i] for i in indices], count, length, pad),
        "token_types": _padded([rows.token_types[i] for i in indices], count, length, 0),
        "positions": np.tile(np.arange(length, dtype=np.int32), (count, 1)),
        "segments": _padded([np.ones_like(rows.tokens[i]) for i in indices], count, length, 0),
        "example_weights": (np.arange(count) < len(indices)).astype(np.float32),
    }
    for name, values in rows.fixed.items():
        target = np.zeros((count, *values.shape[1:]), values.dtype)
        target[: len(indices)] = values[indices]
        batch[name] = target
    if rows.states:
        states = np.zeros((count, length, *rows.states[0].shape[1:]), np.float32)
        for place, i in enumerate(indices):
            states[place, : len(rows.states[i])] = rows.states[i]
        batch["states"] = states
    for name, arrays in rows.ragged.items():
        batch[name] = _padded([arrays[i] for i in indices], count, length, -1)
    return batch


def _plan(groups: np.ndarray, longest: np.ndarray, lengths: Sequence[int]) -> Plan:
    need = longest[groups].max()
    return Plan(groups, next(length for length in lengths if length >= need))


def _group_lengths(rows: Rows) -> np.ndarray:
    sizes = np.array([len(tokens) for tokens in rows.tokens], np.int64)
    return sizes.reshape(-1, rows.group).max(1)


def _padded(arrays: list[np.ndarray], count: int, length: int, fill: int) -> np.ndarray:
    out = np.full((count, length), fill, np.int32)
    for row, array in enumerate(arrays):
        out[row, : len(array)] = array
    return out
