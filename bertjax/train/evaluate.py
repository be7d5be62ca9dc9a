"""Held-out evaluation: the same rows, the same masks and no dropout, whenever it runs."""

from __future__ import annotations

from collections.abc import Callable

import jax
import numpy as np
from jax import Array
from jax.sharding import Mesh

from bertjax import model, sharding
from bertjax.config import MaskingConfig, PretrainConfig
from bertjax.data.batches import BatchSource, evaluation_batches
from bertjax.objectives import masking, pretraining
from bertjax.objectives.losses import Sums
from bertjax.text.special import SpecialIds
from bertjax.train.step import compute_of

# Always BERT's own 15 % of pieces, however the run is trained, so that runs compare; MosaicBERT
# and ModernBERT evaluate so too. The seed is the masks' only: it is not the run's.
EVALUATION_MASKING = MaskingConfig()
EVALUATION_SEED = 0


def make_evaluation_step(
    cfg: PretrainConfig, mesh: Mesh, special: SpecialIds, pieces: int = 0
) -> Callable[[model.Params, dict[str, Array]], dict[str, Sums]]:
    """Jitted (params, batch) -> sums of each objective over the batch.

    `pieces` is the tokenizer's number of ids; 0 takes the model's.
    """
    shapes = model.abstract_params(cfg.model)
    places = sharding.parameter_shardings(mesh, shapes, model.describe(cfg.model))
    compute = compute_of(cfg, mesh)
    with_pairs = cfg.predicts_pairs  # a head that is not trained has nothing to show

    def step(params: model.Params, batch: dict[str, Array]) -> dict[str, Sums]:
        params = jax.lax.with_sharding_constraint(params, sharding.gather_fsdp(places))
        batch = masking.mask_batch(
            EVALUATION_MASKING,
            batch,
            special=special,
            vocab_size=pieces or cfg.model.vocab_size,
            seed=EVALUATION_SEED,
        )
        outputs = model.apply(cfg.model, params, batch, compute=compute)
        return pretraining.objective_sums(outputs, batch, with_pairs)

    return jax.jit(
        step,
        in_shardings=(places, sharding.batch_sharding(mesh)),
        out_shardings=sharding.replicated(mesh),
    )


def rows_at_once(cfg: PretrainConfig, mesh: Mesh, batch_size: int) -> int:
    """Rows of one evaluation batch: a micro-batch of training, or fewer if fewer are asked for.

    So evaluation needs no more memory than a micro-batch does, and computes no row that is not
    asked for but those that fill up the last devices.
    """
    ways = sharding.batch_ways(mesh)
    return min(batch_size // cfg.train.accumulate, -(-cfg.train.eval_rows // ways) * ways)


def evaluate(
    step: Callable[[model.Params, dict[str, Array]], dict[str, Sums]],
    params: model.Params,
    source: BatchSource,
    mesh: Mesh,
    rows: int,
    at_once: int,
) -> dict[str, float]:
    """Mean `masked_lm_loss` (nats), `masked_lm_accuracy` and, with pairs, `next_sentence_*`.

    The first `rows` rows of the held-out split, in plan order, `at_once` of them in a batch; means
    over all predictions.
    """
    share = sharding.process_rows(mesh, at_once)
    totals: dict[str, np.ndarray] = {}
    for batch in evaluation_batches(source, rows, at_once, share):
        sums = step(params, sharding.to_devices(mesh, batch, at_once))
        for name, s in jax.device_get(sums).items():
            totals[name] = totals.get(name, 0.0) + np.asarray(s, np.float64)
    results = {}
    for name, (nll, correct, count) in totals.items():
        results[f"{name}_loss"] = float(nll / max(count, 1.0))
        results[f"{name}_accuracy"] = float(correct / max(count, 1.0))
    return results
