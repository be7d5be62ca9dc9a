"""What a chip holds between steps, known from shapes alone: no device and no compiler."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, cast

import jax
import jax.numpy as jnp
from jax.sharding import AbstractMesh, Mesh

from bertjax import sharding
from bertjax.config import MeshConfig, Phase, PretrainConfig
from bertjax.errors import UserError
from bertjax.model import networks
from bertjax.objectives.choice import objective_of
from bertjax.objectives.objective import Objective
from bertjax.plan.topology import Topology
from bertjax.text.special import SpecialIds
from bertjax.train.state import abstract_state


@dataclass(frozen=True)
class ArgumentBytes:
    """Bytes a chip that a step is given, without the padding of device layouts."""

    parameters: int
    optimizer: int  # with the average of the parameters, where one is kept
    batch: int


def check_mesh(cfg: PretrainConfig, topology: Topology) -> Mesh:
    """The mesh of a run on all chips, without devices.

    Raises:
        UserError: the chips, the heads, a parameter or the rows of a phase do not divide over it.
    """
    mesh = _abstract_mesh(cfg.train.mesh, topology)
    tensor = mesh.shape["tensor"]
    for network in cfg.networks:
        heads = network.num_heads
        if heads % tensor:
            divisors = [n for n in range(1, heads + 1) if not heads % n and not topology.chips % n]
            fitting = min(divisors, key=lambda n: (abs(n - tensor), n))
            whose = "" if network is cfg.model else " of the generator"
            raise UserError(
                f"train.mesh.tensor={tensor} does not divide model.num_heads={heads}{whose}: use "
                f"train.mesh.tensor={fitting}"
            )
    sharding.parameter_shardings(mesh, networks.abstract_params(cfg), networks.describe(cfg))
    for phase in cfg.data.phases:
        sharding.process_rows(mesh, phase.batch_size, cfg.train.accumulate)
    return mesh


def _abstract_mesh(cfg: MeshConfig, topology: Topology) -> Mesh:
    """`sharding.make_mesh` without devices: whatever asks only for axis sizes takes it."""
    data = topology.chips // (cfg.fsdp * cfg.tensor) if cfg.data == -1 else cfg.data
    if data * cfg.fsdp * cfg.tensor != topology.chips:
        raise UserError(
            f"train.mesh data={cfg.data} fsdp={cfg.fsdp} tensor={cfg.tensor} does not fit "
            f"{topology}: their product must be {topology.chips} (data=-1 takes the rest)"
        )
    return cast(Mesh, AbstractMesh((data, cfg.fsdp, cfg.tensor), sharding.AXES))


def objective(cfg: PretrainConfig, phase: Phase) -> Objective:
    """The objective of a phase whose tokenizer is not here: any ids make a program of its size."""
    return objective_of(cfg.in_phase(phase), SpecialIds(pad=0, unk=1, cls=2, sep=3, mask=4))


def batch_shards(cfg: PretrainConfig, mesh: Mesh) -> int:
    """What a batch must be a multiple of: chips that share it × micro-batches."""
    return sharding.batch_ways(mesh) * cfg.train.accumulate


def abstract_batch(
    cfg: PretrainConfig, phase: Phase, mesh: Mesh
) -> dict[str, jax.ShapeDtypeStruct]:
    """A batch of `phase` as `data.batches.BatchSource` makes it, as shapes with their places."""
    place = sharding.batch_sharding(mesh)
    B, T, M = phase.batch_size, phase.seq_len, cfg.data.max_packed

    def array(width: int, dtype: Any = jnp.int32) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((B, width), dtype, sharding=place)

    return {
        "tokens": array(T),
        "token_types": array(T),
        "positions": array(T),
        "segments": array(T),
        "word_starts": array(T, jnp.bool_),
        "cls_positions": array(M),
        "pair_labels": array(M),
        "example_ids": array(2, jnp.uint32),
    }


def argument_bytes(cfg: PretrainConfig, phase: Phase, mesh: Mesh) -> ArgumentBytes:
    """Bytes of the state and a batch of `phase` on one chip."""
    state = abstract_state(cfg, mesh)
    return ArgumentBytes(
        parameters=_bytes_a_chip(state.params),
        optimizer=_bytes_a_chip((state.optimizer, state.average)),
        batch=_bytes_a_chip(abstract_batch(cfg, phase, mesh)),
    )


def _bytes_a_chip(tree: Any) -> int:
    return sum(
        math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(tree)
    )
