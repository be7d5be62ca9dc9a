"""From parameters and rows to the scores of examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from bertjax import sharding
from bertjax.config import FinetuneConfig
from bertjax.finetuning.batches import Plan, evaluation_plan, make_batch, row_indices
from bertjax.finetuning.layout import Form
from bertjax.finetuning.step import Predict
from bertjax.tasks.task import Rows, Scores, Task
from bertjax.text.tokenizer import Tokenizer


def to_devices(
    mesh: Mesh, rows: Rows, plan: Plan, size: int, pad: int, numbers: np.ndarray | None = None
) -> dict[str, jax.Array]:
    """A plan's rows over the devices, in as many groups, `size` or a few more, as divide.

    `numbers`, if given, are those that the pieces have in the word table that looks them up.
    """
    while size * rows.group % mesh.devices.size:
        size += 1
    batch = make_batch(rows, plan, size, pad)
    if numbers is not None:
        batch["tokens"] = numbers[batch["tokens"]]
    return sharding.to_devices(mesh, batch, size * rows.group)


class Predictor:
    """Runs a compiled `predict` over rows, in few forms."""

    def __init__(
        self,
        cfg: FinetuneConfig,
        predict: Predict,
        mesh: Mesh,
        tokenizer: Tokenizer,
        forms: Sequence[Form],
    ):
        self.predict, self.mesh, self.forms = predict, mesh, forms
        self.pad = tokenizer.special.pad
        self.size = cfg.tune.evaluation_batch_size

    def batch(self, rows: Rows, plan: Plan, size: int) -> dict[str, jax.Array]:
        """A plan's rows over the devices, in as many groups, `size` or a few more, as divide."""
        return to_devices(self.mesh, rows, plan, size, self.pad)

    def outputs(self, params: Any, rows: Rows) -> tuple[list[dict[str, np.ndarray]], float | None]:
        """What the model says of every row, without padding, and its mean loss.

        The loss is that of the task without dropout; None where rows have no targets.
        """
        # Where training has them, or JAX would trace and compile for another place.
        params = jax.device_put(params, sharding.replicated(self.mesh))
        found: list[dict[str, np.ndarray]] = [{} for _ in rows.tokens]
        waiting: list[tuple[np.ndarray, Any]] = []
        losses: list[tuple[float, float]] = []  # sum and weight of each batch

        def collect(indices: np.ndarray, said: Any) -> None:
            arrays, loss = jax.device_get(said)
            if loss is not None:
                losses.append((float(loss[0]), float(loss[1])))
            for place, row in enumerate(indices):
                sizes = {name: self._size(rows, row, a[place]) for name, a in arrays.items()}
                found[row] = {n: arrays[n][place][: sizes[n]] for n in arrays}

        for plan in evaluation_plan(rows, self.forms, self.size):
            batch = self.batch(rows, plan, self.size)
            waiting.append((row_indices(rows, plan), self.predict(params, batch)))
            if len(waiting) > 1:  # the next batch is under way while this one is read
                collect(*waiting.pop(0))
        for indices, outputs in waiting:
            collect(indices, outputs)
        total, weight = np.sum(losses, axis=0) if losses else (0.0, 0.0)
        return found, float(total / weight) if weight else None

    def scores(self, params: Any, task: Task, rows: Rows) -> list[Scores]:
        """The scores of every example."""
        return self.scores_and_loss(params, task, rows)[0]

    def scores_and_loss(
        self, params: Any, task: Task, rows: Rows
    ) -> tuple[list[Scores], float | None]:
        """The scores of every example, and the mean loss of the rows (see `outputs`)."""
        outputs, loss = self.outputs(params, rows)
        return task.merge(rows, outputs), loss

    @staticmethod
    def _size(rows: Rows, row: int, array: np.ndarray) -> int | None:
        """How much of a row's output is real: words, tokens, or all of a sentence's classes."""
        if "word_positions" in rows.ragged:
            return len(rows.ragged["word_positions"][row])
        return len(rows.tokens[row]) if array.ndim == 2 else None
