"""Chips, and the slices and hosts they come in: facts from data sheets, and names of them.

A topology is written `v5e:4x4` (chips along each axis), `v5p-128` (Cloud TPU's accelerator type:
chips of v6e and v5e, which it calls v5litepod, but TensorCores of v5p, which has two a chip), or
`h200:8` (GPUs of a host).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from bertjax.errors import UserError, nearest
from bertjax.flops import PEAK_FLOPS

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Chip:
    """One accelerator.

    `utilisation` is an assumption, not a fact: the share of the bf16 peak that a well-tuned
    encoder reaches while it computes.
    """

    name: str
    device_kind: str  # JAX's name, and the key of `flops.PEAK_FLOPS`
    memory: float  # bytes a program may use
    memory_bandwidth: float  # bytes/s
    link_bandwidth: float  # bytes/s one way: of one ICI link, or of all NVLinks of a GPU
    utilisation: float
    shapes: tuple[Shape, ...]  # slices, or numbers of GPUs on a host
    cores: int = 1  # that Cloud TPU's accelerator types count, per chip

    @property
    def is_tpu(self) -> bool:
        """Whether it is one; otherwise it is a GPU."""
        return self.device_kind.startswith("TPU")

    def peak(self, compute_dtype: str) -> float:
        """FLOP/s of matrix products in `compute_dtype`.

        By default JAX multiplies float32 in one bf16 pass on TPUs, and on GPUs in TF32, whose
        peak is half of bf16's (NVIDIA's data sheets).
        """
        peak = PEAK_FLOPS[self.device_kind]
        return peak / 2 if compute_dtype == "float32" and not self.is_tpu else peak


_SQUARES = ((1, 1), (2, 2), (2, 4), (4, 4), (4, 8), (8, 8), (8, 16), (16, 16))
_CUBES = (
    *((2, 2, 1), (2, 2, 2), (2, 2, 4), (2, 4, 4), (4, 4, 4), (4, 4, 8), (4, 8, 8), (8, 8, 8)),
    *((8, 8, 16), (8, 16, 16), (16, 16, 16), (16, 16, 24)),
)
_HOST = tuple((n,) for n in range(1, 9))
_GiB = 2**30

GPU_SHARE = 0.9  # of a GPU's memory that XLA may use; the rest is for CUDA, cuDNN and NCCL

# Slices, memory bandwidth: Cloud TPU's pages on v5e, v5p and v6e. Memory: what libtpu 0.0.42 says
# is available when a program does not fit. Links: jax-ml/scaling-book, tpus.md. GPUs: NVIDIA's data
# sheets of the SXM models (A100 with 80 GB).
# Utilisation: published runs on A100 (MLPerf training 2.1, BERT-large) and H100 (GPT-2 124M of
# llm.c); on TPUs, about four fifths of what MaxText reports for dense models of 8B to 70B.
CHIPS = {
    chip.name: chip
    for chip in (
        Chip("v5e", "TPU v5 lite", 15.75 * _GiB, 8.19e11, 4.5e10, 0.50, _SQUARES),
        Chip("v5p", "TPU v5", 95.74 * _GiB, 2.765e12, 9e10, 0.55, _CUBES, cores=2),
        Chip("v6e", "TPU v6 lite", 31.25 * _GiB, 1.638e12, 9e10, 0.42, _SQUARES),
        Chip("a100", "NVIDIA A100", GPU_SHARE * 80e9, 2.039e12, 3e11, 0.47, _HOST),
        Chip("h100", "NVIDIA H100", GPU_SHARE * 80e9, 3.35e12, 4.5e11, 0.40, _HOST),
        Chip("h200", "NVIDIA H200", GPU_SHARE * 141e9, 4.8e12, 4.5e11, 0.40, _HOST),
    )
}


_CLOUD_NAMES = {"v5litepod": "v5e"}  # in accelerator types


@dataclass(frozen=True)
class Topology:
    """So many chips, and how they are wired."""

    chip: Chip
    shape: Shape

    def __str__(self) -> str:
        return f"{self.chip.name}:{'x'.join(map(str, self.shape))}"

    @property
    def chips(self) -> int:
        """Number of chips."""
        return math.prod(self.shape)

    def bandwidth(self, group: int) -> float:
        """Bytes/s at which a chip sends and receives in a collective over `group` chips.

        All chips of a slice use all axes of the torus at once; a smaller group is taken to lie
        along one axis, the slowest. An axis that closes into a ring is used in both directions.
        """
        if not self.chip.is_tpu:
            return self.chip.link_bandwidth
        axes = [
            self.chip.link_bandwidth * (2 if self._wraps(length) else 1)
            for length in self.shape
            if length > 1
        ]
        return sum(axes) if group == self.chips else min(axes)

    def _wraps(self, length: int) -> bool:
        """v5e and v6e close axes of 16, v5p those of whole 4×4×4 cubes (Cloud TPU's pages)."""
        return self.chips >= 64 if len(self.shape) == 3 else length == 16


def parse_topology(name: str) -> Topology:
    """Read `v5e:4x4`, `v5p-128`, `v5litepod-16` or `h200:8`, in capitals or not.

    Raises:
        UserError: no such chip, or it does not come in that shape; names the nearest that exist.
    """
    matched = re.fullmatch(r"([^:-]+)([:-])(.+)", name.lower())
    chip_name = matched[1] if matched else name.lower().rstrip(":-")
    chip_name = _CLOUD_NAMES.get(chip_name, chip_name)
    if chip_name not in CHIPS:
        raise UserError(f"--topology {name}: no chip {chip_name!r}: {nearest(chip_name, CHIPS)}")
    chip = CHIPS[chip_name]
    if matched is None:
        raise UserError(f"--topology {name} names no size: choose from {_names(chip, chip.shapes)}")
    sizes = [int(n) if n.isdecimal() and len(n) < 6 else 0 for n in matched[3].split("x")]
    if matched[2] == "-" and len(sizes) == 1:
        shapes = [s for s in chip.shapes if math.prod(s) * chip.cores == sizes[0]]
    else:
        shapes = [s for s in chip.shapes if s == tuple(sizes)]
    if not shapes:
        count = math.prod(sizes) / (chip.cores if matched[2] == "-" else 1)
        raise UserError(
            f"--topology {name} does not exist: choose from {_names(chip, _around(chip, count))}"
        )
    return Topology(chip, shapes[0])


def _around(chip: Chip, count: float) -> tuple[Shape, ...]:
    """The shapes with the next lower and the next higher number of chips; all for no number."""
    if not count:
        return chip.shapes
    below = [s for s in chip.shapes if math.prod(s) <= count][-1:]
    above = [s for s in chip.shapes if math.prod(s) >= count][:1]
    return tuple(dict.fromkeys(below + above))


def _names(chip: Chip, shapes: tuple[Shape, ...]) -> str:
    return ", ".join(str(Topology(chip, shape)) for shape in shapes)
