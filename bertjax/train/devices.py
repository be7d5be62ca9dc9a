"""The devices of a run: the mesh over them, and what to do when their memory is too small."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import jax
from jax.sharding import Mesh

from bertjax import sharding
from bertjax.config import PretrainConfig
from bertjax.errors import UserError
from bertjax.model import networks
from bertjax.train.step import attention_of, compute_of


def make_mesh(cfg: PretrainConfig) -> Mesh:
    """The mesh over all devices.

    Raises:
        UserError: the devices, a parameter or the rows of any phase do not divide over it, or
            attention cannot be computed there as the config says.
    """
    mesh = sharding.make_mesh(cfg.train.mesh)
    sharding.parameter_shardings(mesh, networks.abstract_params(cfg), networks.describe(cfg))
    for phase in cfg.data.phases:
        sharding.process_rows(mesh, phase.batch_size, cfg.train.accumulate)
        attention_of(cfg, compute_of(cfg, mesh), phase)
    return mesh


@contextlib.contextmanager
def memory_errors(cfg: PretrainConfig) -> Iterator[None]:
    """Turn a device that runs out of memory into a UserError that names the largest knobs."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        sizes = [p.batch_size * p.seq_len for p in cfg.data.phases]
        largest = sizes.index(max(sizes))
        row = cfg.data.phases[largest]
        raise UserError(
            f"the devices ran out of memory at {row.batch_size} rows of {row.seq_len} in "
            f"{cfg.train.accumulate} micro-batches: raise train.accumulate or train.mesh.fsdp, "
            f"lower data.phases.{largest}.batch_size, or use train.compute_dtype=bfloat16"
        ) from error
