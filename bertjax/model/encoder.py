"""The encoder: what pretraining and every task are built on.

Parameters are a nested plain dict of float32 arrays, so that sharding, checkpoints and the
Hugging Face names all work by path; NNX stays inside this folder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jax.typing import DTypeLike

from bertjax.config import ModelConfig
from bertjax.facts import Facts, made_as
from bertjax.model import layers
from bertjax.model.bottleneck import BottleneckBlock
from bertjax.model.compute import Compute
from bertjax.model.dropout import dropout
from bertjax.model.rotary import rotation
from bertjax.tree import flatten, unflatten

Params = dict[str, Any]


class Embeddings(nnx.Module):
    """Tables, summed, normed, dropped out (Devlin, fig. 2); those of width E, projected to D.

    With trigrams (Sun et al. 2020, section 3.3) the words of a place, of the next and of the last
    one are projected together before they are summed with tables of width D.
    """

    def __init__(self, cfg: ModelConfig, dtype: DTypeLike, rngs: nnx.Rngs):
        self.cfg = cfg

        def table(rows: int, width: int = cfg.summed_size, axis: str | None = None) -> nnx.Embed:
            facts = made_as("table", axis, "embed")
            start = layers.initializer(cfg)
            return nnx.Embed(rows, width, embedding_init=start, rngs=rngs, embedding_metadata=facts)

        self.word_embeddings = table(cfg.padded_vocab_size, cfg.table_size, "vocab")
        if cfg.positions == "table":
            self.position_embeddings = table(cfg.max_positions + cfg.position_offset)
        if cfg.type_vocab_size:
            self.token_type_embeddings = table(cfg.type_vocab_size)
        if cfg.task_vocab_size:
            self.task_type_embeddings = table(cfg.task_vocab_size)
        if cfg.embedding_norm:
            self.norm = layers.norm(cfg, dtype, cfg.summed_size)
        if cfg.embedding_size:
            width = cfg.table_size * (3 if cfg.trigram else 1)
            self.projection = layers.dense(
                cfg, width, cfg.hidden_size, dtype, rngs, made_as("matrix", None, "embed")
            )

    def __call__(self, batch: dict[str, Array], key: Array | None) -> Array:
        """Int arrays [B, T] -> [R, D]."""
        cfg = self.cfg
        x_BTE = self.word_embeddings(batch["tokens"])
        if cfg.trigram:
            B, T = batch["tokens"].shape
            x_RG = beside_neighbours(x_BTE, batch["segments"]).reshape(B * T, -1)
            x_BTE = self.projection(x_RG).reshape(B, T, -1)
        if cfg.positions == "table":
            x_BTE = x_BTE + self.position_embeddings(batch["positions"] + cfg.position_offset)
        if cfg.type_vocab_size:
            x_BTE = x_BTE + self.token_type_embeddings(batch["token_types"])
        if cfg.task_vocab_size:
            x_BTE = x_BTE + self.task_type_embeddings.embedding[...][0]
        if cfg.embedding_norm:
            x_BTE = self.norm(x_BTE)
        x_RE = dropout(x_BTE.reshape(-1, cfg.summed_size), cfg.hidden_dropout, key)
        return self.projection(x_RE) if cfg.embedding_size and not cfg.trigram else x_RE


def beside_neighbours(x_BTE: Array, segments_BT: Array) -> Array:
    """Each place with its neighbours: [B, T, E] -> [B, T, 3E] of the next, its own and the last.

    A neighbour of another segment is zero, so that what shares a row is as if alone. transformers
    has zeros at the ends of rows only: there the last token before padding sees that of padding.
    """
    same = (segments_BT[:, 1:] == segments_BT[:, :-1])[..., None]
    none_B1E = jnp.zeros_like(x_BTE[:, :1])
    next_BTE = jax.lax.concatenate([jnp.where(same, x_BTE[:, 1:], none_B1E), none_B1E], 1)
    last_BTE = jax.lax.concatenate([none_B1E, jnp.where(same, x_BTE[:, :-1], none_B1E)], 1)
    return jnp.concatenate([next_BTE, x_BTE, last_BTE], axis=-1)


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
        for i in range(max(cfg.layer_weights) + 1):
            spec = cfg.layer(cfg.layer_weights.index(i))
            make = BottleneckBlock if cfg.bottleneck_size else layers.Block
            setattr(self, f"layer_{i}", make(cfg, spec, compute, rngs))
        if cfg.norm == "pre":
            self.final_norm = layers.norm(cfg, compute.dtype)

    def encode(self, batch: dict[str, Array], key: Array | None) -> Encoded:
        """Int [B, T] `tokens`, `token_types`, `positions`, `segments`; a key turns dropout on."""
        B, T = batch["tokens"].shape
        keys = layers.split_key(key, self.cfg.num_layers + 1)
        x_RD = layers.shard_batch_axis(self.embeddings(batch, keys[0]))
        run = _scanned if self.compute.scan_layers else _unrolled
        states_RD = run(self.blocks, self.compute.remat, x_RD, self.context(batch), keys[1:])
        hidden_BTD = layers.shard_batch_axis(self.finish(states_RD[-1]).reshape(B, T, -1))
        return Encoded(hidden_BTD, tuple(s.reshape(B, T, -1) for s in [x_RD, *states_RD]))

    def encode_at(self, batch: dict[str, Array], places_BK: Array) -> Array:
        """`encode`'s hidden states [B, K, D] at these places, without dropout.

        The last layer computes nothing else: with few places it costs a sixth of another.
        """
        x_RD, context = self.embeddings(batch, None), self.context(batch)
        *blocks, last = self.blocks
        for block in blocks:
            x_RD = block(x_RD, context, None)
        return self.finish(last.at(x_RD, context, places_BK)).reshape(*places_BK.shape, -1)

    @property
    def blocks(self) -> list[layers.Block]:
        """The layers in their order; those that share weights are one object."""
        return [getattr(self, f"layer_{i}") for i in self.cfg.layer_weights]

    def context(self, batch: dict[str, Array]) -> layers.Context:
        """What every layer is told of a batch."""
        cfg, bases = self.cfg, {spec.rotary_base for spec in self.cfg.layer_specs} - {0.0}
        positions_BT = batch["positions"]
        rotations = {base: rotation(positions_BT, cfg.head_size, base) for base in bases}
        return layers.Context(batch["segments"], rotations)

    def finish(self, state: Array) -> Array:
        """The last norm of pre-norm models; post-norm layers end in one of their own."""
        if self.cfg.norm == "post":
            return state
        return self.final_norm(state)


# What the backward pass may keep instead of computing it again; "full" keeps nothing.
_KEEPS = {"dots": jax.checkpoint_policies.dots_with_no_batch_dims_saveable, "full": None}


def _block_function(graph: nnx.GraphDef, remat: str) -> Callable[..., Array]:
    """(parameters, [R, D], context, key) -> [R, D]."""

    def block(params, x_RD, context, key):
        return nnx.merge(graph, params)(x_RD, context, key)

    return block if remat == "none" else jax.checkpoint(block, policy=_KEEPS[remat])


def _unrolled(
    blocks: list[Any], remat: str, x_RD: Array, context: layers.Context, keys: list[Any]
) -> list[Array]:
    """The state after each block; every layer is compiled by itself."""
    states = []
    for block, key in zip(blocks, keys, strict=True):
        graph, params = nnx.split(block)
        x_RD = _block_function(graph, remat)(params, x_RD, context, key)
        states.append(x_RD)
    return states


def _scanned(
    blocks: list[Any], remat: str, x_RD: Array, context: layers.Context, keys: list[Any]
) -> list[Array]:
    """The same from a loop over stacked parameters: compiled once, at the price of the stacking.

    Layers that differ in what they compute are looped over in turns of as many as repeat; what is
    left before and after the turns is compiled by itself.
    """
    graphs, params = zip(*map(nnx.split, blocks), strict=True)
    start, turn, turns = _repetition([graphs.index(graph) for graph in graphs])
    end = start + turn * turns
    places = range(start, start + turn)
    functions = [_block_function(graphs[i], remat) for i in places]
    # Layers that share weights need them once.
    shared = [params[i] if len(set(map(id, blocks[i:end:turn]))) == 1 else None for i in places]

    def body(x_RD, layer):
        states = []
        for function, mine, own, key in zip(functions, shared, *layer, strict=True):
            x_RD = function(own if mine is None else mine, x_RD, context, key)
            states.append(x_RD)
        return x_RD, states

    def stack(leaves):
        return jax.tree.map(lambda *x: jnp.stack(x), *leaves)

    apart = [
        stack(params[i:end:turn]) if mine is None else None
        for i, mine in zip(places, shared, strict=True)
    ]
    states = _unrolled(blocks[:start], remat, x_RD, context, keys[:start])
    x_RD = states[-1] if states else x_RD
    layers_of_turns = apart, [stack(keys[i:end:turn]) for i in places]
    x_RD, looped = jax.lax.scan(body, x_RD, layers_of_turns, length=turns)
    states += [looped[i % turn][i // turn] for i in range(turn * turns)]
    return states + _unrolled(blocks[end:], remat, x_RD, context, keys[end:])


def _repetition(kinds: Sequence[int]) -> tuple[int, int, int]:
    """Where kinds of layers begin to repeat, after how many, and how often: the most in turns.

    Of equals the shortest turn, then the earliest.
    """
    count = len(kinds)

    def turns(start: int, turn: int) -> int:
        same = 0
        while start + turn + same < count and kinds[start + same] == kinds[start + turn + same]:
            same += 1
        return 1 + same // turn

    choices = ((s, t, turns(s, t)) for t in range(1, count + 1) for s in range(count - t + 1))
    looped = [(s, t, n) for s, t, n in choices if n > 1 or count == 1]
    return max(looped or [(0, 1, 1)], key=lambda c: (c[1] * c[2], -c[1], -c[0]))


def params_of(cfg: ModelConfig, module: Encoder) -> Params:
    """Take a new module's parameters; rows past `vocab_size` become zero.

    They stay so: no gradient reaches them, and decay of zero is zero.
    """
    params = flatten(nnx.to_pure_dict(nnx.state(module, nnx.Param)))
    real_V = jnp.arange(cfg.padded_vocab_size) < cfg.vocab_size
    for path, facts in facts_of(cfg, module).items():
        if "vocab" in facts.axes:
            at = real_V.reshape(-1, *(1,) * (params[path].ndim - 1))
            params[path] = jnp.where(at, params[path], 0.0)
    return unflatten(params)


def shapes_of(module: Encoder) -> Params:
    """Shapes and dtypes of `params_of` of an abstract module, wherever the module was made."""
    params = flatten(nnx.to_pure_dict(nnx.state(module, nnx.Param)))
    return unflatten({path: jax.ShapeDtypeStruct(x.shape, x.dtype) for path, x in params.items()})


def facts_of(cfg: ModelConfig, module: Encoder) -> dict[str, Facts]:
    """What is known of each parameter of a module, by path; the module may be abstract.

    Raises:
        ValueError: a parameter was made without its facts, or its place in the model has no depth.
    """
    found = {}
    for keys, variable in nnx.to_flat_state(nnx.state(module, nnx.Param)):
        path, about = "/".join(map(str, keys)), variable.get_metadata()
        if "group" not in about:
            raise ValueError(f"parameter {path} does not say what it is: make it with `made_as`")
        depth = _depth(cfg, str(keys[0]))
        found[path] = Facts(about["axes"], about["group"], depth, about["roles"])
    return found


def _depth(cfg: ModelConfig, part: str) -> int | None:
    """How far up the pretrained encoder a part of a model is: `Facts.depth`."""
    kind, _, number = part.partition("_")
    if kind == "layer":  # shared weights are as high as the last layer that has them
        return max(i for i, weights in enumerate(cfg.layer_weights, 1) if weights == int(number))
    depths = {"embeddings": 0, "final_norm": cfg.num_layers + 1, "pooler": cfg.num_layers + 1}
    return depths.get(part)
