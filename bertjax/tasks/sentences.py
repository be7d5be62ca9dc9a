"""Single texts and pairs of texts: reading, rows, windows; shared by the sentence tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bertjax.config import ExamplesConfig, FinetuneConfig
from bertjax.tasks.encode import shares, truncate, windows
from bertjax.tasks.label_column import Decided, LabelColumn
from bertjax.tasks.tables import read_table
from bertjax.tasks.task import Example, Rows, label_of
from bertjax.text.account import Account, Problem
from bertjax.text.tokenizer import Tokenizer


def read_sentences(
    path: str,
    cfg: FinetuneConfig,
    labelled: bool,
    decide: Callable[[list[LabelColumn]], Decided],
    account: Account,
    labels: Sequence[str] = (),
) -> tuple[list[Example], int]:
    """Examples with one text or two, and how many bad rows were left out.

    `decide` turns the columns `labels` (empty: `data.label`) into the labels of the examples.
    Without `labelled` they are not looked at and need not be there.

    Raises:
        UserError: the file cannot be read, or a row is bad and is not to be skipped.
    """
    data = cfg.data
    texts = (data.text, data.text_pair) if data.text_pair else (data.text,)
    labels = (labels or (data.label,)) if labelled else ()
    table = read_table(path, data, texts, labels, account)
    decided = Decided([None] * len(table.rows))
    if labelled:
        columns = [
            LabelColumn(
                path,
                name,
                [row.labels[name] for row in table.rows],
                cfg.task.labels,
                table.classes.get(name, ()),
            )
            for name in labels
        ]
        decided = decide(columns)
    examples: list[Example] = []
    for row, label in zip(table.rows, decided.labels, strict=True):
        if isinstance(label, Problem):
            account.leave(row.place, label)
        else:
            found = tuple(row.texts[column] for column in texts)
            examples.append(Example(row.place, row.id, found, label, decided.declared))
    return examples, account.count


def encode_sentences(
    examples: Sequence[Example], tokenizer: Tokenizer, data: ExamplesConfig
) -> Rows:
    """Rows without targets: of a text, or of a pair, as `tokenizer.framing` makes them.

    What does not fit is truncated by `data.truncation`, of a pair the longer text first; or, with
    `data.window_step`, a text becomes several rows (`_windowed`). With `data.both_orders` a pair
    has the rows of its exchange too, which weigh as much (Radford et al. 2018, section 3.3).
    """
    flat = [text for example in examples for text in example.texts]
    ids = iter(tokenizer.encode_batch(flat, parse_special=True))
    cut = _windowed if data.window_step else _truncated
    rows = Rows([], [], np.zeros(0, np.int64))
    owners: list[int] = []
    for i, example in enumerate(examples):
        texts = [next(ids) for _ in example.texts]
        budget = data.max_length - tokenizer.framing.special_tokens(len(texts))
        parts, lost = cut(texts, budget, data)
        if data.both_orders:
            parts = [*parts, *(part[::-1] for part in parts)]
        for part in parts:
            tokens, types = tokenizer.framing.row(*part)
            rows.tokens.append(tokens)
            rows.token_types.append(types)
            owners.append(i)
        rows.cut_tokens += lost
        rows.cut_examples += lost > 0
    rows.examples = np.array(owners, np.int64)
    return rows


Text = list[int]
Parts = list[list[Text]]  # for every row, the ids of its texts


def _truncated(texts: list[Text], budget: int, data: ExamplesConfig) -> tuple[Parts, int]:
    lengths = [len(text) for text in texts]
    kept = [budget] if len(texts) == 1 else shares((lengths[0], lengths[1]), budget)
    part = [_cut(text, room, data) for text, room in zip(texts, kept, strict=True)]
    return [part], sum(lengths) - sum(len(text) for text in part)


def _cut(text: Text, room: int, data: ExamplesConfig) -> Text:
    return [text[i] for i in truncate(len(text), room, data.truncation).tolist()]


def _windowed(texts: list[Text], budget: int, data: ExamplesConfig) -> tuple[Parts, int]:
    """Windows over the text, or over the longer one of a pair, the first on a tie.

    The other text of a pair stands in every row, truncated to half of the budget. Where it leaves
    windows shorter than `data.window_step`, they follow each other without overlap.
    """
    if len(texts) == 1:
        spans = windows(len(texts[0]), budget, data.window_step)
        return [[texts[0][start:end]] for start, end in spans], 0
    long = int(len(texts[1]) > len(texts[0]))
    other = texts[1 - long]
    kept = _cut(other, budget // 2, data)
    size = budget - len(kept)
    parts = []
    for start, end in windows(len(texts[long]), size, min(data.window_step, size)):
        part = texts[long][start:end]
        parts.append([kept, part] if long else [part, kept])
    return parts, len(other) - len(kept)


def all_labelled(examples: Sequence[Example]) -> bool:
    """Whether there are targets to train on or to score against."""
    return all(example.label is not None for example in examples)


def shown(example: Example) -> dict[str, Any]:
    """What a prediction says of the example: its id, its texts and its label."""
    texts = dict(zip(("text", "text_pair"), example.texts, strict=False))
    return {"id": example.id, **texts, **label_of(example.label)}


def weighted_mean(
    many: Sequence[Sequence[np.ndarray]], weights: Sequence[float]
) -> list[np.ndarray]:
    """The mean over models of the scores of each example, by the weights of the models."""
    return list(np.average(np.array(many, np.float64), axis=0, weights=weights))


class SentenceTask:
    """How the sentence tasks merge and combine: scores are float64 [C], and are averaged."""

    def merge(self, rows: Rows, outputs: Sequence[dict[str, np.ndarray]]) -> list[np.ndarray]:
        """The mean `probabilities` of the windows of each example."""
        if not outputs:
            return []
        values = np.stack([output["probabilities"] for output in outputs]).astype(np.float64)
        starts = np.flatnonzero(np.diff(rows.examples, prepend=-1))
        counts = np.diff(starts, append=len(values))
        return list(np.add.reduceat(values, starts) / counts[:, None])

    def combine(
        self, many: Sequence[Sequence[np.ndarray]], weights: Sequence[float]
    ) -> list[np.ndarray]:
        """The weighted mean of the models' scores of each example."""
        return weighted_mean(many, weights)
