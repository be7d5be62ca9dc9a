"""The device mesh, and which axis of which parameter lies on it.

Mesh axes: `data` holds copies of the parameters and shares of the batch; `fsdp` shares both the
batch and the parameters; `tensor` splits heads and feed-forward columns (Megatron's layout). At
BERT sizes `data` alone moves least while the optimizer state fits: `bertjax plan` says how much.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from bertjax.config import MeshConfig
from bertjax.errors import UserError
from bertjax.facts import Facts
from bertjax.tree import flatten, path_name

AXES = ("data", "fsdp", "tensor")
BATCH_AXES = ("data", "fsdp")

# Where each axis of a parameter (`Facts.axes`) lies.
MESH_AXIS = {None: None, "vocab": "tensor", "embed": "fsdp", "heads": "tensor", "mlp": "tensor"}


def make_mesh(cfg: MeshConfig, devices: list[jax.Device] | None = None) -> Mesh:
    """A (data, fsdp, tensor) mesh over all devices.

    Raises:
        UserError: the sizes do not multiply to the number of devices.
    """
    devices = jax.devices() if devices is None else devices
    others = cfg.fsdp * cfg.tensor
    data = len(devices) // others if cfg.data == -1 else cfg.data
    if data * others != len(devices):
        raise UserError(
            f"train.mesh data={cfg.data} fsdp={cfg.fsdp} tensor={cfg.tensor} does not fit "
            f"{len(devices)} devices: their product must be {len(devices)} (data=-1 takes the rest)"
        )
    shape = (data, cfg.fsdp, cfg.tensor)
    return jax.make_mesh(shape, AXES, axis_types=(AxisType.Auto,) * 3, devices=devices)


def connect(mesh: Mesh) -> None:
    """Open the connections of the mesh's collectives while all processes are at one place.

    Gloo, which CPUs talk through, gives the last process 30 s from when the first has come to a
    collective that is new. At the first step they come further apart: each compiles by itself, and
    only process 0 finds what it compiled before in the cache.
    """
    if jax.process_count() == 1:
        return
    each = PartitionSpec(AXES)
    groups = (*AXES, BATCH_AXES, AXES)

    @jax.shard_map(mesh=mesh, in_specs=each, out_specs=[each] * len(groups))
    def sums(ones):
        return [jax.lax.psum(ones, group) for group in groups]

    ones = jax.make_array_from_callback(
        (mesh.size,), NamedSharding(mesh, each), lambda _: np.ones(1, np.float32)
    )
    jax.block_until_ready(jax.jit(sums)(ones))


def parameter_shardings(mesh: Mesh, params: Any, facts: Mapping[str, Facts]) -> Any:
    """A NamedSharding for every array (or ShapeDtypeStruct) of the parameter tree.

    Raises:
        UserError: a dimension is not divisible by its mesh axis.
    """

    def sharding(path, leaf):
        name = path_name(path)
        spec = PartitionSpec(*(MESH_AXIS[axis] for axis in facts[name].axes))
        _require_divisible(mesh, name, leaf.shape, spec)
        return NamedSharding(mesh, spec)

    return jax.tree_util.tree_map_with_path(sharding, params)


def gather_fsdp(shardings: Any) -> Any:
    """The same shardings without `fsdp`: where parameters must lie while they are computed with.

    Products of weights and activations that are both split over `fsdp`, in different dimensions,
    leave the choice to XLA's partitioner, which looks up embeddings by replicating all tokens and
    was seen (jax 0.10.2, mesh 2 × 2 × 2) to return wrong gradients.
    """

    def whole(place: NamedSharding) -> NamedSharding:
        spec = PartitionSpec(*(None if axis == "fsdp" else axis for axis in place.spec))
        return NamedSharding(place.mesh, spec)

    return jax.tree.map(whole, shardings)


def _require_divisible(mesh: Mesh, name: str, shape: tuple[Any, ...], spec: PartitionSpec) -> None:
    for size, axis in zip(shape, spec, strict=False):
        if axis is not None and size % mesh.shape[axis]:
            raise UserError(
                f"{name} has a dimension of {size}, not divisible by train.mesh.{axis}="
                f"{mesh.shape[axis]}: choose a mesh size that divides it"
            )


def optimizer_shardings(mesh: Mesh, state: Any, params: Any, shardings: Any) -> Any:
    """Shardings for an optax state: moments lie where their parameter lies, the rest everywhere.

    A state leaf belongs to a parameter if its path ends with the parameter's and shapes agree.
    """
    places = jax.tree.leaves(shardings)
    by_path = {
        name: (leaf.shape, place)
        for (name, leaf), place in zip(flatten(params).items(), places, strict=True)
    }

    def sharding(path, leaf):
        for start in range(len(path)):
            shape, place = by_path.get(path_name(path[start:]), (None, None))
            if shape == leaf.shape:
                return place
        return NamedSharding(mesh, PartitionSpec())

    return jax.tree_util.tree_map_with_path(sharding, state)


def replicated(mesh: Mesh) -> NamedSharding:
    """The whole array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Rows split over `data` and `fsdp`."""
    return NamedSharding(mesh, PartitionSpec(BATCH_AXES))


def batch_ways(mesh: Mesh) -> int:
    """Shares that the rows of a batch are split into."""
    return mesh.shape["data"] * mesh.shape["fsdp"]


def process_rows(mesh: Mesh, batch_size: int, accumulate: int = 1) -> np.ndarray:
    """The rows of a global batch that this process feeds, by number and in order, int64 [n].

    They need not be neighbours: a mesh goes along the torus of a TPU slice, whose hosts have chips
    on several of its lines.

    Raises:
        UserError: a micro-batch does not divide over the devices that share it.
    """
    ways = batch_ways(mesh)
    if batch_size % (ways * accumulate):
        raise UserError(
            f"batch_size={batch_size} over train.accumulate={accumulate} does not divide over "
            f"{ways} batch shards: use a multiple of {ways * accumulate}"
        )
    return np.arange(batch_size) if jax.process_count() == 1 else _rows_of(mesh, batch_size)


def _rows_of(mesh: Mesh, batch_size: int) -> np.ndarray:
    """The rows whose shards lie on this process's devices."""
    indices = batch_sharding(mesh).addressable_devices_indices_map((batch_size,)).values()
    return np.unique([np.arange(batch_size)[index] for index in indices if index])


def to_devices(mesh: Mesh, batch: dict[str, np.ndarray], batch_size: int) -> dict[str, jax.Array]:
    """Make global arrays of [batch_size, ...] from this process's rows."""
    place = batch_sharding(mesh)
    if jax.process_count() == 1:
        return {k: jax.device_put(v, place) for k, v in batch.items()}
    return {
        k: jax.make_array_from_process_local_data(place, v, (batch_size, *v.shape[1:]))
        for k, v in batch.items()
    }
