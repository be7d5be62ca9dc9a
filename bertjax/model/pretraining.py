"""The encoder with its pretraining heads, and the door to it: `init` and `apply`."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
from flax import nnx
from jax import Array

from bertjax.config import ModelConfig
from bertjax.facts import Facts
from bertjax.model import heads
from bertjax.model.compute import EXACT, Compute
from bertjax.model.encoder import Encoder, Params, facts_of, params_of, shapes_of
from bertjax.model.keys import Keys


class PretrainingModel(Encoder):
    """The encoder with its head over tokens and, if the config has it, the next-sentence head."""

    def __init__(self, cfg: ModelConfig, compute: Compute, rngs: nnx.Rngs):
        super().__init__(cfg, compute, rngs)
        if cfg.replaced_token_head:
            self.replaced_token = heads.ReplacedTokenHead(cfg, compute.dtype, rngs)
        else:
            self.masked_lm = heads.MaskedLMHead(cfg, compute.dtype, rngs)
        if cfg.next_sentence_head:
            if cfg.pooler != "none":
                self.pooler = heads.Pooler(cfg, "tanh", compute.dtype, rngs)
            self.next_sentence = heads.NextSentenceHead(cfg, rngs)

    def __call__(self, batch: dict[str, Array], key: Array | None) -> dict[str, Any]:
        """What `apply` returns."""
        encoded = self.encode(batch, key)
        outputs: dict[str, Any] = {"hidden": encoded.hidden_BTD, "hidden_states": encoded.states}

        def hidden_at(positions_BK: Array) -> Array:
            # The last norm of pre-norm models, for these tokens alone.
            return self.finish(heads.gather_positions(encoded.states[-1], positions_BK))

        if self.cfg.replaced_token_head:
            outputs["replaced_token_logits"] = self.replaced_token(encoded.hidden_BTD)
        elif "predict_positions" in batch:
            table_VD = self.embeddings.word_embeddings.embedding[...]
            picked_BKD = hidden_at(batch["predict_positions"])
            outputs["masked_lm_logits"] = self.masked_lm(picked_BKD, table_VD)
        if self.cfg.next_sentence_head:
            cls_BMD = hidden_at(batch["cls_positions"])
            outputs["pooled"] = cls_BMD if self.cfg.pooler == "none" else self.pooler(cls_BMD)
            outputs["next_sentence_logits"] = self.next_sentence(outputs["pooled"])
        return outputs

    def masked_lm_logits(self, batch: dict[str, Array]) -> Array:
        """What `masked_lm_logits` returns."""
        picked_BKD = self.encode_at(batch, batch["predict_positions"])
        return self.masked_lm(picked_BKD, self.embeddings.word_embeddings.embedding[...])


@lru_cache(maxsize=64)
def _abstract(cfg: ModelConfig, compute: Compute) -> PretrainingModel:
    """The module, made once a config without allocating any parameter."""
    return nnx.eval_shape(lambda: PretrainingModel(cfg, compute, Keys(jax.random.key(0))))


@lru_cache(maxsize=64)
def _graph(cfg: ModelConfig, compute: Compute) -> nnx.GraphDef:
    return nnx.split(_abstract(cfg, compute))[0]


def init(cfg: ModelConfig, key: Array) -> Params:
    """Fresh parameters: a nested dict of float32 arrays.

    Kernels and tables are truncated normal, biases zero, norm scales one; table rows past
    `vocab_size` are zero and stay so.
    Jit it with `out_shardings` to create the parameters in place on a mesh.
    """
    return params_of(cfg, PretrainingModel(cfg, Compute(), Keys(key)))


def apply(
    cfg: ModelConfig,
    params: Params,
    batch: dict[str, Array],
    *,
    compute: Compute = EXACT,
    key: Array | None = None,
) -> dict[str, Any]:
    """Run the encoder and the heads the batch asks for.

    Args:
        cfg: the architecture.
        params: from `init`.
        batch: int32 [B, T] `tokens`, `token_types`, `positions`, `segments` (0 is padding;
            tokens attend only within their own segment); int32 [B, M] `cls_positions` if the
            model has a next-sentence head; optional int32 [B, K] `predict_positions`.
        compute: how; by default in float32 by plain operations.
        key: dropout key; None runs deterministically.

    Returns:
        `hidden` [B, T, D]; `hidden_states`, one [B, T, D] for the embeddings and each layer;
        with a replaced-token head `replaced_token_logits` float32 [B, T]; else, with
        predict_positions, `masked_lm_logits` float32 [B, K, padded V], padded ids at the lowest
        finite value; with a next-sentence head `pooled` [B, M, D] and
        `next_sentence_logits` float32 [B, M, 2]. What is not used is not computed under jit.
    """
    return nnx.merge(_graph(cfg, compute), params)(batch, key)


def masked_lm_logits(
    cfg: ModelConfig, params: Params, batch: dict[str, Array], *, compute: Compute = EXACT
) -> Array:
    """`apply`'s logits [B, K, padded V] at `predict_positions` without dropout, for less.

    Of the last layer nothing else is computed. All arguments are `apply`'s.
    """
    return nnx.merge(_graph(cfg, compute), params).masked_lm_logits(batch)


@lru_cache(maxsize=64)
def _encoder(cfg: ModelConfig, compute: Compute) -> tuple[nnx.GraphDef, tuple[str, ...]]:
    """The encoder without heads, and what its parts are called."""
    made = nnx.eval_shape(lambda: Encoder(cfg, compute, Keys(jax.random.key(0))))
    graph, parts = nnx.split(made)
    return graph, tuple(map(str, parts))


def encode(
    cfg: ModelConfig, params: Params, batch: dict[str, Array], *, compute: Compute = EXACT
) -> Array:
    """`apply`'s `hidden` [B, T, D] without dropout, of parameters with heads of any kind or none.

    All arguments are `apply`'s.
    """
    graph, parts = _encoder(cfg, compute)
    encoder = nnx.merge(graph, {name: params[name] for name in parts})
    return encoder.encode(batch, None).hidden_BTD


@lru_cache(maxsize=64)
def describe(cfg: ModelConfig) -> dict[str, Facts]:
    """What is known of each parameter beside its values, by path."""
    return facts_of(cfg, _abstract(cfg, Compute()))


@lru_cache(maxsize=64)
def abstract_params(cfg: ModelConfig) -> Params:
    """Shapes and dtypes of `init`'s result, computed once a config and without memory."""
    return shapes_of(_abstract(cfg, Compute()))
