"""Multiple choice: which of the endings goes with a text, as in SWAG and RACE."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from bertjax.config import FinetuneConfig
from bertjax.errors import UserError
from bertjax.tasks.encode import shares, truncate
from bertjax.tasks.label_values import is_missing, is_number, spelt, spelt_number
from bertjax.tasks.race_file import is_race, read_race
from bertjax.tasks.sentences import all_labelled, weighted_mean
from bertjax.tasks.tables import read_table, row_account
from bertjax.tasks.task import Example, Prediction, Rows, label_of
from bertjax.text.account import Account, Problem
from bertjax.text.tokenizer import Tokenizer


def read(
    path: str, cfg: FinetuneConfig, labelled: bool = True, account: Account | None = None
) -> tuple[list[Example], int]:
    """Examples with texts (text, ending, ...), and how many bad rows were left out.

    A table has the columns `data.text`, `data.choices` and `data.label`. Where `data.text_pair`
    names one, it begins every ending: SWAG's `sent2`, a question. The label is the right ending's
    number from 0, its letter (A, B, ...) or its column's name; it becomes the number. Where columns
    have numbers as names, all labels of the file are either. A directory
    or a .json file, where no `data.layout` says otherwise, is RACE's: its questions have as many
    options as `data.choices` has names, and one with a `_` in it has the option put there
    (facebookresearch/fairseq examples/roberta/preprocess_RACE.py).

    Raises:
        UserError: the file cannot be read, or a row is bad and is not to be skipped.
    """
    account = account or row_account(cfg.data)
    race = not cfg.data.layout and is_race(path)
    rows = list(_race(path, account) if race else _table(path, cfg, labelled, account))
    present = [label for *_, label in rows if not is_missing(label)]
    spell = spelt_number if all(map(is_number, present)) else spelt
    words = {spell(v) for v in present if is_number(v) or isinstance(v, str)}
    by_name = _are_names(path, words, cfg.data.choices)
    examples = []
    for place, id, texts, label in rows:
        try:
            if len(texts) - 1 != len(cfg.data.choices):
                raise Problem(
                    "other options",
                    f"{len(texts) - 1} options where data.choices names {len(cfg.data.choices)}",
                )
            if not all(text.strip() for text in texts):
                raise Problem("blank text", "the text or one of its endings is blank")
            number = _number(label, spell, cfg.data.choices, by_name) if labelled else None
        except Problem as problem:
            account.leave(place, problem)
        else:
            examples.append(Example(place, id, texts, number))
    return examples, account.count


_Row = tuple[str, str, tuple[str, ...], Any]  # place, id, text and endings, label


def _table(path: str, cfg: FinetuneConfig, labelled: bool, account: Account) -> Iterator[_Row]:
    data = cfg.data
    beginnings = (data.text_pair,) if data.text_pair else ()
    texts = (data.text, *beginnings, *data.choices)
    table = read_table(path, data, texts, (data.label,) if labelled else (), account)
    for row in table.rows:
        values = row.texts
        beginning = f"{values[data.text_pair].rstrip()} " if data.text_pair else ""
        endings = (beginning + values[name] for name in data.choices)
        yield row.place, row.id, (values[data.text], *endings), row.labels.get(data.label)


def _are_names(path: str, labels: set[str], choices: Sequence[str]) -> bool:
    """Whether digits are names of endings and not their numbers from 0, which a column says.

    Raises:
        UserError: numbers from 1, of which all but the last would mean another ending; or digits
            that are both or neither, as where the endings are columns of a file without a header.
    """
    if labels == {str(i + 1) for i in range(len(choices))} and not labels <= set(choices):
        raise UserError(
            f"{path}: the labels go from 1 to {len(choices)}, and endings are counted from 0: "
            "subtract 1, or give letters or the names of data.choices"
        )
    digits = {label for label in labels if label.isdecimal()}
    named = {name: str(i) for i, name in enumerate(choices) if name.isdecimal()}
    if all(name == number for name, number in named.items()):
        return False
    names, numbers = digits <= named.keys(), digits <= {str(i) for i in range(len(choices))}
    if names == numbers and any(named.get(label) != label for label in digits):
        raise UserError(
            f"{path}: data.choices={','.join(choices)} names endings by numbers, and the labels "
            f"{', '.join(sorted(digits)[:5])} are {'both' if names else 'neither all'} such names "
            f"{'and' if names else 'nor all'} numbers of endings from 0: give letters (A, B, ...)"
        )
    return names


def _race(path: str, account: Account) -> Iterator[_Row]:
    for item in read_race(path, account):
        form = item.question if "_" in item.question else f"{item.question.rstrip()} _"
        endings = (form.replace("_", option) for option in item.options)
        yield item.place, item.id, (item.article, *endings), item.answer


def _number(value: Any, spell: Callable[[Any], str], choices: Sequence[str], by_name: bool) -> int:
    """The number of the ending that a label means; `Problem` where it means none."""
    if is_missing(value):
        raise Problem("without a label", f"no label: {'null' if value is None else repr(value)}")
    label, letters = spell(value), string.ascii_uppercase[: len(choices)]
    if label in choices and (by_name or not label.isdecimal()):
        return choices.index(label)
    if label.isdecimal() and int(label) < len(choices):
        return int(label)
    if len(label) == 1 and label.upper() in letters:
        return letters.index(label.upper())
    raise Problem(
        "another label",
        f"label {label!r} is none of the {len(choices)} endings: give 0 to {len(choices) - 1}, "
        f"A to {letters[-1]}, or one of {', '.join(choices)}",
    )


class MultipleChoice:
    """One of the endings of every text; scores are the endings' shares float64 [C]."""

    metrics: tuple[str, ...] = ("accuracy",)
    labels: tuple[str, ...] = ()

    def __init__(self, cfg: FinetuneConfig, labels: tuple[str, ...] = ()):
        self.data = cfg.data
        if cfg.data.window_step:
            raise UserError(
                f"data.window_step={cfg.data.window_step} with task.family=multiple_choice: an "
                "ending is one row, which is truncated; use 0"
            )

    def encode(self, examples: Sequence[Example], tokenizer: Tokenizer) -> Rows:
        """Rows of text and ending as a pair, one an ending; see `Task.encode`.

        The target `label` int32 [R] is the right ending's number in all rows of its example. Of
        text and ending the longer one is truncated first, by `data.truncation`.
        """
        rows = Rows([], [], np.zeros(0, np.int64), group=len(self.data.choices))
        flat = [text for example in examples for text in example.texts]
        ids = iter(tokenizer.encode_batch(flat, parse_special=True))
        budget = self.data.max_length - tokenizer.framing.special_tokens(2)
        how = self.data.truncation
        for example in examples:
            text, *endings = (np.array(next(ids), np.int32) for _ in example.texts)
            lost = 0
            for ending in endings:
                kept = shares((len(text), len(ending)), budget)
                pair = [
                    part[truncate(len(part), room, how)]
                    for part, room in zip((text, ending), kept, strict=True)
                ]
                tokens, types = tokenizer.framing.row(*pair)
                rows.tokens.append(tokens)
                rows.token_types.append(types)
                lost += len(text) + len(ending) - sum(kept)
            rows.cut_tokens += lost
            rows.cut_examples += lost > 0
        rows.examples = np.repeat(np.arange(len(examples)), rows.group)
        if all_labelled(examples):
            labels = np.array([example.label for example in examples], np.int32)
            rows.fixed["label"] = labels[rows.examples]
        return rows

    def merge(self, rows: Rows, outputs: Sequence[dict[str, np.ndarray]]) -> list[np.ndarray]:
        """The shares of each example's endings."""
        values = [float(output["probabilities"][0]) for output in outputs]
        return list(np.array(values).reshape(-1, rows.group))

    def combine(
        self, many: Sequence[Sequence[np.ndarray]], weights: Sequence[float]
    ) -> list[np.ndarray]:
        """The weighted mean of the models' shares."""
        return weighted_mean(many, weights)

    def predict(
        self, examples: Sequence[Example], scores: Sequence[np.ndarray]
    ) -> list[Prediction]:
        """The number of the likeliest ending, its column's name, and the share of each."""
        names = self.data.choices
        return [
            {
                "id": example.id,
                "text": example.texts[0],
                "endings": list(example.texts[1:]),
                **label_of(example.label),
                "prediction": int(np.argmax(score)),
                "choice": names[int(np.argmax(score))],
                "probabilities": dict(zip(names, map(float, score), strict=True)),
            }
            for example, score in zip(examples, scores, strict=True)
        ]

    def score(self, examples: Sequence[Example], scores: Sequence[np.ndarray]) -> dict[str, Any]:
        """Accuracy; `collapsed` where all predictions are one number although the labels vary."""
        truth = np.array([example.label for example in examples])
        predicted = np.argmax(scores, axis=1)
        return {
            "accuracy": float(np.mean(truth == predicted)),
            "collapsed": bool(len(np.unique(predicted)) == 1 < len(np.unique(truth))),
        }
