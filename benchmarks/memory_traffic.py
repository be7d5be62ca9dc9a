"""What the kernels of a training step move through a GPU's memory, by what they are for.

    python benchmarks/memory_traffic.py --config budget_base --top 20

Needs JAX's CUDA plugin (extra `cuda`) and no GPU: the step is compiled for one, and the operands
and results of every kernel are added up. No speed is measured; the time is that of the bytes at the
data sheet's bandwidth, what a kernel cannot go below. Products are chosen without trying them out,
which on a GPU the compiler does first.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace

import jax

from bertjax.cli.main import in_one_line
from bertjax.config import PretrainConfig
from bertjax.errors import UserError
from bertjax.overrides import apply_overrides
from bertjax.plan.compile import executable
from bertjax.plan.hlo import array_bytes, loop_rounds, split_computations
from bertjax.plan.placement import check_mesh
from bertjax.plan.topology import parse_topology
from bertjax.recipes.shipped import load_recipe

_INSTRUCTION = re.compile(r"^ +(?:ROOT )?%(\S+) = (\(.*?\)(?= [a-z])|\S+) ([\w-]+)\((.*?)\)(.*)$")
_NO_KERNEL = {
    *("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all"),
    *("copy-done", "async-done", "all-reduce-done", "all-gather-done"),
}
_SLICES = {"gather", "dynamic-slice", "slice"}
KINDS = {"cudnn": "attention", "mha": "attention", "cublas": "products", "gemm": "products"}


@dataclass(frozen=True)
class Instruction:
    """One line of HLO."""

    name: str
    type: str
    operation: str
    operands: tuple[str, ...]
    rest: str

    @property
    def kind(self) -> str:
        """What the kernel is for, by its name or that of what it calls."""
        said = f"{self.name} {self.rest}"
        return next((kind for sign, kind in KINDS.items() if sign in said), "passes over arrays")

    @property
    def origin(self) -> str:
        """The operation of the model that it comes from."""
        found = re.search(r'op_name="([^"]*)"', self.rest)
        return re.sub(r"layer_\d+", "layer", found[1]) if found else ""


class Program:
    """An optimised HLO module as text."""

    def __init__(self, text: str):
        self.lines = split_computations(text)
        self.of = {name: list(map(_read, filter(_INSTRUCTION.match, lines)))
                   for name, lines in self.lines.items()}  # fmt: skip

    def kernels(self, name: str = "", times: int = 1) -> Iterator[tuple[Instruction, int, int]]:
        """(instruction, how often it runs in a step, its bytes), loops and calls entered."""
        types = {one.name: one.type for one in self.of[name]}
        for one in self.of[name]:
            if one.operation == "while":
                body = re.search(r"body=%([^\s,}]+)", one.rest)
                line = f" while({','.join(one.operands)}){one.rest}"
                yield from self.kernels(body[1], times * loop_rounds(line, self.lines))
            elif one.operation == "call":
                called = re.search(r"to_apply=%([^\s,}]+)", one.rest)
                yield from self.kernels(called[1], times)
            elif one.operation not in _NO_KERNEL:
                yield one, times, self.moved(one, types)

    def moved(self, one: Instruction, types: dict[str, str]) -> int:
        """Bytes read and written; of an array that is only sliced, the slices."""
        inside = re.search(r"calls=%([^\s,}]+)", one.rest)
        body = self.of.get(inside[1], []) if inside and one.operation == "fusion" else []
        parameters = {int(b.operands[0]): b.name for b in body if b.operation == "parameter"}
        total = array_bytes(one.type)
        for at, operand in enumerate(one.operands):
            users = [b for b in body if parameters.get(at) in b.operands]
            if users and all(b.operation in _SLICES for b in users):
                total += sum(array_bytes(b.type) for b in users)
            else:
                total += array_bytes(types.get(operand, ""))
        return total


def _read(line: str) -> Instruction:
    name, type_, operation, operands, rest = _INSTRUCTION.match(line).groups()
    names = re.findall(r"%([^\s,)]+)", operands) or operands.split(",")
    return Instruction(name, type_, operation, tuple(names), rest)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--config", required=True)
    parser.add_argument("--topology", default="h200:1")
    parser.add_argument("--rows", type=int, help="in place of the first phase's batch_size")
    parser.add_argument("--top", type=int, default=0, help="list so many of the largest as well")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    options = parser.parse_intermixed_args()
    jax.config.update("jax_platforms", "cpu")
    if options.rows is not None and options.rows < 1:
        raise UserError(f"--rows {options.rows}: give 1 row or more")
    topology = parse_topology(options.topology)
    given = ["model.vocab_size=30522", *options.overrides]
    cfg = apply_overrides(load_recipe(options.config, PretrainConfig), given).with_trained_heads()
    check_mesh(cfg, topology)
    phase = cfg.data.phases[0]
    phase = replace(phase, batch_size=options.rows or phase.batch_size)
    step = executable(cfg, topology, phase)

    kinds: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    alike: dict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0, 0])
    for one, times, size in Program(step.as_text()).kernels():
        kernel = re.sub(r"[.\d]+$", "", one.name)
        for table, key in ((kinds, one.kind), (alike, (kernel, one.type, one.origin))):
            table[key][0] += times
            table[key][1] += times * size

    bandwidth = topology.chip.memory_bandwidth
    memory = step.memory_analysis()
    print(f"{phase.batch_size} rows of {phase.seq_len} for {topology}, "
          f"temporaries {memory.temp_size_in_bytes / 2**30:.1f} GiB")  # fmt: skip
    print("| kernels | a step | GB | ms at the bandwidth |\n|---|---|---|---|")
    for kind, (times, size) in sorted(kinds.items()):
        print(f"| {kind} | {times:,} | {size / 1e9:.1f} | {1e3 * size / bandwidth:.1f} |")
    for key, (times, size) in sorted(alike.items(), key=lambda x: -x[1][1])[: options.top]:
        print(f"{size / 1e9:8.2f} GB {times:4d} ×", *key)


if __name__ == "__main__":
    sys.exit(in_one_line("memory_traffic.py", main))
