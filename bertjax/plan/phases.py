"""Plan every phase of a run: compile it where that is possible, then predict its speed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

from jax.sharding import Mesh

from bertjax.config import Phase, PretrainConfig
from bertjax.errors import UserError
from bertjax.plan import gpu
from bertjax.plan.compile import Compiled, TooLarge, compile_step
from bertjax.plan.hlo import Collective
from bertjax.plan.placement import ArgumentBytes, argument_bytes, batch_shards, check_mesh
from bertjax.plan.roofline import Roofline, expected_collectives, roofline
from bertjax.plan.search import largest
from bertjax.plan.topology import Topology
from bertjax.train.compute import attention_of, compute_on

_MOST_ROWS = 2**20  # what a config may ask for
_GiB = 2**30

Say = Callable[[str], None]


@dataclass(frozen=True)
class PhasePlan:
    """What one phase needs and how fast it could be."""

    phase: Phase
    arguments: ArgumentBytes
    attention: tuple[str, str]  # the backend, and why it is that one
    collectives: tuple[Collective, ...]
    roofline: Roofline
    compiled: Compiled | None  # None: nothing was, as for GPUs without JAX's CUDA plugin


def plan_run(
    cfg: PretrainConfig, topology: Topology, *, search: bool = False, say: Say = lambda _: None
) -> list[PhasePlan]:
    """Plan all phases of `cfg` on `topology`; `model.vocab_size` must be settled.

    Args:
        cfg: the run.
        topology: the hardware.
        search: plan the largest batch that fits in place of each phase's own.
        say: is told before each compilation, which takes seconds to minutes.

    Raises:
        UserError: the config does not divide over the chips or does not fit; the message has the
            nearest that does.
    """
    compiles = topology.chip.is_tpu or gpu.can_compile()
    if search and not compiles:
        raise UserError(
            f"--search compiles for {topology}, which takes JAX's CUDA plugin: pip install "
            "'bertjax[cuda]' (no GPU is needed)"
        )
    mesh = check_mesh(cfg, topology)
    phases = cfg.data.phases
    if not topology.chip.is_tpu:
        for phase in phases:
            _check_state(cfg, topology, mesh, phase)
    if not compiles:
        return [describe(cfg, topology, phase, None) for phase in phases]
    return [_plan_phase(cfg, topology, mesh, i, search, say) for i in range(len(phases))]


def describe(
    cfg: PretrainConfig, topology: Topology, phase: Phase, compiled: Compiled | None
) -> PhasePlan:
    """Predict batches of `phase`, from the compiled step's own collectives or, without, theory."""
    mesh = check_mesh(cfg, topology)
    held = argument_bytes(cfg, phase, mesh)
    traffic = compiled.collectives if compiled else expected_collectives(cfg, phase, mesh, held)
    compute = compute_on(cfg, "tpu" if topology.chip.is_tpu else "gpu")
    return PhasePlan(
        phase,
        held,
        attention_of(cfg, compute, phase),
        traffic,
        roofline(cfg, phase, topology, traffic, held),
        compiled,
    )


def _check_state(cfg: PretrainConfig, topology: Topology, mesh: Mesh, phase: Phase) -> None:
    """Refuse what no batch size makes fit, before minutes of compilation."""
    held = argument_bytes(cfg, phase, mesh)
    # Gradients lie there as well, at the end of the backward pass.
    needed, limit = 2 * held.parameters + held.optimizer + held.batch, topology.chip.memory
    if needed > limit:
        raise UserError(
            f"parameters, gradients and optimizer alone take {needed / _GiB:.1f} GiB of the "
            f"{limit / _GiB:.1f} GiB of each GPU of {topology}: raise train.mesh.fsdp or choose a "
            "smaller model"
        )


def _plan_phase(
    cfg: PretrainConfig, topology: Topology, mesh: Mesh, index: int, search: bool, say: Say
) -> PhasePlan:
    unit, phase = batch_shards(cfg, mesh), cfg.data.phases[index]

    @cache
    def compile_at(units: int) -> Compiled | TooLarge:
        rows = units * unit
        say(f"compiling {rows} rows of {phase.seq_len} for {topology}")
        return compile_step(cfg, topology, replace(phase, batch_size=rows))

    units = asked = phase.batch_size // unit
    verdict = compile_at(asked)
    if search or isinstance(verdict, TooLarge):
        limit = _MOST_ROWS // unit if search else asked
        units = largest(compile_at, asked, limit, topology.chip.memory)
    if isinstance(verdict, TooLarge) and (not search or not units):
        raise _does_not_fit(phase, index, verdict, topology, units * unit, unit)
    compiled = compile_at(units)
    assert isinstance(compiled, Compiled)
    return describe(cfg, topology, replace(phase, batch_size=units * unit), compiled)


def _does_not_fit(
    phase: Phase, index: int, verdict: TooLarge, topology: Topology, most: int, unit: int
) -> UserError:
    fix = (
        f"the largest that fits is data.phases.{index}.batch_size={most}; more rows take "
        "train.accumulate"
        if most
        else f"not even {unit} rows fit: raise train.mesh.fsdp or shorten the rows"
    )
    return UserError(
        f"{phase.batch_size} rows of {phase.seq_len} need {verdict.needed / _GiB:.2f} GiB or more "
        f"of the {verdict.available / _GiB:.2f} GiB of each chip of {topology}: {fix}"
    )
