"""The encoder: what pretraining and every task are built on.

Parameters are a nested plain dict of float32 arrays, so that sharding, checkpoints and the
Hugging Face names all work by path; NNX stays inside this folder.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from flax import nnx
from jax import Array

from bertjax.config import ModelConfig
from bertjax.model import layers

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


class Encoded(NamedTuple):
    """What the encoder makes of a batch."""

    hidden_BTD: Array  # of the last layer, normed once more in pre-norm models
    states: tuple[Array, ...]  # [B, T, D] after the embeddings and after each layer


class Encoder(nnx.Module):
    """Embeddings and a plain loop over blocks.

    A model with a head is a subclass, not a wrapper, so that the encoder's parameters have the
    same paths in all of them and move from one to the other as they are.
    """

    def __init__(self, cfg: ModelConfig, dtype, rngs: nnx.Rngs):
        self.cfg = cfg
        self.dtype = dtype
        self.embeddings = Embeddings(cfg, dtype, rngs)
        for i in range(cfg.num_layers):
            setattr(self, f"layer_{i}", layers.Block(cfg, dtype, rngs))
        if cfg.norm == "pre":
            self.final_norm = layers.layer_norm(cfg, rngs)

    def encode(self, batch: dict[str, Array], key: Array | None) -> Encoded:
        """Int [B, T] `tokens`, `token_types`, `positions`, `segments`; a key turns dropout on."""
        cfg, (B, T) = self.cfg, batch["tokens"].shape
        keys = layers.split_key(key, cfg.num_layers + 1)
        mask_B1TT = layers.attention_mask(batch["segments"])
        x_RD = layers.shard_batch_axis(self.embeddings(batch, keys[0]))
        states = [x_RD.reshape(B, T, -1)]
        for i in range(cfg.num_layers):
            x_RD = getattr(self, f"layer_{i}")(x_RD, mask_B1TT, keys[i + 1])
            states.append(x_RD.reshape(B, T, -1))
        hidden_BTD = layers.shard_batch_axis(self.finish(x_RD).reshape(B, T, -1))
        return Encoded(hidden_BTD, tuple(states))

    def finish(self, state: Array) -> Array:
        """The last norm of pre-norm models; post-norm layers end in one of their own."""
        return self.final_norm(state).astype(self.dtype) if self.cfg.norm == "pre" else state


def params_of(cfg: ModelConfig, module: Encoder) -> Params:
    """Take a new module's parameters; table rows past `vocab_size` become zero.

    They stay so: no gradient reaches them, and decay of zero is zero.
    """
    params = nnx.to_pure_dict(nnx.state(module, nnx.Param))
    words = params["embeddings"]["word_embeddings"]
    real_V1 = jnp.arange(cfg.padded_vocab_size)[:, None] < cfg.vocab_size
    words["embedding"] = jnp.where(real_V1, words["embedding"], 0.0)
    return params
