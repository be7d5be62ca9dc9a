"""What a pretraining objective is: all that the step, the logs and evaluation ask of one."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Protocol

import jax.numpy as jnp
from jax import Array

from bertjax import model
from bertjax.config import MaskingConfig
from bertjax.objectives.losses import Mean

Batch = dict[str, Array]

# Held-out text is always masked as BERT's own, 15 % of pieces, however a run is trained, so that
# runs compare; MosaicBERT and ModernBERT evaluate so too. The seed is that of the draws only: it is
# not the run's.
EVALUATION_MASKING = MaskingConfig()
EVALUATION_SEED = 0


class Objective(Hashable, Protocol):
    """A frozen, hashable value of one file; it knows no mesh, no optimizer and no loop.

    A step corrupts the whole batch, counts the terms of each loss in it, and then asks for the sums
    of each micro-batch. All randomness but dropout's is drawn in `corrupt`, or keyed by a row's
    number there, so that meshes and micro-batches change no draw.
    """

    @property
    def weights(self) -> Mapping[str, float]:
        """The losses of the step by the name of their metric, and what each is multiplied by."""

    @property
    def selects(self) -> str:
        """The loss that is lowest for the best parameters, by the same name.

        Its weight counts the tokens whose logits over the vocabulary were computed.
        """

    @property
    def shown(self) -> Mapping[str, str]:
        """Label -> metric, in the order of the progress line; the first is a loss."""

    @property
    def never_predicted(self) -> tuple[int, ...]:
        """Ids of real tokens that are no label of `selects` on held-out text."""

    def corrupt(self, batch: Batch, seed: Array | int, position: Array | float = 0.0) -> Batch:
        """The batch of `data.batches` as its models see it, and what they must predict.

        `seed` is the run's, or `EVALUATION_SEED`; `position` is the step's place in the schedule
        of `train.steps`.
        """

    def counts(self, batch: Batch) -> dict[str, Array]:
        """The denominator of each of `weights` over a whole corrupted batch, float32 scalars."""

    def sums(
        self, params: model.Params, batch: Batch, compute: model.Compute, key: Array | None
    ) -> dict[str, Mean]:
        """All metrics of a (micro-)batch by name, `weights` among them; a key turns dropout on."""

    def evaluation(self) -> Objective:
        """The same at the fixed setting in which held-out text is measured."""

    def predictions(self, seq_len: int) -> float:
        """Tokens of a full row whose logits over the vocabulary are computed, on average."""


def loss(
    objective: Objective,
    params: model.Params,
    batch: Batch,
    counts: dict[str, Array],
    compute: model.Compute,
    key: Array | None,
) -> tuple[Array, dict[str, Mean]]:
    """The loss of a (micro-)batch as its share of the whole batch's loss.

    Args:
        objective: what is optimised.
        params: of all its models.
        batch: from `objective.corrupt`.
        counts: `objective.counts` of the whole batch: every loss is divided by its global count,
            so micro-batches and devices add up to the exact mean.
        compute: how the models are computed.
        key: dropout key, or None.

    Returns:
        The scalar to differentiate, and the metrics for the log.
    """
    sums = objective.sums(params, batch, compute, key)
    total = sum(
        weight * sums[name].total / jnp.maximum(counts[name], 1.0)
        for name, weight in objective.weights.items()
    )
    return jnp.asarray(total), sums
