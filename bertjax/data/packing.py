"""Putting several short examples into one row: longest-pack-first histogram packing.

Krell et al. 2021 (arXiv 2107.02027): only the number of examples of each length
matters, so the packing works on the histogram and costs the same for any corpus. Lengths are
placed from long to short; each goes to the fullest open pack that still has room for it.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass

import numpy as np

from bertjax.data.ragged import before, ragged

Pattern = tuple[int, ...]  # the example lengths that share a row, longest first


def pack_histogram(histogram: np.ndarray, max_packed: int) -> dict[Pattern, int]:
    """Choose how often to use which pattern, for `histogram[length]` examples of each length.

    A row holds `len(histogram) - 1` tokens and at most `max_packed` examples.
    """
    capacity = len(histogram) - 1
    closed: dict[Pattern, int] = {}
    open_packs: dict[int, dict[Pattern, int]] = {}  # by tokens of room left
    rooms: list[int] = []  # keys of open_packs, ascending

    def put(room: int, pattern: Pattern, count: int) -> None:
        if len(pattern) == max_packed:
            packs = closed
        else:
            if room not in open_packs:
                insort(rooms, room)
            packs = open_packs.setdefault(room, {})
        packs[pattern] = packs.get(pattern, 0) + count

    def fullest(length: int) -> tuple[int, Pattern, int] | None:
        """Take all packs of one pattern out of those that have the least room, but enough."""
        at = bisect_left(rooms, length)
        if at == len(rooms):
            return None
        room = rooms[at]
        pattern, count = open_packs[room].popitem()
        if not open_packs[room]:
            del open_packs[room], rooms[at]
        return room, pattern, count

    for length in np.flatnonzero(histogram)[::-1].tolist():
        left = int(histogram[length])
        while left:
            room, pattern, packs = fullest(length) or (capacity, (), left)
            each = min(room // length, max_packed - len(pattern), left)
            used = min(packs, left // each)
            put(room - each * length, pattern + (length,) * each, used)
            if pattern and packs > used:
                put(room, pattern, packs - used)
            left -= each * used
    for packs_of_room in open_packs.values():
        for pattern, count in packs_of_room.items():
            closed[pattern] = closed.get(pattern, 0) + count
    return closed


@dataclass(frozen=True, eq=False)
class Packing:
    """Which examples share a row. Rows of one pattern are neighbours: P patterns."""

    members: np.ndarray  # uint32 [examples], row after row
    first_row: np.ndarray  # int64 [P + 1], rows of pattern p begin here; ends with their number
    first_member: np.ndarray  # int64 [P], and their members begin here
    per_row: np.ndarray  # int64 [P], examples in each of them

    @classmethod
    def plan(cls, sizes: np.ndarray, seq_len: int, max_packed: int) -> Packing:
        """Pack examples of `sizes` [n] tokens (1 to `seq_len`) into rows of `seq_len`."""
        histogram = np.bincount(sizes, minlength=seq_len + 1)
        patterns = pack_histogram(histogram, max_packed)
        by_size = np.argsort(sizes, kind="stable").astype(np.uint32)
        taken = before(histogram)  # how far each size's examples are used up
        members = []
        for pattern, count in patterns.items():
            columns = []
            for size in pattern:
                columns.append(by_size[taken[size] : taken[size] + count])
                taken[size] += count
            members.append(np.stack(columns, 1).ravel())
        per_row = np.array([len(pattern) for pattern in patterns], np.int64)
        counts = np.array(list(patterns.values()), np.int64)
        rows = int(counts.sum())
        return cls(
            members=np.concatenate([np.zeros(0, np.uint32), *members]),
            first_row=np.append(before(counts), rows),
            first_member=before(counts * per_row),
            per_row=per_row,
        )

    def __len__(self) -> int:
        return int(self.first_row[-1])

    def examples(self, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Examples of the rows `row` [n], end to end, int64; and how many each row has, [n]."""
        pattern = np.searchsorted(self.first_row, row, side="right") - 1
        counts = self.per_row[pattern]
        first = self.first_member[pattern] + (row - self.first_row[pattern]) * counts
        owner, within = ragged(counts)
        return self.members[first[owner] + within].astype(np.int64), counts
