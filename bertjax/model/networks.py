"""The networks of a pretraining run: the model at the root of the tree, a generator under its name.

Without a generator all is as `bertjax.model` has it. The generator's embeddings are the model's,
tables and norm, but for the projection to its own width (google-research/electra
run_pretraining.py, `untied_generator_embeddings` off): they are in the tree once.
"""

from __future__ import annotations

from functools import lru_cache

import jax
from jax import Array

from bertjax.config import ModelConfig, PretrainConfig
from bertjax.facts import Facts
from bertjax.model import pretraining
from bertjax.model.encoder import Params
from bertjax.model.parameters import parameter_count
from bertjax.terminal import count
from bertjax.tree import flatten

_GENERATOR, _PROJECTION = "generator", "projection"


def init(cfg: PretrainConfig, key: Array) -> Params:
    """Fresh parameters of all networks, as `bertjax.model.init` makes them; jit-able."""
    params = pretraining.init(cfg.model, key)
    if cfg.generator is None:
        return params
    return params | {_GENERATOR: _own(pretraining.init(cfg.generator, jax.random.fold_in(key, 1)))}


@lru_cache(maxsize=64)
def abstract_params(cfg: PretrainConfig) -> Params:
    """Shapes and dtypes of `init`'s result, without memory."""
    params = pretraining.abstract_params(cfg.model)
    if cfg.generator is None:
        return params
    return params | {_GENERATOR: _own(pretraining.abstract_params(cfg.generator))}


@lru_cache(maxsize=64)
def describe(cfg: PretrainConfig) -> dict[str, Facts]:
    """What is known of each parameter beside its values, by path."""
    facts = pretraining.describe(cfg.model)
    if cfg.generator is None:
        return facts
    of_generator = pretraining.describe(cfg.generator)
    own = flatten(_own(pretraining.abstract_params(cfg.generator)))
    return facts | {f"{_GENERATOR}/{path}": of_generator[path] for path in own}


def sizes(cfg: PretrainConfig) -> str:
    """Parameters and shape of each network in words; what is shared is the model's."""
    params = abstract_params(cfg)
    parts = [model_of(params)] if cfg.generator is None else [model_of(params), params[_GENERATOR]]
    return " + generator of ".join(
        f"{count(parameter_count(network, own))} parameters, {network.num_layers} layers × "
        f"{network.hidden_size}"
        for network, own in zip(cfg.networks, parts, strict=True)
    )


def model_of(params: Params) -> Params:
    """The parameters of the model alone, of those of all networks."""
    return {name: part for name, part in params.items() if name != _GENERATOR}


def generator_of(cfg: PretrainConfig, params: Params) -> tuple[ModelConfig, Params]:
    """The generator by itself: a masked LM like any other, with the embeddings that it shares.

    `params` are those of all networks of `cfg`, which has a generator.
    """
    assert cfg.generator is not None, "only replaced-token detection has a generator"
    shared = {name: x for name, x in params["embeddings"].items() if name != _PROJECTION}
    own = params[_GENERATOR]
    return cfg.generator, own | {"embeddings": shared | own.get("embeddings", {})}


def _own(params: Params) -> Params:
    """What the generator does not share."""
    own = {name: part for name, part in params.items() if name != "embeddings"}
    if _PROJECTION in params["embeddings"]:
        own["embeddings"] = {_PROJECTION: params["embeddings"][_PROJECTION]}
    return own
