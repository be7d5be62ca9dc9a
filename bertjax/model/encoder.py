"""The encoder: what pretraining and every task are built on.

Parameters are a nested plain dict of float32 arrays, so that sharding, checkpoints and the
Hugging Face names all work by path; NNX stays inside this folder.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from bertjax.config import ModelConfig
from bertjax.model import layers
from bertjax.model.compute import Compute

Params = dict[str, Any]


class Embeddings(nnx.Module):
    """Token, position and token-type tables, summed, normed and dropped out (Devlin, fig. 2)."""

    def __init__(self, cfg: ModelConfig, dtype, rngs: nnx.Rngs):
        self.cfg = cfg

        def table(rows: int) -> nnx.Embed:
            return nnx.Embed(
                rows, cfg.hidden_size, embedding_init=layers.initializer(cfg), rngs=rngs
            )

        self.word_embeddings = table(cfg.padded_vocab_size)
        self.position_embeddings = table(cfg.max_positions + cfg.position_offset)
        self.token_type_embeddings = table(cfg.type_vocab_size)
        self.norm = layers.layer_norm(cfg, dtype)

    def __call__(self, batch: dict[str, Array], key: Array | None) -> Array:
        """Int arrays [B, T] -> [R, D]."""
        x_BTD = (
            self.word_embeddings(batch["tokens"])
            + self.position_embeddings(batch["positions"] + self.cfg.position_offset)
            + self.token_type_embeddings(batch["token_types"])
        )
        x_RD = self.norm(x_BTD).reshape(-1, self.cfg.hidden_size)
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

    def __init__(self, cfg: ModelConfig, compute: Compute, rngs: nnx.Rngs):
        self.cfg = cfg
        self.compute = compute
        self.embeddings = Embeddings(cfg, compute.dtype, rngs)
        for i in range(cfg.num_layers):
            setattr(self, f"layer_{i}", layers.Block(cfg, compute, rngs))
        if cfg.norm == "pre":
            self.final_norm = layers.layer_norm(cfg, compute.dtype)

    def encode(self, batch: dict[str, Array], key: Array | None) -> Encoded:
        """Int [B, T] `tokens`, `token_types`, `positions`, `segments`; a key turns dropout on."""
        B, T = batch["tokens"].shape
        keys = layers.split_key(key, self.cfg.num_layers + 1)
        x_RD = layers.shard_batch_axis(self.embeddings(batch, keys[0]))
        blocks = [getattr(self, f"layer_{i}") for i in range(self.cfg.num_layers)]
        run = _scanned if self.compute.scan_layers else _unrolled
        states_RD = run(blocks, self.compute.remat, x_RD, batch["segments"], keys[1:])
        hidden_BTD = layers.shard_batch_axis(self.finish(states_RD[-1]).reshape(B, T, -1))
        return Encoded(hidden_BTD, tuple(s.reshape(B, T, -1) for s in [x_RD, *states_RD]))

    def finish(self, state: Array) -> Array:
        """The last norm of pre-norm models; post-norm layers end in one of their own."""
        if self.cfg.norm == "post":
            return state
        return self.final_norm(state)


# What the backward pass may keep instead of computing it again; "full" keeps nothing.
_KEEPS = {"dots": jax.checkpoint_policies.dots_with_no_batch_dims_saveable, "full": None}


def _block_function(graph: nnx.GraphDef, remat: str) -> Callable[..., Array]:
    """(parameters, [R, D], segments, key) -> [R, D]."""

    def block(params, x_RD, segments_BT, key):
        return nnx.merge(graph, params)(x_RD, segments_BT, key)

    return block if remat == "none" else jax.checkpoint(block, policy=_KEEPS[remat])


def _unrolled(blocks: list, remat: str, x_RD: Array, segments_BT: Array, keys: list) -> list[Array]:
    """The state after each block; every layer is compiled by itself."""
    states = []
    for block, key in zip(blocks, keys, strict=True):
        graph, params = nnx.split(block)
        x_RD = _block_function(graph, remat)(params, x_RD, segments_BT, key)
        states.append(x_RD)
    return states


def _scanned(blocks: list, remat: str, x_RD: Array, segments_BT: Array, keys: list) -> list[Array]:
    """The same from a loop over stacked parameters: compiled once, at the price of the stacking.

    Raises:
        ValueError: a block is not computed as the first one is, which the loop would do to it.
    """
    (graph, *others), each = zip(*map(nnx.split, blocks), strict=True)
    for i, other in enumerate(others, start=1):
        if other != graph:
            raise ValueError(
                f"layer_{i} is not computed as layer_0 is, so they cannot be one scanned layer: "
                "set train.scan_layers=false"
            )
    params = jax.tree.map(lambda *x: jnp.stack(x), *each)
    function = _block_function(graph, remat)

    def body(x_RD, layer):
        x_RD = function(layer[0], x_RD, segments_BT, layer[1])
        return x_RD, x_RD

    stacked_keys = None if keys[0] is None else jnp.stack(keys)
    return list(jax.lax.scan(body, x_RD, (params, stacked_keys))[1])


def params_of(cfg: ModelConfig, module: Encoder) -> Params:
    """Take a new module's parameters; table rows past `vocab_size` become zero.

    They stay so: no gradient reaches them, and decay of zero is zero.
    """
    params = nnx.to_pure_dict(nnx.state(module, nnx.Param))
    words = params["embeddings"]["word_embeddings"]
    real_V1 = jnp.arange(cfg.padded_vocab_size)[:, None] < cfg.vocab_size
    words["embedding"] = jnp.where(real_V1, words["embedding"], 0.0)
    return params
