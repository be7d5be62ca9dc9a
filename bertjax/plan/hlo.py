"""The collectives of an optimised HLO module, read from its text.

XLA has no interface to its cost model of collectives, so the text is what there is. Three things
in it would mislead a plain count: a collective that runs beside other work appears once in every
fusion it accompanies, with the same chain_id; what a loop's body holds runs once a round; and on
TPUs a reduce-scatter is an all-reduce inside a fusion of that name.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")

_COMPUTATION = re.compile(r"^(ENTRY )?%?(\S+) \(.*\{$")
_COLLECTIVE = re.compile(rf" = (.*?) ({'|'.join(KINDS)})(-start)?\(")
_CALLED = re.compile(
    r"(?:calls|to_apply|body|condition|true_computation|false_computation)=%([^\s,}]+)"
    r"|branch_computations=\{([^}]*)\}"
)
_WHILE = re.compile(r" while\(.*condition=%([^\s,}]+), body=%([^\s,}]+)")
_TRIP_COUNT = re.compile(r'"known_trip_count":\{"n":"(\d+)"')
_BOUND = re.compile(r"^  (?:ROOT )?%(\S+) = s32\[\]\S* constant\((\d+)\)", re.M)
_LESS = re.compile(r"^  ROOT .* compare\([^,]*%\S+, [^,]*%([^\s)]+)\), direction=LT", re.M)
_ARRAY = re.compile(r"(pred|[a-z]+(\d+)\w*)\[([\d,]*)\]")


@dataclass(frozen=True)
class Collective:
    """One collective operation of a step."""

    kind: str  # one of KINDS
    bytes: int  # of the whole array: gathered, or before it is reduced and scattered
    group: int  # chips that take part together
    times: int = 1  # runs a step; in loops of unknown length, of one round

    @property
    def sent(self) -> float:
        """Bytes each chip sends, ring algorithms (Patarasuk & Yuan 2009), in all runs."""
        if self.kind == "collective-permute":
            return float(self.bytes * self.times)
        passes = 2 if self.kind == "all-reduce" else 1
        return passes * (self.group - 1) / self.group * self.bytes * self.times


def collectives(text: str, devices: int) -> list[Collective]:
    """Every collective over more than one chip of a module compiled for `devices` chips."""
    computations = split_computations(text)
    runs = _runs(computations)
    found: dict[str, Collective] = {}
    for name, lines in computations.items():
        for number, line in enumerate(lines):
            matched = _COLLECTIVE.search(line)
            if matched and runs[name]:
                chain = re.search(r'chain_id="(\d+)"', line)
                key = chain[0] if chain else f"{name}:{number}"
                scattered = name.startswith("all-reduce-scatter")
                found[key] = _collective(matched, line, devices, runs[name], scattered)
    return [c for c in found.values() if c.group > 1]


def split_computations(text: str) -> dict[str, list[str]]:
    """Instructions of every computation by its name; the entry's name is ''."""
    result: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.splitlines():
        opening = _COMPUTATION.match(line)
        if opening:
            lines = result["" if opening[1] else opening[2]] = []
        elif line.startswith("  "):
            lines.append(line)
    return result


def _runs(computations: dict[str, list[str]]) -> dict[str, int]:
    """How often each computation runs in a step."""
    calls: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for name, lines in computations.items():
        for line in lines:
            rounds = loop_rounds(line, computations)
            for one, several in _CALLED.findall(line):
                for called in [one] if one else re.findall(r"%([^\s,]+)", several):
                    calls[name].append((called, rounds))
    runs: dict[str, int] = defaultdict(int)

    def visit(name: str, times: int) -> None:
        runs[name] = max(runs[name], times)
        for called, rounds in calls[name]:
            if runs[called] < times * rounds:
                visit(called, times * rounds)

    visit("", 1)
    return runs


def loop_rounds(line: str, computations: dict[str, list[str]]) -> int:
    """Rounds of a `while` with a constant bound, as `lax.scan` makes; 1 for anything else."""
    loop = _WHILE.search(line)
    if loop is None:
        return 1
    known = _TRIP_COUNT.search(line)
    if known:
        return int(known[1])
    condition = "\n".join(computations.get(loop[1], []))
    bound = _LESS.search(condition)
    return int(dict(_BOUND.findall(condition)).get(bound[1], 1)) if bound else 1


def _collective(
    matched: re.Match[str], line: str, devices: int, times: int, scattered: bool
) -> Collective:
    result, kind, start = matched[1], matched[2], matched[3]
    if start and kind != "all-reduce":  # (operands, results, ...)
        result = _elements(result)[1]
    group = 2 if kind == "collective-permute" else _group_size(line, devices)
    size = array_bytes(result)
    if kind == "reduce-scatter":
        size *= group
    return Collective("reduce-scatter" if scattered else kind, size, group, times)


def _elements(tuple_type: str) -> list[str]:
    """Split `(a, (b, c), d)` at its outermost commas; brackets of any kind nest."""
    parts, depth, start = [], 0, 1
    for at, character in enumerate(tuple_type):
        depth += (character in "([{") - (character in ")]}")
        if (character == "," and depth == 1) or (character == ")" and depth == 0):
            parts.append(tuple_type[start:at])
            start = at + 1
    return parts


def array_bytes(type_text: str) -> int:
    """Bytes of all arrays in an HLO type, without padding; `bf16[2,3]{1,0}` has 12."""
    total = 0
    for dtype, bits, dimensions in _ARRAY.findall(type_text):
        width = 8 if dtype == "pred" else int(bits)
        total += math.ceil(math.prod(int(n) for n in dimensions.split(",") if n) * width / 8)
    return total


def _group_size(line: str, devices: int) -> int:
    """Chips in a replica group, from any of the four ways in which XLA writes them."""
    if listed := re.search(r"replica_groups=\{\{([\d,]+)\}", line):
        return listed[1].count(",") + 1
    if iota := re.search(r"replica_groups=\[(\d+),(\d+)\]<=", line):
        return int(iota[2])
    if mesh := re.search(
        r"replica_groups=mesh\[([^\]]*)\](?:, device_ids=\(\S+\))? \{([^}]*)\}", line
    ):
        sizes = dict(re.findall(r"('[^']+')=(\d+)", mesh[1]))
        parts = re.findall(r"('[^']+')(?::\(\d+\)(\d+))?", mesh[2])  # 'a':(1)2 is part of 'a'
        return math.prod(int(part or sizes[axis]) for axis, part in parts)
    return devices  # {}: all of them


def by_kind(found: Iterable[Collective]) -> dict[str, tuple[int, int]]:
    """Kind -> (operations, bytes) of a step."""
    totals: dict[str, tuple[int, int]] = {}
    for one in found:
        count, size = totals.get(one.kind, (0, 0))
        totals[one.kind] = (count + one.times, size + one.bytes * one.times)
    return totals
