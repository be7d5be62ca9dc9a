"""What every task family does: read, encode, merge, combine, predict, score.

    file -> examples -> rows of tokens -> (the model) -> outputs of rows -> scores of examples
         -> predictions -> metrics

A family is one small file with a class that has these methods. All of it is NumPy on the host;
what runs on the device (the head, the loss) is in `bertjax.model.task` and
`bertjax.objectives.task_losses`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from bertjax.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Example:
    """One item of a file."""

    place: str  # "file:line", for messages
    id: str  # what a prediction is filed under; without one the number from 0, over all files
    texts: tuple[str, ...]  # by family: text(s) | words | question and context | text and endings
    label: Any = None  # by family; None where the file has none
    # All labels there are, in order, where the file says so; of tags, how IOBES is spelt there.
    declared: tuple[str, ...] = ()
    source: str = ""  # tagging: the text in which the words stand, where the file has it


def label_of(label: Any) -> dict[str, Any]:
    """What a prediction holds of an example's label: nothing where there is none."""
    if label is None:
        return {}
    return {"label": list(label) if isinstance(label, tuple) else label}


@dataclass
class Rows:
    """Examples as rows for the encoder, a long example as several.

    `fixed` holds targets of one shape for every row: `label` int32 [R], float32 [R] (regression)
    or [R, C] (multi_label), `span` int32 [R, 2]. `ragged` holds, for every row, int32 arrays no
    longer than its tokens, which batches pad with -1 to the length of the row: `word_positions`
    (where in the row a word's first piece lies) and `tags`.
    """

    tokens: list[np.ndarray]  # int32 [n], special tokens included
    token_types: list[np.ndarray]  # int32 [n]
    examples: np.ndarray  # int64 [R], ascending: the example each row belongs to
    fixed: dict[str, np.ndarray] = field(default_factory=dict)
    ragged: dict[str, list[np.ndarray]] = field(default_factory=dict)
    details: list[Any] = field(default_factory=list)  # one a row: what `merge` needs of it
    states: list[np.ndarray] = field(default_factory=list)  # of a frozen encoder, [n, S, D] each
    group: int = 1  # consecutive rows that make one decision: the endings of a choice
    cut_tokens: int = 0  # left out by truncation
    cut_examples: int = 0  # that lost any
    weights: np.ndarray | None = None  # float32 [R], of each row in the loss; None: 1 each

    def select(self, kept: np.ndarray) -> Rows:
        """The rows of some examples (ascending), which are numbered anew."""
        chosen = np.flatnonzero(np.isin(self.examples, kept))

        def of(values: list[Any]) -> list[Any]:
            return [values[i] for i in chosen] if values else []

        return Rows(
            of(self.tokens),
            of(self.token_types),
            np.searchsorted(kept, self.examples[chosen]),
            {name: values[chosen] for name, values in self.fixed.items()},
            {name: of(arrays) for name, arrays in self.ragged.items()},
            of(self.details),
            of(self.states),
            self.group,
            weights=None if self.weights is None else self.weights[chosen],
        )


Prediction = dict[str, Any]  # a JSON object, of one example
Scores = Any  # of one example, by family; what models are averaged over


class Task(Protocol):
    """A task family, made for a config and its labels."""

    metrics: tuple[str, ...]  # that `score` gives for sure; the first chooses the best epoch
    labels: tuple[str, ...]  # in order of ids; ("score",) for regression, () for spans and choices

    def encode(self, examples: Sequence[Example], tokenizer: Tokenizer) -> Rows:
        """Rows of tokens with their targets (absent where an example has no label).

        Raises UserError, naming file and line, for a label that is not one of `labels`.
        """

    def merge(self, rows: Rows, outputs: Sequence[dict[str, np.ndarray]]) -> list[Scores]:
        """From what the model said of every row to the scores of every example.

        `outputs` has one dict a row: `probabilities` [C] (regression: the value, [1];
        multiple_choice: [1], this ending's share), [W, C] for the words of a tagging row
        (and `path` int [W], the CRF's best tags) or `logits` [n, 2] (span_qa). Windows of one
        example are merged here.
        """

    def combine(self, many: Sequence[Sequence[Scores]], weights: Sequence[float]) -> list[Scores]:
        """Scores of an ensemble: `many` holds each model's scores of the same examples."""

    def predict(self, examples: Sequence[Example], scores: Sequence[Scores]) -> list[Prediction]:
        """JSON objects, one an example: `id`, its text, `label` if it has one, and `prediction`.

        The label is written as the prediction is, so that the two compare.
        """

    def score(self, examples: Sequence[Example], scores: Sequence[Scores]) -> dict[str, Any]:
        """Metrics over labelled examples: numbers by name, and tables under `report`."""
