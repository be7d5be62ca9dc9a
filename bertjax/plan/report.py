"""A plan as text for people and as JSON for programs."""

from __future__ import annotations

import dataclasses
from typing import Any

from bertjax.config import PretrainConfig
from bertjax.model import networks
from bertjax.plan.hlo import by_kind
from bertjax.plan.phases import PhasePlan
from bertjax.plan.roofline import Roofline
from bertjax.plan.topology import Topology
from bertjax.terminal import count


def to_text(cfg: PretrainConfig, topology: Topology, plans: list[PhasePlan]) -> str:
    """Describe a plan, a block of lines a phase."""
    chip, mesh = topology.chip, cfg.train.mesh
    data = topology.chips // (mesh.fsdp * mesh.tensor)
    lines = [
        f"hardware  {topology}: {topology.chips} × {chip.device_kind}, data {data} × "
        f"fsdp {mesh.fsdp} × tensor {mesh.tensor}",
        f"model     {networks.sizes(cfg)}, {cfg.train.compute_dtype}, {cfg.optim.optimizer}",
    ]
    for plan in plans:
        lines += ["", *_phase_lines(cfg, topology, plan)]
    lines += ["", f"assumed   {assumption(cfg, topology, plans)}"]
    return "\n".join(lines)


def assumption(cfg: PretrainConfig, topology: Topology, plans: list[PhasePlan]) -> str:
    """What predictions rest on, in one sentence."""
    chip = topology.chip
    peak = chip.peak(cfg.train.compute_dtype)
    compiled = "" if all(plan.compiled for plan in plans) else "; nothing compiled"
    return (
        f"{chip.utilisation:.0%} of {peak / 1e12:.0f} TFLOP/s while computing, "
        f"collectives hidden behind it, full rows, input never waited for{compiled}: "
        "a prediction, not a measurement"
    )


def _phase_lines(cfg: PretrainConfig, topology: Topology, plan: PhasePlan) -> list[str]:
    rows, roof = plan.phase, plan.roofline
    lines = [
        f"batch     {rows.batch_size} rows of {rows.seq_len} in {cfg.train.accumulate} "
        f"micro-batches: {count(roof.tokens)} tokens, {count(roof.tokens_per_chip)} a chip",
        f"attention {' · '.join(plan.attention)}",
        *_memory_lines(topology, plan),
        *(
            f"{'moved' if not at else '':<9} {kind}: {times} a step, {_bytes(size)}"
            for at, (kind, (times, size)) in enumerate(sorted(by_kind(plan.collectives).items()))
        ),
        f"work      {roof.flops / 1e12:.3g} model TFLOP a step, "
        f"{roof.flops / topology.chips / 1e12:.3g} a chip",
        f"time      {_milliseconds(roof.compute)} products at the peak, "
        f"{_milliseconds(roof.communication)} collectives, {_milliseconds(roof.update)} update",
        f"verdict   {_verdict(roof)}",
        f"speed     {count(roof.tokens_per_second)} tokens/s predicted, "
        f"{count(roof.tokens_per_second / topology.chips)} a chip, "
        f"{roof.model_flops_utilisation:.0%} of the peak; "
        f"at most {count(roof.most_tokens_per_second)}",
    ]
    return lines


def _verdict(roof: Roofline) -> str:
    if not roof.communication:
        return "compute-bound: there is nothing to communicate"
    return (
        f"{roof.bound}-bound: products take longer than collectives from "
        f"{count(roof.bound_from)} tokens a chip up, and it has {count(roof.tokens_per_chip)}"
    )


def _memory_lines(topology: Topology, plan: PhasePlan) -> list[str]:
    held, limit = plan.arguments, topology.chip.memory
    inside = (
        f"parameters {_bytes(held.parameters)}, optimizer {_bytes(held.optimizer)}, "
        f"batch {_bytes(held.batch)}"
    )
    if plan.compiled is None:
        return [
            f"memory    {inside} of {_bytes(limit)} a GPU; activations are not counted: pip "
            "install 'bertjax[cuda]' to have the step compiled (no GPU is needed)"
        ]
    memory = plan.compiled.memory
    return [
        f"compiled  in {plan.compiled.seconds:.0f} s",
        f"memory    {_bytes(memory.total)} of {_bytes(limit)} a chip ({memory.total / limit:.0%})",
        f"          arguments {_bytes(memory.arguments)}: {inside}",
        f"          temporaries {_bytes(memory.temporaries)}, outputs {_bytes(memory.outputs)} of "
        f"which aliased {_bytes(memory.aliased)}, code {_bytes(memory.code)}",
    ]


def _bytes(size: float) -> str:
    units = (("GiB", 30), ("MiB", 20), ("KiB", 10))
    unit, power = next((u for u in units if size >= 0.1 * 2 ** u[1]), ("B", 0))
    return f"{size / 2**power:.3g} {unit}"


def _milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:.3g} ms"


def to_json(cfg: PretrainConfig, topology: Topology, plans: list[PhasePlan]) -> dict[str, Any]:
    """The plan as JSON values; bytes are a chip's, times seconds, FLOPs those of all chips."""
    return {
        "topology": str(topology),
        "chips": topology.chips,
        "device_kind": topology.chip.device_kind,
        "memory_available": topology.chip.memory,
        "assumption": assumption(cfg, topology, plans),
        "config": dataclasses.asdict(cfg),
        "phases": [_phase_json(plan) for plan in plans],
    }


def _phase_json(plan: PhasePlan) -> dict[str, Any]:
    roof = plan.roofline
    found = {
        "batch_size": plan.phase.batch_size,
        "seq_len": plan.phase.seq_len,
        "attention": plan.attention[0],
        "arguments": dataclasses.asdict(plan.arguments),
        "collectives": {
            kind: {"times": times, "bytes": size}
            for kind, (times, size) in by_kind(plan.collectives).items()
        },
        "roofline": {
            **dataclasses.asdict(roof),
            "bound": roof.bound,
            "step": roof.step,
            "tokens_per_second": roof.tokens_per_second,
            "most_tokens_per_second": roof.most_tokens_per_second,
            "model_flops_utilisation": roof.model_flops_utilisation,
        },
    }
    if plan.compiled is not None:
        memory = plan.compiled.memory
        found["memory"] = {**dataclasses.asdict(memory), "total": memory.total}
        found["compile_seconds"] = plan.compiled.seconds
    return found
