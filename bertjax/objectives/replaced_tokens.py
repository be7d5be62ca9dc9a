"""Replaced-token detection (ELECTRA, Clark et al. 2020, section 2).

A generator is trained as a masked LM. What it draws for the masks stands in the model's row, and
the model says of each real token, special ones included, whether it is another than the text's. A
draw that happens to be the text's token counts as the text's. No gradient goes through the draw.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from bertjax import model
from bertjax.config import PretrainConfig
from bertjax.model.layers import split_key
from bertjax.model.networks import generator_of, model_of
from bertjax.objectives.losses import Mean
from bertjax.objectives.masked_lm import masked_lm_sums
from bertjax.objectives.masks import Masks
from bertjax.objectives.objective import EVALUATION_MASKING, Batch

_DRAWS = 1  # sets the key of a row's draws apart from that of its masks


@dataclass(frozen=True)
class ReplacedTokens:
    """Both networks of `cfg` in one step (google-research/electra run_pretraining.py).

    Reads `tokens`, `token_types`, `positions`, `segments`, `word_starts` and `example_ids` of a
    batch.
    """

    cfg: PretrainConfig
    masks: Masks  # of the generator

    # The generator's: its masks are the same at every evaluation. The other loss rises as the
    # generator learns to deceive, so its lowest value would be that of a poor generator.
    selects = "masked_lm_loss"
    shown = {  # noqa: RUF012 (a constant of the class, not of an instance)
        "loss": "masked_lm_loss",
        "acc": "masked_lm_accuracy",
        "replaced loss": "replaced_token_loss",
        "precision": "replaced_token_precision",
        "recall": "replaced_token_recall",
    }

    @property
    def weights(self) -> dict[str, float]:
        """1 of the generator, `replaced_tokens.weight` of the model."""
        weight = self.cfg.replaced_tokens.weight
        return {"masked_lm_loss": 1.0, "replaced_token_loss": weight}

    @property
    def never_predicted(self) -> tuple[int, ...]:
        """What begins and ends segments: evaluation masks neither."""
        return (self.masks.special.cls, self.masks.special.sep)

    def corrupt(self, batch: Batch, seed: Array | int, position: Array | float = 0.0) -> Batch:
        """Masked for the generator; beside it the text, and the keys of what the generator draws.

        `original_tokens` int32 [B, T]; `draw_keys` uint32 [B, 2].
        """
        keys_B = jax.vmap(partial(key_of_draws, seed))(batch["example_ids"])
        return self.masks.put(batch, seed, position) | {
            "original_tokens": batch["tokens"],
            "draw_keys": jax.random.key_data(keys_B),
        }

    def counts(self, batch: Batch) -> dict[str, Array]:
        """Masks, and real tokens."""
        return {
            "masked_lm_loss": jnp.sum(batch["predict_weights"]),
            "replaced_token_loss": jnp.sum(batch["segments"] != 0).astype(jnp.float32),
        }

    def sums(
        self, params: model.Params, batch: Batch, compute: model.Compute, key: Array | None
    ) -> dict[str, Mean]:
        """`masked_lm_*` of the generator, `replaced_token_*` of the model.

        Precision and recall are of the replaced tokens, at a probability of one half.
        """
        generator_key, model_key = split_key(key, 2)
        generator, of_generator = generator_of(self.cfg, params)
        masked = model.apply(generator, of_generator, batch, compute=compute, key=generator_key)
        logits_BKV = masked["masked_lm_logits"]
        keys_B = jax.random.wrap_key_data(batch["draw_keys"])
        drawn_BT = put_draws(batch, draw(logits_BKV, keys_B, self.masks.pieces))
        outputs = model.apply(
            self.cfg.model,
            model_of(params),
            batch | {"tokens": drawn_BT},
            compute=compute,
            key=model_key,
        )
        return masked_lm_sums(logits_BKV, batch) | detection_sums(
            outputs["replaced_token_logits"],
            drawn_BT != batch["original_tokens"],
            batch["segments"] != 0,
        )

    def evaluation(self) -> ReplacedTokens:
        """On BERT's masks, and with draws of their own key."""
        return replace(self, masks=self.masks.fixed(EVALUATION_MASKING))

    def predictions(self, seq_len: int) -> float:
        """The generator's masks."""
        return self.masks.predictions(seq_len)


def key_of_draws(seed: Array | int, example_id: Array) -> Array:
    """The key of what is drawn for a row in an epoch; `example_id` is uint32 [2]."""
    key = jax.random.fold_in(jax.random.key(seed), _DRAWS)
    return jax.random.fold_in(jax.random.fold_in(key, example_id[0]), example_id[1])


def draw(logits_BKV: Array, keys_B: Array, pieces: int) -> Array:
    """A token for each slot from the softmax over the first `pieces` ids: int32 [B, K].

    By the Gumbel maximum (pretrain_helpers.py, sample_from_softmax), without a gradient. A row's
    draws depend on its key alone, whatever the batch around it.
    """
    logits_BKV = jax.lax.stop_gradient(logits_BKV)[..., :pieces]
    return jax.vmap(jax.random.categorical)(keys_B, logits_BKV).astype(jnp.int32)


def put_draws(batch: Batch, drawn_BK: Array) -> Array:
    """The text with what was drawn in the slots of weight 1: int32 [B, T]."""
    T = batch["tokens"].shape[1]
    places_BK = jnp.where(batch["predict_weights"] > 0, batch["predict_positions"], T)

    def row(tokens_T, places_K, drawn_K):
        return tokens_T.at[places_K].set(drawn_K, mode="drop")

    return jax.vmap(row)(batch["original_tokens"], places_BK, drawn_BK)


def detection_sums(logits_BT: Array, replaced_BT: Array, real_BT: Array) -> dict[str, Mean]:
    """Binary cross-entropy (nats) and scores over the real tokens; `replaced_BT` is what is so."""
    says_BT = logits_BT > 0
    nll_BT = jnp.logaddexp(logits_BT, 0.0) - jnp.where(replaced_BT, logits_BT, 0.0)

    def count(true_BT: Array) -> Array:
        return jnp.sum(true_BT & real_BT).astype(jnp.float32)

    right, real = count(says_BT & replaced_BT), jnp.sum(real_BT).astype(jnp.float32)
    return {
        "replaced_token_loss": Mean(jnp.sum(jnp.where(real_BT, nll_BT, 0.0)), real),
        "replaced_token_accuracy": Mean(count(says_BT == replaced_BT), real),
        "replaced_token_precision": Mean(right, count(says_BT)),
        "replaced_token_recall": Mean(right, count(replaced_BT)),
    }
