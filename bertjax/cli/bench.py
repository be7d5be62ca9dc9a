"""`bertjax bench`: how fast a config trains on this machine, and where its time goes."""

from __future__ import annotations

import argparse
import statistics
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax

from bertjax.bench.corpus import data_of
from bertjax.bench.ours import Bench, alternate
from bertjax.cli.devices import require_devices
from bertjax.cli.fields import add_config
from bertjax.cli.outputs import check_output
from bertjax.config import PretrainConfig
from bertjax.durable import write_json
from bertjax.errors import UserError
from bertjax.overrides import apply_overrides
from bertjax.recipes.shipped import load_recipe
from bertjax.runs.environment import describe_environment
from bertjax.terminal import Terminal, count
from bertjax.train.devices import make_mesh, memory_errors

_STEADY = 1.5  # times the fastest round that the slowest may take, for figures to be trusted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `bertjax bench`."""
    add_config(parser, "data.phases.0.batch_size=64")
    parser.add_argument("--steps", type=int, default=20, help="timed steps, in four rounds")
    parser.add_argument("--phase", type=int, default=0, help="which of data.phases; 0 is the first")
    parser.add_argument(
        "--document-length",
        type=int,
        default=1000,
        help="tokens in a document of the random text that stands in for data.corpus",
    )
    parser.add_argument(
        "--compare", choices=["transformers"], help="run the same in PyTorch, in turn with ours"
    )
    parser.add_argument(
        "--no-parts",
        dest="parts",
        action="store_false",
        help="do not time the parts of a step, for which two more programs are compiled",
    )
    parser.add_argument(
        "--trace", type=Path, metavar="DIR", help="write a profile of three more steps there"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there too")


def run(args: argparse.Namespace) -> int:
    """Measure and print; returns the exit code."""
    cfg = apply_overrides(load_recipe(args.config, PretrainConfig), args.overrides)
    cfg = cfg.with_trained_heads()
    if args.steps < 4:
        raise UserError(f"--steps {args.steps}: give at least 4, one a round")
    if not 0 <= args.phase < len(cfg.data.phases):
        raise UserError(
            f"--phase {args.phase}: the config has phases 0 to {len(cfg.data.phases) - 1}"
        )
    check_output("--json", args.json)
    require_devices()
    cfg, data = data_of(cfg, args.document_length)
    mesh = make_mesh(cfg)
    if args.compare:
        from bertjax.bench.pytorch import TorchBench, require_comparable

        require_comparable(cfg.in_phase(cfg.data.phases[args.phase]), mesh)
    with jax.set_mesh(mesh), memory_errors(cfg):
        terminal = Terminal()
        terminal.progress("compiling")
        ours = Bench(cfg, mesh, data, args.phase)
        benches: list[Any] = [ours]
        if args.compare:
            benches.append(TorchBench(ours))
        for done in alternate(benches, 4, args.steps // 4):
            terminal.progress(f"round {done} of 4")
        parts = {}
        if args.parts:
            terminal.progress("the parts of a step")
            parts = ours.parts(repeats=max(3, args.steps // 4))
        report = ours.report(parts)
        if args.compare:
            theirs = statistics.median(benches[1].steps)
            report["transformers_settings"] = benches[1].settings
            report["transformers_step_seconds_of_rounds"] = benches[1].steps
            report["transformers_step_seconds"] = theirs
            report["transformers_tokens_per_second"] = statistics.fmean(ours.tokens) / theirs
            report["ratio"] = theirs / report["step_seconds"]
        if args.trace:  # by a round that is none of those above
            with jax.profiler.trace(args.trace):
                ours.run(3)
        terminal.close()
    report["text"] = ", ".join(cfg.data.paths) or f"random, vocabulary {cfg.model.vocab_size:,}"
    report["config"] = asdict(cfg)
    report["environment"] = describe_environment()
    print(_table(report))
    if args.json:
        write_json(args.json.absolute(), report)
    return 0


def _table(report: dict[str, Any]) -> str:
    """The report for people."""
    step = report["step_seconds"]
    lines = [
        f"device      {report['device']}",
        f"shape       {report['shape']}, {report['real_tokens_share']:.1%} real tokens",
        f"text        {report['text']}",
        f"attention   {report['attention']}",
        f"compile     {report['compile_seconds']:.1f} s",
        f"step        {step * 1e3:.1f} ms, {_range(report['step_seconds_of_rounds'])}",
    ]
    if parts := report["parts_seconds"]:
        whole = sum(parts.values())
        lines.append(f"its parts   one at a time, {whole * 1e3:.1f} ms together")
        for name, seconds in parts.items():
            lines.append(f"  {name:<11}{seconds * 1e3:.1f} ms, {seconds / whole:.1%}")
    lines += [
        f"speed       {count(report['tokens_per_second'])} real tokens/s, "
        f"{report['input_wait_share']:.2%} of the time waiting for batches",
        f"work        {report['model_flops_per_second'] / 1e12:.3g} model TFLOP/s, "
        f"{report['utilisation_of_matmul']:.1%} of the matmul rate here "
        f"({report['matmul_flops_per_second'] / 1e12:.3g} TFLOP/s)",
    ]
    if report["utilisation_of_data_sheet"] is not None:
        lines[-1] += f", {report['utilisation_of_data_sheet']:.1%} of the data sheet"
    lines.append(f"memory      {report['peak_bytes'] / 2**30:.2f} GiB at most on one device")
    if "ratio" in report:
        lines.append(
            f"compare     transformers + PyTorch {count(report['transformers_tokens_per_second'])} "
            f"real tokens/s: ours is {report['ratio']:.2f} times as fast\n"
            f"            their step {_range(report['transformers_step_seconds_of_rounds'])}; "
            f"{report['transformers_settings']}"
        )
    spread = max(
        max(rounds) / min(rounds)
        for name, rounds in report.items()
        if name.endswith("step_seconds_of_rounds")
    )
    if spread > _STEADY:
        lines.append(
            f"note        rounds of one side differ {spread:.1f} times: the machine was not at "
            "rest, or --steps are too few for it"
        )
    return "\n".join(lines)


def _range(rounds: list[float]) -> str:
    return f"rounds of {min(rounds) * 1e3:.1f} to {max(rounds) * 1e3:.1f} ms"
