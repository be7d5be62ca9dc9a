"""The state of a run: made, placed on the mesh, and as the items of a checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh

from bertjax import model, sharding
from bertjax.config import PretrainConfig
from bertjax.errors import UserError
from bertjax.model import networks
from bertjax.optim.optimizers import optimizer
from bertjax.tree import flatten, path_name


class TrainState(NamedTuple):
    """All that a step changes; also the form of the shardings of it."""

    step: Any  # int32: steps taken; also the data position
    params: model.Params  # float32
    average: Any  # of the parameters over the steps; None without `optim.average`
    optimizer: Any  # optax state
    bad_steps: Any  # int32: non-finite steps in a row
    skipped: Any  # int32: non-finite steps in all

    @property
    def result(self) -> model.Params:
        """The parameters that are evaluated, kept as the best, and given to who opens the run."""
        return self.params if self.average is None else self.average


def init_state(cfg: PretrainConfig, seed: Array | int) -> TrainState:
    """Fresh parameters and optimizer state; jit-able. `seed` is the run's."""
    params = networks.init(cfg, jax.random.key(seed))
    zero = jnp.zeros((), jnp.int32)
    average = _first_average(cfg, params)
    return TrainState(zero, params, average, _optimizer(cfg).init(params), zero, zero)


def _first_average(cfg: PretrainConfig, params: model.Params) -> model.Params | None:
    """What stands for the average until there is an update; in buffers of its own, to donate."""
    return jax.tree.map(jnp.copy, params) if cfg.optim.average else None


def _optimizer(cfg: PretrainConfig) -> Any:
    return optimizer(cfg.optim, cfg.train.steps, networks.describe(cfg))


@lru_cache(maxsize=16)
def abstract_state(cfg: PretrainConfig, mesh: Mesh) -> TrainState:
    """Shapes, types and places of the state, computed without memory."""
    params = networks.abstract_params(cfg)
    optimizer_state = jax.eval_shape(_optimizer(cfg).init, params)
    places = sharding.parameter_shardings(mesh, params, networks.describe(cfg))
    everywhere = sharding.replicated(mesh)
    count = jax.ShapeDtypeStruct((), jnp.int32, sharding=everywhere)
    moments = sharding.optimizer_shardings(mesh, optimizer_state, params, places)
    placed = _place(params, places)
    average = placed if cfg.optim.average else None
    return TrainState(count, placed, average, _place(optimizer_state, moments), count, count)


def _place(shapes: Any, places: Any) -> Any:
    return jax.tree.map(
        lambda s, place: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=place), shapes, places
    )


def state_shardings(cfg: PretrainConfig, mesh: Mesh) -> TrainState:
    """Where every array of the state lies on the mesh."""
    return jax.tree.map(lambda s: s.sharding, abstract_state(cfg, mesh))


def fresh_state(cfg: PretrainConfig, mesh: Mesh, params: model.Params | None = None) -> TrainState:
    """A new state on the mesh; `params`, as far as they are the run's, instead of random ones.

    Raises:
        UserError: one of them has another shape in this run.
    """
    state = _initialise(cfg.computed, mesh)(np.uint32(cfg.seed))
    if params is not None:
        given = flatten(params)

        def begin(path, fresh, place):
            name = path_name(path)
            found = given.get(name, fresh)
            if found.shape != fresh.shape:
                raise UserError(
                    f"{name} has shape {found.shape} in the weights to begin with and "
                    f"{fresh.shape} in this run: give the sizes of those weights"
                )
            return found if found is fresh else _put(found, place)

        places = state_shardings(cfg, mesh)
        begun = jax.tree_util.tree_map_with_path(begin, state.params, places.params)
        average = jax.jit(partial(_first_average, cfg), out_shardings=places.average)(begun)
        state = state._replace(params=begun, average=average)
    return state


def _put(array: Array, place: Any) -> Array:
    """An array that each process has whole, on the mesh of all of them."""
    if jax.process_count() == 1:
        return jax.device_put(array, place)
    host = np.asarray(array)
    return jax.make_array_from_callback(host.shape, place, host.__getitem__)


@lru_cache(maxsize=8)
def _initialise(cfg: PretrainConfig, mesh: Mesh) -> Callable[[Any], TrainState]:
    return jax.jit(partial(init_state, cfg), out_shardings=state_shardings(cfg, mesh))


def checkpoint_items(state: TrainState) -> dict[str, Any]:
    """The state as named checkpoint items; the result apart, so that it loads alone."""
    rest = {"step": state.step, "bad_steps": state.bad_steps, "skipped": state.skipped}
    if state.average is not None:
        rest["params"] = state.params
    return {"params": state.result, "optimizer": {"state": state.optimizer, **rest}}


def restored_state(items: dict[str, Any]) -> TrainState:
    """The inverse of `checkpoint_items`."""
    rest, result = items["optimizer"], items["params"]
    params, average = (rest["params"], result) if "params" in rest else (result, None)
    return TrainState(
        rest["step"], params, average, rest["state"], rest["bad_steps"], rest["skipped"]
    )
