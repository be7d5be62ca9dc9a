"""The encoder, and the door to it: `init` makes parameters, `apply` runs them.

Parameters are a nested plain dict of float32 arrays, so that sharding, checkpoints and the
Hugging Face names all work by path; NNX stays behind the door.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from bertjax.config import ModelConfig
from bertjax.model import heads, layers

Params = dict[str, Any]


class Embeddings(nnx.Module):
    """Token, position and token-type tables, summed, normed and dropped out (Devlin, fig. 2)."""

    def __init__(self, cfg: ModelConfig, dtype, rngs: nnx.Rngs):
        self.cfg = cfg
        self.dtype = dtype

        def table(rows: int) -> nnx.Embed:
            return nnx.Embed(
                rows, cfg.hidden_size, embedding_init=layers.initializer(cfg), rngs=rngs
            )

        self.word_embeddings = table(cfg.padded_vocab_size)
        self.position_embeddings = table(cfg.max_positions + cfg.position_offset)
        self.token_type_embeddings = table(cfg.type_vocab_size)
        self.norm = layers.layer_norm(cfg, rngs)

    def __call__(self, batch: dict[str, Array], key: Array | None) -> Array:
        """Int arrays [B, T] -> [R, D]."""
        x_BTD = (
            self.word_embeddings(batch["tokens"])
            + self.position_embeddings(batch["positions"] + self.cfg.position_offset)
            + self.token_type_embeddings(batch["token_types"])
        )
        x_RD = self.norm(x_BTD).reshape(-1, self.cfg.hidden_size).astype(self.dtype)
        return layers.dropout(x_RD, self.cfg.hidden_dropout, key)


class Encoder(nnx.Module):
    """Embeddings, a plain loop over blocks, and the pretraining heads."""

    def __init__(self, cfg: ModelConfig, dtype, rngs: nnx.Rngs):
        self.cfg = cfg
        self.dtype = dtype
        self.embeddings = Embeddings(cfg, dtype, rngs)
        for i in range(cfg.num_layers):
            setattr(self, f"layer_{i}", layers.Block(cfg, dtype, rngs))
        if cfg.norm == "pre":
            self.final_norm = layers.layer_norm(cfg, rngs)
        self.masked_lm = heads.MaskedLMHead(cfg, dtype, rngs)
        if cfg.next_sentence_head:
            self.pooler = heads.Pooler(cfg, dtype, rngs)
            self.next_sentence = heads.NextSentenceHead(cfg, rngs)

    def __call__(self, batch: dict[str, Array], key: Array | None) -> dict[str, Any]:
        """What `apply` returns."""
        cfg, (B, T) = self.cfg, batch["tokens"].shape
        keys = [None] * (cfg.num_layers + 1)
        if key is not None:
            keys = list(jax.random.split(key, cfg.num_layers + 1))
        mask_B1TT = layers.attention_mask(batch["segments"])
        x_RD = layers.shard_batch_axis(self.embeddings(batch, keys[0]))
        hidden_states = [x_RD.reshape(B, T, -1)]
        for i in range(cfg.num_layers):
            x_RD = getattr(self, f"layer_{i}")(x_RD, mask_B1TT, keys[i + 1])
            hidden_states.append(x_RD.reshape(B, T, -1))
        if cfg.norm == "pre":
            x_RD = self.final_norm(x_RD).astype(self.dtype)
        hidden_BTD = layers.shard_batch_axis(x_RD.reshape(B, T, -1))
        outputs: dict[str, Any] = {"hidden": hidden_BTD, "hidden_states": tuple(hidden_states)}
        if "predict_positions" in batch:
            table_VD = self.embeddings.word_embeddings.embedding[...]
            picked_BKD = heads.gather_positions(hidden_BTD, batch["predict_positions"])
            outputs["masked_lm_logits"] = self.masked_lm(picked_BKD, table_VD)
        if cfg.next_sentence_head:
            cls_BMD = heads.gather_positions(hidden_BTD, batch["cls_positions"])
            outputs["pooled"] = self.pooler(cls_BMD)
            outputs["next_sentence_logits"] = self.next_sentence(outputs["pooled"])
        return outputs


@lru_cache(maxsize=64)
def _graph(cfg: ModelConfig, dtype: str) -> nnx.GraphDef:
    """The module's structure, made once a config without allocating any parameter."""
    shape = nnx.eval_shape(lambda: Encoder(cfg, jnp.dtype(dtype), nnx.Rngs(0)))
    return nnx.split(shape)[0]


def init(cfg: ModelConfig, key: Array) -> Params:
    """Fresh parameters: a nested dict of float32 arrays.

    Kernels and tables are truncated normal, biases zero, norm scales one; table rows past
    `vocab_size` are zero and stay so (no gradient reaches them, and decay of zero is zero).
    Jit it with `out_shardings` to create the parameters in place on a mesh.
    """
    module = Encoder(cfg, jnp.float32, nnx.Rngs(params=key))
    params = nnx.to_pure_dict(nnx.state(module, nnx.Param))
    words = params["embeddings"]["word_embeddings"]
    real_V1 = jnp.arange(cfg.padded_vocab_size)[:, None] < cfg.vocab_size
    words["embedding"] = jnp.where(real_V1, words["embedding"], 0.0)
    return params


def apply(
    cfg: ModelConfig,
    params: Params,
    batch: dict[str, Array],
    *,
    dtype: str = "float32",
    key: Array | None = None,
) -> dict[str, Any]:
    """Run the encoder and the heads the batch asks for.

    Args:
        cfg: the architecture.
        params: from `init`.
        batch: int32 [B, T] `tokens`, `token_types`, `positions`, `segments` (0 is padding;
            tokens attend only within their own segment); int32 [B, M] `cls_positions` if the
            model has a next-sentence head; optional int32 [B, K] `predict_positions`.
        dtype: compute dtype of matrix products, "float32" or "bfloat16".
        key: dropout key; None runs deterministically.

    Returns:
        `hidden` [B, T, D]; `hidden_states`, one [B, T, D] for the embeddings and each layer;
        with predict_positions `masked_lm_logits` float32 [B, K, padded V], padded ids at the
        lowest finite value; with a next-sentence head `pooled` [B, M, D] and
        `next_sentence_logits` float32 [B, M, 2]. What is not used is not computed under jit.
    """
    return nnx.merge(_graph(cfg, dtype), params)(batch, key)


def abstract_params(cfg: ModelConfig) -> Params:
    """Shapes and dtypes of `init`'s result, computed without memory."""
    return jax.eval_shape(lambda key: init(cfg, key), jax.random.key(0))
