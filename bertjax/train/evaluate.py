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
from bertjax.data.corpus import Corpus
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
    places = sharding.parameter_shardings(mesh, shapes)
    compute = compute_of(cfg, mesh)
    with_pairs = cfg.train.next_sentence_loss  # a head that is not trained has nothing to show

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


def evaluate(
    step: Callable[[model.Params, dict[str, Array]], dict[str, Sums]],
    params: model.Params,
    source: BatchSource,
    mesh: Mesh,
    rows: int,
) -> dict[str, float]:
    """Mean `masked_lm_loss` (nats), `masked_lm_accuracy` and, with pairs, `next_sentence_*`.

    The first `rows` rows of the held-out split, in plan order; means over all predictions.
    """
    share = sharding.process_rows(mesh, source.batch_size)
    totals: dict[str, np.ndarray] = {}
    for batch in evaluation_batches(source, rows, share):
        sums = step(params, sharding.to_devices(mesh, batch, source.batch_size))
        for name, s in jax.device_get(sums).items():
            totals[name] = totals.get(name, 0.0) + np.asarray(s, np.float64)
    results = {}
    for name, (nll, correct, count) in totals.items():
        results[f"{name}_loss"] = float(nll / max(count, 1.0))
        results[f"{name}_accuracy"] = float(correct / max(count, 1.0))
    return results


def unigram_entropy(corpus: Corpus) -> float:
    """Entropy in nats of a corpus's own token frequencies.

    No predictor that ignores context can do better on this corpus, even one that knows its
    frequencies beforehand; a loss that stays here has learnt nothing from context.
    """
    counts = np.zeros(corpus.vocab_size, np.int64)
    for start in range(0, len(corpus.tokens), 1 << 22):
        counts += np.bincount(corpus.tokens[start : start + (1 << 22)], minlength=len(counts))
    p = counts[counts > 0] / max(1, counts.sum())
    return float(-(p * np.log(p)).sum())
