"""What looks wrong with the classes of a training file, said before the first step."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from bertjax.text.account import Account

_FEW = 10  # rows, in which as many classes as rows are no surprise
_SEPARATORS = ",;|"
_BRACKETED = re.compile(r"\[.*\]|\(.*\)|\{.*\}", re.DOTALL)


def note_doubts(place: str, values: Sequence[Any], labels: Sequence[Any], account: Account) -> None:
    """Note labels that differ in case only or in what cannot be seen, that look like lists, that
    are as many as rows, and a -1 that may stand for none.

    `values` and `labels` are those of every row, as stored and as decided.
    """
    counts = Counter(label for label in labels if isinstance(label, str))
    spellings: dict[str, set[str]] = defaultdict(set)
    for value, label in zip(values, labels, strict=True):
        if isinstance(value, str) and isinstance(label, str):
            spellings[label].add(value.strip())
    for label, found in spellings.items():
        if len(found) > 1:
            shown = " and ".join(ascii(text) for text in sorted(found)[:3])
            account.note(f"{place}: {shown} are one label, {label!r}")
    for group in _alike(counts).values():
        if len(group) > 1:
            shown = ", ".join(f"{label!r} ({counts[label]:,})" for label in sorted(group))
            account.note(f"{place}: the labels {shown} differ only in case and are kept apart")
    bracketed = [label for label in counts if _BRACKETED.fullmatch(label)]
    if bracketed:
        account.note(
            f"{place}: the label {bracketed[0]!r} is in brackets: for lists of labels set "
            "task.family=multi_label"
        )
    joined = [label for label in counts if _joins(label, counts)]
    if joined:
        account.note(
            f"{place}: the label {joined[0]!r} joins other labels: for several a row set "
            "task.family=multi_label and data.label_separator"
        )
    rows = counts.total()
    if rows >= _FEW and len(counts) * 2 > rows:
        account.note(
            f"{place}: {len(counts):,} classes in {rows:,} rows, fewer than two rows a class: "
            "check data.label; numbers that measure something are task.family=regression"
        )
    if set(counts) == {"-1", "0", "1"}:
        account.note(
            f"{place}: {counts['-1']:,} rows have the label -1, which is taken for a class beside "
            '0 and 1: if it stands for none, set task.labels=\'["0","1"]\''
        )
    if "None" in counts:
        account.note(
            f"{place}: {counts['None']:,} rows have the label 'None', which is taken for a class"
        )


def _alike(counts: Counter[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for label in counts:
        groups[label.casefold()].append(label)
    return groups


def _joins(label: str, counts: Counter[str]) -> bool:
    for separator in _SEPARATORS:
        parts = [part.strip() for part in label.split(separator)]
        if len(parts) > 1 and all(part in counts for part in parts):
            return True
    return False
