"""What bounds a step, and how fast it could be: arithmetic, not a measurement.

Three times are compared (jax-ml/scaling-book, roofline.md and training.md): that of the matrix
products at the chip's peak, that of the collectives at the links' bandwidth, and that of the
optimizer, which reads and writes the whole state once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jax.sharding import Mesh

from bertjax import flops
from bertjax.config import Phase, PretrainConfig
from bertjax.plan.hlo import Collective
from bertjax.plan.placement import ArgumentBytes, objective
from bertjax.plan.topology import Topology


@dataclass(frozen=True)
class Roofline:
    """Times of a step in seconds, and what follows from them."""

    flops: float  # of all chips, by `bertjax.flops`
    tokens: int  # a step, all rows full
    tokens_per_chip: float
    peak: float  # FLOP/s of a chip
    utilisation: float  # assumed while computing
    compute: float  # at the peak
    communication: float
    update: float  # state through memory
    bound_from: float  # tokens a chip at which computing at the peak takes as long as communicating

    @property
    def bound(self) -> str:
        """`compute` or `communication`, whichever takes longer at the hardware's limits."""
        return "compute" if self.compute >= self.communication else "communication"

    @property
    def step(self) -> float:
        """Predicted time of a step: collectives hidden behind the products, then the update."""
        return max(self.compute / self.utilisation, self.communication) + self.update

    @property
    def tokens_per_second(self) -> float:
        """Predicted, of all chips."""
        return self.tokens / self.step

    @property
    def most_tokens_per_second(self) -> float:
        """What no program can exceed on this hardware."""
        return self.tokens / (max(self.compute, self.communication) + self.update)

    @property
    def model_flops_utilisation(self) -> float:
        """Predicted share of the peak over the whole step."""
        return self.compute / self.step


def roofline(
    cfg: PretrainConfig,
    phase: Phase,
    topology: Topology,
    traffic: Sequence[Collective],
    arguments: ArgumentBytes,
) -> Roofline:
    """Predict a step on batches of `phase` whose rows are full, one example each.

    Args:
        cfg: the run, its vocabulary size settled.
        phase: rows and their length.
        topology: the hardware.
        traffic: the step's collectives: compiled, or `expected_collectives`.
        arguments: what a chip holds.
    """
    tokens = phase.batch_size * phase.seq_len
    per_row = objective(cfg, phase).predictions(phase.seq_len)
    work = flops.training_flops(
        cfg.in_phase(phase).networks, tokens, tokens * phase.seq_len, per_row * phase.batch_size
    )
    peak = topology.chip.peak(cfg.train.compute_dtype)
    compute = work / (peak * topology.chips)
    communication = sum(one.sent / topology.bandwidth(one.group) for one in traffic)
    state = arguments.parameters + arguments.optimizer
    return Roofline(
        flops=work,
        tokens=tokens,
        tokens_per_chip=tokens / topology.chips,
        peak=peak,
        utilisation=topology.chip.utilisation,
        compute=compute,
        communication=communication,
        # Read and write the state, read the gradients.
        update=(2 * state + arguments.parameters) / topology.chip.memory_bandwidth,
        bound_from=tokens / topology.chips * communication / compute,
    )


def expected_collectives(
    cfg: PretrainConfig, phase: Phase, mesh: Mesh, arguments: ArgumentBytes
) -> tuple[Collective, ...]:
    """The collectives of a step by theory, for hardware that is not compiled for.

    Gradients, float32 as the parameters, are all-reduced in each micro-batch; with `fsdp` they are
    scattered and the weights gathered (Rajbhandari et al. 2020, section 5); with `tensor`, each
    attention and each feed-forward all-reduces its activations once in either direction (Shoeybi et
    al. 2019, section 3).
    XLA differs in both directions: it reduces the tied table once for each of its uses, and the
    gradients of kernels in the compute dtype.
    """
    data, fsdp, tensor = (mesh.shape[axis] for axis in ("data", "fsdp", "tensor"))
    n = cfg.train.accumulate
    gradient = arguments.parameters * fsdp
    activation_width = 2 if cfg.train.compute_dtype == "bfloat16" else 4
    rows = phase.batch_size // (data * fsdp * n)
    activation = rows * phase.seq_len * cfg.model.inner_size * activation_width
    branches = cfg.model.num_layers * (1 + cfg.model.feed_forwards)
    expected = (
        Collective("all-gather", gradient, fsdp, n),
        Collective("reduce-scatter", gradient, fsdp, n),
        Collective("all-reduce", gradient // fsdp, data, n),
        Collective("all-reduce", activation, tensor, 2 * branches * n),
    )
    return tuple(one for one in expected if one.group > 1)
