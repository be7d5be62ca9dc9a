"""Which examples train, which choose the best epoch, which are scored, which have no labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from bertjax.config import FinetuneConfig
from bertjax.data import keyed
from bertjax.errors import UserError
from bertjax.tasks.families import label_names, learnt_examples, read_examples
from bertjax.tasks.label_values import visible
from bertjax.tasks.tables import row_account
from bertjax.tasks.task import Example
from bertjax.tasks.unlabelled import read_unlabelled
from bertjax.text.account import Account, Problem

_HOLD_OUT, _FOLDS = 1, 2  # keep the draws of the two apart
_SPLIT_SEED = 0  # the same split for every seed of a model, so that their scores compare
_SHOWN = 8  # labels in a line


@dataclass(frozen=True)
class Splits:
    """The examples of a run."""

    train: list[Example]
    dev: list[Example]
    test: list[Example]  # empty: none was named
    labels: tuple[str, ...]
    family: str = ""  # of the task
    accounts: dict[str, Account] = field(default_factory=dict)  # of what was read, by split
    unlabelled: list[Example] = field(default_factory=list)  # none of them in train or dev

    @property
    def skipped(self) -> dict[str, int]:
        """Bad rows left out, by split."""
        return {name: account.count for name, account in self.accounts.items()}

    def report(self) -> list[str]:
        """Lines that say what was read, left out and looks wrong, and which labels there are."""
        lines = []
        for name, account in self.accounts.items():
            for word, rest in account.lines():
                lines.append(f"{_WORDS[word]:<7}{name}: {rest}")
        labels = [example.label for example in self.train]
        if self.family == "classification":
            lines.append(f"labels {self._counts(labels)}")
        elif self.family == "multi_label":
            counts = self._counts([label for several in labels for label in several])
            lines.append(f"labels {counts}; no label {labels.count(()):,}")
        return lines

    def _counts(self, labels: Sequence[str]) -> str:
        counts = Counter(labels)
        shown = [f"{label} {counts[label]:,}" for label in self.labels[:_SHOWN]]
        return ", ".join(shown + ["..."] * (len(self.labels) > _SHOWN))


_WORDS = {"read": "read", "left out": "left", "not read": "aside", "note": "note"}


def open_splits(cfg: FinetuneConfig) -> Splits:
    """Read the files that `cfg.data` names.

    Raises:
        UserError: no training file is named, a file cannot be read, or nothing is left to train
            on or to choose by.
    """
    if not cfg.data.train:
        raise UserError("data.train is empty: give data.train=FILE, or tfds:NAME:SPLIT")
    accounts = {"train": row_account(cfg.data)}
    train, _ = read_examples(cfg.data.train, cfg, account=accounts["train"])
    if cfg.data.max_rows:
        train = train[: cfg.data.max_rows]
    labels = label_names(cfg, train)
    known = cfg
    if cfg.task.family == "multi_label":  # by labels vectors are told, where all are alike
        known = replace(cfg, task=replace(cfg.task, labels=labels))
    apart: dict[str, list[Example]] = {"dev": [], "test": []}
    for name, path in (("dev", cfg.data.dev), ("test", cfg.data.test)):
        if path:
            accounts[name] = row_account(cfg.data)
            apart[name], _ = read_examples(path, known, account=accounts[name])
    _note_equals(cfg, train, apart, accounts)
    if not cfg.data.dev and not cfg.tune.folds:
        train, apart["dev"] = hold_out(train, cfg.data.dev_share)
        accounts["dev"] = row_account(cfg.data)
        _note_untaught(train, labels, accounts["train"])
    for name, examples in (("train", train), *apart.items()):
        for example in examples:
            if example.label is None:
                raise UserError(
                    f"{example.place}: data.{name} has an example without a label: leave "
                    "unlabelled files to `bertjax predict`"
                )
    for name, examples in apart.items():
        if examples:
            examples[:] = learnt_examples(examples, labels, accounts[name])
    if cfg.tune.folds:
        folds(train, cfg.tune.folds)  # or it is refused before anything is written
    found = Splits(train, apart["dev"], apart["test"], labels, cfg.task.family, accounts)
    return replace(found, unlabelled=_unlabelled(cfg, found)) if cfg.data.unlabelled else found


def _unlabelled(cfg: FinetuneConfig, splits: Splits) -> list[Example]:
    """The rows that `data.unlabelled` names but those with the texts of labelled ones.

    Raises:
        UserError: a row has the text of one of dev and may not be left out, or none is left.
    """
    path, account = cfg.data.unlabelled, row_account(cfg.data)
    splits.accounts["unlabelled"] = account
    task = replace(cfg.task, labels=splits.labels)  # by which tags in columns are known
    examples, _ = read_unlabelled(path, replace(cfg, task=task), account)
    account.hint = ": take such rows out, or leave them out with data.skip_bad_rows=true"
    keys = {name: set(map(text_key, getattr(splits, name))) for name in ("train", "dev", "test")}
    in_dev = [example for example in examples if text_key(example) in keys["dev"]]
    if in_dev:
        said = (
            f"its text is in dev too, as those of {len(in_dev):,} of {len(examples):,} rows are, "
            "and what is learnt from cannot choose the best epoch"
        )
        account.leave(in_dev[0].place, Problem("in dev", said), len(in_dev))
    apart = [example for example in examples if text_key(example) not in keys["dev"]]
    kept = [example for example in apart if text_key(example) not in keys["train"]]
    if not kept:
        raise UserError(
            f"data.unlabelled={path}: each of its {len(examples)} rows has the text of a labelled "
            "one, so that there is nothing new in it: give other rows"
        )
    if known := len(apart) - len(kept):
        account.note(f"{known:,} of {len(examples):,} rows are labelled in data.train: left out")
    if scored := sum(text_key(example) in keys["test"] for example in kept):
        account.note(
            f"{scored:,} of {len(kept):,} rows are in data.test too: its score is of texts that "
            "were learnt from without their labels"
        )
    return kept


def hold_out(examples: Sequence[Example], share: float) -> tuple[list[Example], list[Example]]:
    """Set a share of the examples aside, drawn by their number and never by order of the file.

    Equal examples stay on one side, and pairs with their exchange.
    """
    equals = _equals(examples)
    draws = keyed.bits(_SPLIT_SEED, _HOLD_OUT, equals)
    count = round(share * len(examples))
    if not 0 < count < len(examples):
        raise UserError(
            f"data.dev_share={share} of {len(examples)} examples leaves {count} for dev: give "
            "data.dev=FILE, or a share that leaves at least one on both sides"
        )
    order = np.argsort(draws, kind="stable")
    bounds = np.flatnonzero(np.diff(equals[order])) + 1  # where the next different example is
    if not len(bounds):
        raise UserError(
            f"{examples[0].place}: all {len(examples)} examples have the same text, so that none "
            "can be held out: give data.dev=FILE"
        )
    count = int(bounds[min(int(np.searchsorted(bounds, count)), len(bounds) - 1)])
    held = set(order[:count].tolist())
    kept = [e for i, e in enumerate(examples) if i not in held]
    return kept, [e for i, e in enumerate(examples) if i in held]


def folds(examples: Sequence[Example], ways: int) -> list[np.ndarray]:
    """Cut examples into folds with as many different ones, give or take one: sorted indices.

    Equal examples are in one fold, and pairs with their exchange. The same folds for every seed.
    """
    equals = _equals(examples)
    distinct: np.ndarray = np.unique(equals)
    if ways > len(distinct):
        raise UserError(
            f"tune.folds={ways} of {len(distinct)} different examples: use at most {len(distinct)}"
        )
    draws = keyed.bits(_SPLIT_SEED, _FOLDS, distinct)
    order = distinct[np.argsort(draws, kind="stable")]
    return [np.flatnonzero(np.isin(equals, order[i::ways])) for i in range(ways)]


def _key(example: Example) -> tuple[str, ...]:
    """What equal examples have in common: texts but for case, spaces and what cannot be seen."""
    return tuple(visible(text).casefold() for text in example.texts)


def _any_order(key: tuple[str, ...]) -> tuple[str, ...]:
    """What a pair has in common with itself exchanged."""
    return tuple(sorted(key)) if len(key) == 2 else key


def text_key(example: Example) -> tuple[str, ...]:
    """What examples that are one have in common, pairs with their exchange among them."""
    return _any_order(_key(example))


def different(examples: Sequence[Example]) -> int:
    """How many examples there are if equal ones count once."""
    return len(set(map(text_key, examples)))


def _equals(examples: Sequence[Example]) -> np.ndarray:
    """For each example the index of the first one with the same texts in any order, int64 [E]."""
    first: dict[tuple[str, ...], int] = {}
    return np.array([first.setdefault(text_key(e), i) for i, e in enumerate(examples)], np.int64)


def _note_untaught(train: Sequence[Example], labels: Sequence[str], account: Account) -> None:
    """Note classes whose examples were all held out; tags and sets of labels have no such count."""
    left = {example.label for example in train if isinstance(example.label, str)}
    gone = [label for label in labels if label not in left] if left else []
    if gone:
        account.note(
            f"all examples of {', '.join(map(repr, gone[:_SHOWN]))} are held out for dev, and none "
            "is left to learn from: give data.dev=FILE, or more examples"
        )


def _note_equals(
    cfg: FinetuneConfig,
    train: Sequence[Example],
    apart: dict[str, list[Example]],
    accounts: dict[str, Account],
) -> None:
    """Note examples that are there twice where that would flatter a score or confuse a model."""
    by_key: dict[tuple[str, ...], Example] = {}
    repeated = torn = 0
    for example in train:
        before = by_key.setdefault(_key(example), example)
        repeated += before is not example
        torn += before.label != example.label
    if torn:
        accounts["train"].note(
            f"{torn:,} of {len(train):,} examples have the text of another one and another label"
        )
    if repeated and (cfg.tune.folds or not cfg.data.dev):
        accounts["train"].note(
            f"{repeated:,} of {len(train):,} examples are equal to another one: they stay on one "
            "side of the split"
        )
    chosen_by = set(map(_key, apart["dev"]))
    scored_too = sum(_key(example) in chosen_by for example in apart["test"])
    if scored_too:
        accounts["test"].note(
            f"{scored_too:,} of {len(apart['test']):,} examples are in data.dev too, by which the "
            "best epoch is chosen: the score says more of that choice than of the task"
        )
    exchanged = {_any_order(key) for key in by_key}
    for name, examples in apart.items():
        keys = [key for example in examples if (key := _key(example)) not in by_key]
        if turned := sum(_any_order(key) in exchanged for key in keys):
            accounts[name].note(
                f"{turned:,} of {len(examples):,} examples are in data.train with their two texts "
                "exchanged: where labels stay the same, the score says more of memory than of the "
                "task"
            )
        shared = [example for example in examples if _key(example) in by_key]
        if shared:
            accounts[name].note(
                f"{len(shared):,} of {len(examples):,} examples are in data.train too, the first "
                f"at {shared[0].place}: the score says more of memory than of the task"
            )
