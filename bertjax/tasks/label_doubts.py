"""What looks wrong with the classes of a training file, said before the first step."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from typing import Any

from bertjax.text.account import Account

_FEW = 10  # rows, in which as many classes as rows are no surprise
_SEPARATORS = ",;|"
_COMMA_NUMBER = re.compile(r"[-+]?\d+(,\d+)+(\.\d*)?")
_PLAIN_NUMBER = re.compile(r"[-+]?\d+(\.\d*)?")
# Letters of Cyrillic and Greek that no eye tells from Latin ones.
_LOOKALIKES = str.maketrans(
    "АВЕКМНОРСТХІЈЅасеорхуіјѕΑΒΕΖΗΙΚΜΝΟΡΤΥΧον", "ABEKMHOPCTXIJSaceopxyijsABEZHIKMNOPTYXov"
)
_BRACKETED = re.compile(r"\[.*\]|\(.*\)|\{.*\}", re.DOTALL)


def note_doubts(place: str, values: Sequence[Any], labels: Sequence[Any], account: Account) -> None:
    """Note labels that differ in case or zeros only or in what cannot be seen, that look like lists
    or like decimals, that are as many as rows, and a -1, NA or None that may stand for none.

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
    note_alike(place, "labels", counts, account)
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
    commas = [label for label in counts if _COMMA_NUMBER.fullmatch(label)]
    if commas and all(map(_PLAIN_NUMBER.fullmatch, counts.keys() - set(commas))):
        account.note(
            f"{place}: the labels are numbers with a comma, such as {min(commas)!r}: write "
            "decimals with a point and thousands without a mark, for task.family=regression; "
            "several labels a row are task.family=multi_label"
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
    for none in ("None", "NA"):  # a class of some data sets, such as NYT's and Namibia's
        if none in counts:
            account.note(
                f"{place}: {counts[none]:,} rows have the label {none!r}, which is taken for a "
                "class"
            )


def note_alike(place: str, what: str, counts: Counter[str], account: Account) -> None:
    """Note labels, or `what` else they are, that differ in little but are kept apart."""
    for group in _alike(counts).values():
        if len(group) > 1:
            how = "look alike"
            if len({label.casefold() for label in group}) == 1:
                how = "differ only in case"
            elif all(label.isascii() and label.isdecimal() for label in group):
                how = "differ only in zeros before them"
            shown = ", ".join(
                f"{ascii(label) if how == 'look alike' else repr(label)} ({counts[label]:,})"
                for label in sorted(group)
            )
            account.note(f"{place}: the {what} {shown} {how} and are kept apart")


def note_joined(place: str, labels: Collection[str], separator: str, account: Account) -> None:
    """Note labels of a multi_label column that may be several: cut wrongly, or not cut."""
    opened = {label for label in labels if label.startswith(("[", "(", "{"))}
    closed = {label for label in labels if label.endswith(("]", ")", "}"))}
    if opened - closed and closed - opened:
        account.note(
            f"{place}: the labels {min(opened - closed)!r} and {min(closed - opened)!r} have a "
            "bracket each: write lists as JSON or Python do, with quotes"
        )
    for other in _SEPARATORS:
        joined = [label for label in labels if other in label]
        known = [label for label in joined if _parts_known(label, other, labels)]
        if other != separator and joined and (known or len(joined) * 2 >= len(labels)):
            account.note(
                f"{place}: the label {min(joined)!r} may be several: if so, set "
                f"data.label_separator='{other}'"
            )


def _alike(counts: Counter[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for label in counts:
        shape = unicodedata.normalize("NFKC", label).translate(_LOOKALIKES)
        groups[shape.lstrip("0") if shape.isdecimal() else shape.casefold()].append(label)
    return groups


def _joins(label: str, labels: Collection[str]) -> bool:
    return any(_parts_known(label, separator, labels) for separator in _SEPARATORS)


def _parts_known(label: str, separator: str, labels: Collection[str]) -> bool:
    parts = [part.strip() for part in label.split(separator)]
    return len(parts) > 1 and all(part in labels for part in parts)
