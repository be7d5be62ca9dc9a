"""Compile the training step, and that of evaluation, for hardware that is not here.

For TPU slices with libtpu (extra `tpu`), for the GPUs of a host with JAX's CUDA plugin (`cuda`).
"""

from __future__ import annotations

import importlib.util
import os
import re
import time
import warnings
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import jax
import numpy as np
from jax.experimental import topologies
from jax.sharding import Mesh

from bertjax import sharding
from bertjax.config import MeshConfig, Phase, PretrainConfig
from bertjax.errors import UserError
from bertjax.plan import gpu
from bertjax.plan.hlo import Collective, collectives
from bertjax.plan.placement import abstract_batch, argument_bytes, objective
from bertjax.plan.topology import Topology
from bertjax.train.evaluate import make_evaluation_step, rows_at_once
from bertjax.train.state import abstract_state
from bertjax.train.step import make_train_step

# libtpu would ask the machine which TPU it is part of, wait for an answer and complain, and let one
# process at a time load it, as if there were chips to share.
_NO_TPU_HERE = {
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_WORKER_HOSTNAMES": "localhost",
}
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_SIZE = r"([\d.]+)([KMGT]?)"


@dataclass(frozen=True)
class MemoryBytes:
    """Bytes a chip while a step runs, as the compiler lays them out."""

    arguments: int
    outputs: int
    aliased: int  # outputs that take the place of donated arguments
    temporaries: int
    code: int

    @property
    def total(self) -> int:
        """All that lies in memory at once, at most."""
        return self.arguments + self.outputs - self.aliased + self.temporaries + self.code


@dataclass(frozen=True)
class Compiled:
    """A step that fits."""

    memory: MemoryBytes  # of the training step or of evaluation, whichever takes more
    collectives: tuple[Collective, ...]
    seconds: float  # of compilation


@dataclass(frozen=True)
class TooLarge:
    """A step that does not fit: what the compiler says it needs, at least, and what there is."""

    needed: float  # bytes a chip
    available: float


def compile_step(cfg: PretrainConfig, topology: Topology, phase: Phase) -> Compiled | TooLarge:
    """Compile what a run computes in batches of `phase`, all the way to machine code.

    The collectives are those of the training step. `cfg.model.vocab_size` must be settled and `cfg`
    have passed `placement.check_mesh`.

    Raises:
        UserError: as `executable`, or the step does not compile.
    """
    begin = time.monotonic()
    try:
        compiled = executable(cfg, topology, phase)
        evaluates = evaluation_executable(cfg, topology, phase)
    except jax.errors.JaxRuntimeError as error:
        return _verdict(str(error), topology)
    seconds = time.monotonic() - begin
    # Evaluation does without the gradients, but leaves the optimizer's state where it lies.
    held = argument_bytes(cfg, phase, _mesh(cfg.train.mesh, topology)).optimizer
    memory = max(_memory(compiled), _memory(evaluates, beside=held), key=lambda m: m.total)
    # libtpu refuses what does not fit; for a GPU the allocator would, when it runs.
    if not topology.chip.is_tpu and memory.total > topology.chip.memory:
        return TooLarge(memory.total, topology.chip.memory)
    return Compiled(memory, tuple(collectives(compiled.as_text(), topology.chips)), seconds)


def _memory(compiled: Any, beside: int = 0) -> MemoryBytes:
    """What a program takes of a chip, and the bytes that lie there beside its arguments."""
    stats = compiled.memory_analysis()
    return MemoryBytes(
        arguments=stats.argument_size_in_bytes + beside,
        outputs=stats.output_size_in_bytes,
        aliased=stats.alias_size_in_bytes,
        temporaries=stats.temp_size_in_bytes,
        code=stats.generated_code_size_in_bytes,
    )


def evaluation_executable(cfg: PretrainConfig, topology: Topology, phase: Phase) -> Any:
    """The step of `train.evaluate` as a `jax.stages.Compiled`; raises as `executable`."""
    mesh = _mesh(cfg.train.mesh, topology)
    with jax.set_mesh(mesh):
        rows = replace(phase, batch_size=rows_at_once(cfg, mesh, phase.batch_size))
        step = make_evaluation_step(cfg, objective(cfg, phase), mesh)
        return _compile(step, abstract_state(cfg, mesh).params, abstract_batch(cfg, rows, mesh))


def executable(cfg: PretrainConfig, topology: Topology, phase: Phase) -> Any:
    """The training step as a `jax.stages.Compiled`; `compile_step` says what is known of it.

    Raises:
        UserError: the compiler or a library it asks for is not installed, or the mesh cannot be
            laid on the slice.
        jax.errors.JaxRuntimeError: the step does not compile.
    """
    mesh = _mesh(cfg.train.mesh, topology)
    with jax.set_mesh(mesh):
        step = make_train_step(cfg, objective(cfg, phase), mesh)
        state, batch = abstract_state(cfg, mesh), abstract_batch(cfg, phase, mesh)
        return _compile(step, state, batch, np.uint32(cfg.seed), None)


def _compile(step: Any, *arguments: Any) -> Any:
    try:
        lowered = step.lower(*arguments)
    except RuntimeError as error:
        if "cuDNN not found" not in str(error):
            raise
        raise UserError(
            "train.attention=cudnn asks for cuDNN's version, and it is not installed: pip "
            "install 'bertjax[cuda]' brings it, or plan with train.attention=triton"
        ) from None
    with warnings.catch_warnings():
        # What a user's compilation cache keeps of it cannot be loaded without the device.
        warnings.filterwarnings("ignore", "Error reading persistent compilation cache")
        return lowered.compile()


def _mesh(cfg: MeshConfig, topology: Topology) -> Mesh:
    return _slice(cfg, topology) if topology.chip.is_tpu else _host(cfg, topology)


def _host(cfg: MeshConfig, topology: Topology) -> Mesh:
    if not gpu.can_compile():
        raise UserError(
            f"--topology {topology} needs JAX's CUDA plugin to compile for it: pip install "
            "'bertjax[cuda]' (no GPU is needed)"
        )
    return sharding.make_mesh(cfg, gpu.devices(topology))


def _slice(cfg: MeshConfig, topology: Topology) -> Mesh:
    if importlib.util.find_spec("libtpu") is None:
        raise UserError(
            f"--topology {topology} needs libtpu to compile for it: pip install 'bertjax[tpu]' "
            "(no TPU is needed)"
        )
    for name, value in _NO_TPU_HERE.items():
        os.environ.setdefault(name, value)
    try:
        return sharding.make_mesh(cfg, _chips(topology))
    except NotImplementedError:  # of mesh_utils: an axis of the mesh is no product of the slice's
        raise UserError(
            f"train.mesh fsdp={cfg.fsdp} tensor={cfg.tensor} cannot be laid along the axes of "
            f"{topology}: use sizes that are products of {', '.join(map(str, topology.shape))}"
        ) from None


@lru_cache(maxsize=4)
def _chips(topology: Topology) -> list[jax.Device]:
    # libtpu counts whole hosts of four chips unless told that a slice is less.
    layout = {"chips_per_host_bounds": (1, 1, 1)} if topology.chips == 1 else {}
    return topologies.get_topology_desc(str(topology), platform="tpu", **layout).devices


def _verdict(message: str, topology: Topology) -> TooLarge:
    """What a failed compilation says; only running out of memory is an answer."""
    sizes = re.search(rf"\({_SIZE}\) exceeds available \w+ \({_SIZE}\)", message) or re.search(
        rf"Used {_SIZE} of {_SIZE} hbm", message, re.IGNORECASE
    )
    if "RESOURCE_EXHAUSTED" in message and sizes:
        needed, available = (
            float(number) * _UNITS[unit] for number, unit in (sizes.group(1, 2), sizes.group(3, 4))
        )
        return TooLarge(needed, available)
    raise UserError(
        f"the step does not compile for {topology}: {message.strip().splitlines()[0]}: this is a "
        "limit of the compiler or a bug of ours, not of the config's size"
    )
