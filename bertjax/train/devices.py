"""The devices of a run: the mesh over them, what is computed how, and memory that is too small."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import jax
from jax.sharding import Mesh

from bertjax import sharding
from bertjax.config import PretrainConfig
from bertjax.errors import UserError
from bertjax.model import networks
from bertjax.model.attention import KERNELS, TOLERANCE, choose, difference, rows_at_once
from bertjax.runs import environment
from bertjax.train.compute import attention_calls, attention_of, compute_of


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


def check_kernels(cfg: PretrainConfig, mesh: Mesh) -> None:
    """Compare each attention kernel that the run will use with plain attention, on the mesh.

    Shapes are the run's: rows of a micro-batch, as far as plain attention has room for them. Where
    no kernel is used, as on CPUs, nothing is computed.

    Raises:
        UserError: one is further from it than rounding explains.
    """
    compute, ways = compute_of(cfg, mesh), sharding.batch_ways(mesh)
    for phase in cfg.data.phases:
        for call, heads in attention_calls(cfg, compute, phase):
            backend, _ = choose(compute.attention, call)
            if backend not in KERNELS:
                continue
            rows = rows_at_once(call, phase.batch_size // cfg.train.accumulate, heads, ways)
            found = difference(backend, call, rows, heads)
            if not found.tracks(call.dtype):
                raise UserError(
                    f"attention kernel {backend} on {jax.devices()[0].device_kind} with jax "
                    f"{jax.__version__} is not plain attention in {rows} {call.rows} rows of "
                    f"{call.seq_len}, {heads} heads of {call.head_size}, {call.dtype}: output "
                    f"{found.output:.1e}, gradients {found.gradients:.1e} off (rounding makes less "
                    f"than {TOLERANCE[call.dtype]:g}), {found.leak:.1e} from other segments: use "
                    "train.attention=reference, or another version of jax"
                )


def what_computes(cfg: PretrainConfig, mesh: Mesh) -> dict[str, str]:
    """All that the numbers of a run may depend on, and that may change between its starts."""
    compute = compute_of(cfg, mesh)
    backends = dict.fromkeys(attention_of(cfg, compute, phase)[0] for phase in cfg.data.phases)
    return environment.what_computes() | {
        "train.mesh": " × ".join(f"{size} {axis}" for axis, size in mesh.shape.items()),
        "train.attention": ", ".join(backends),
        "train.remat": cfg.train.remat,
        "train.scan_layers": str(cfg.train.scan_layers),
    }


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
