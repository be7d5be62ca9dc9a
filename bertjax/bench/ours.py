"""A config's own training step on its own batches: the time of its parts, FLOPs and memory."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from bertjax import flops, sharding
from bertjax.bench.clock import matmul_rate, peak_memory, seconds
from bertjax.config import PretrainConfig
from bertjax.data.loader import load_batches
from bertjax.objectives.choice import objective_of
from bertjax.objectives.objective import Objective, loss
from bertjax.train.compute import attention_of, compute_of
from bertjax.train.data import Data
from bertjax.train.state import abstract_state, fresh_state, state_shardings
from bertjax.train.step import gradients, make_train_step


def compile_step(
    cfg: PretrainConfig, mesh: Mesh, objective: Objective, batch: dict[str, jax.Array]
) -> jax.stages.Compiled:
    """The training step for batches like `batch`, without memory for the state."""
    step: Any = make_train_step(cfg, objective, mesh)
    return step.lower(abstract_state(cfg, mesh), batch, np.uint32(cfg.seed), None).compile()


@dataclass
class Bench:
    """One phase of a config, compiled and ready to be timed."""

    cfg: PretrainConfig
    mesh: Mesh
    data: Data
    phase: int = 0
    steps: list[float] = field(default_factory=list)  # seconds a step, the mean of each round
    waits: list[float] = field(default_factory=list)  # of these, spent on the next batch
    tokens: list[int] = field(default_factory=list)  # real ones of each step
    work: list[float] = field(default_factory=list)  # model FLOPs of each step

    def __post_init__(self) -> None:
        cfg, mesh = self.cfg, self.mesh
        self.source = self.data.training(cfg, self.phase)
        self.of_phase = cfg.in_phase(cfg.data.phases[self.phase])
        self.rows = cfg.data.phases[self.phase].batch_size
        corpus = self.data.first
        self.objective = objective_of(cfg, corpus.special, corpus.vocab_size, self.phase)
        batch = sharding.to_devices(mesh, self.source.batch(0), self.rows)
        began = time.perf_counter()
        self.compiled = compile_step(cfg, mesh, self.objective, batch)
        self.compile_seconds = time.perf_counter() - began
        self.state = fresh_state(cfg, mesh)
        self.take(batch)
        self.at = 1

    def take(self, batch: dict[str, jax.Array]) -> dict[str, jax.Array]:
        """One step; returns its metrics."""
        self.state, metrics = self.compiled(self.state, batch, np.uint32(self.cfg.seed), None)
        return metrics

    def run(self, count: int) -> None:
        """Take `count` steps as a run does: batches made ahead, metrics read one step late.

        They are timed together: a step is asked for before the one before it is done, so where one
        ends and the next begins cannot be seen from here.
        """
        share = sharding.process_rows(self.mesh, self.rows, self.cfg.train.accumulate)
        data, pending = self.cfg.data, None
        with load_batches(
            self.source, self.at, self.at + count + 1, data.workers, data.prefetch, share
        ) as stream:
            batch, waited, taken = next(stream), 0.0, []
            jax.block_until_ready(self.state)
            began = time.perf_counter()
            for _ in range(count):
                on_device = sharding.to_devices(self.mesh, batch, self.rows)
                metrics = self.take(on_device)
                taken.append((batch["segments"], metrics["predicted"]))
                asked = time.perf_counter()
                batch = next(stream)
                waited += time.perf_counter() - asked
                jax.block_until_ready(pending)
                pending = metrics
            jax.block_until_ready(self.state)
            self.steps.append((time.perf_counter() - began) / count)
            self.waits.append(waited / count)
        self.at += count
        for segments, predicted in taken:
            self._count(segments, float(predicted))

    def _count(self, segments: np.ndarray, predicted: float) -> None:
        tokens, attended = int((segments != 0).sum()), flops.attended_keys(segments)
        self.tokens.append(tokens)
        networks = self.of_phase.networks
        self.work.append(flops.training_flops(networks, tokens, attended, predicted))

    def parts(self, repeats: int) -> dict[str, float]:
        """Seconds of each part of a step: differences of programs that stop early, in turn.

        One step at a time, so their sum is more than a step of `run`, where the host's part lies
        behind the device's.
        """
        cfg, mesh, objective = self.cfg, self.mesh, self.objective
        places, compute = state_shardings(cfg, mesh), compute_of(cfg, mesh)
        batch = sharding.to_devices(mesh, self.source.batch(0), self.rows)

        def forward(state, batch):
            batch = objective.corrupt(batch, cfg.seed)
            counts = objective.counts(batch)
            drops = max(cfg.model.hidden_dropout, cfg.model.attention_dropout) > 0
            key = jax.random.key(cfg.seed) if drops else None
            return loss(objective, state.params, batch, counts, compute, key)[0]

        def both(state, batch):
            corrupted = objective.corrupt(batch, cfg.seed)
            return gradients(cfg, objective, compute, places.params, state, corrupted, cfg.seed)

        early = [
            jax.jit(function, in_shardings=(places, sharding.batch_sharding(mesh)))
            for function in (forward, both)
        ]
        programs = [*(lambda f=f: f(self.state, batch) for f in early), lambda: self.take(batch)]
        times = [[seconds(program, 1)[0] for program in programs] for _ in range(repeats)]
        to_loss, to_gradients, step = map(statistics.median, zip(*times, strict=True))
        return {
            "forward": to_loss,
            "backward": max(0.0, to_gradients - to_loss),
            "optimizer": max(0.0, step - to_gradients),
            "input wait": statistics.median(self.waits),
        }

    def report(self, parts: dict[str, float]) -> dict[str, Any]:
        """All figures; rates are medians over rounds, FLOPs by `bertjax.flops`."""
        cfg, devices = self.cfg, self.mesh.devices.size
        device = self.mesh.devices.flat[0]
        step = statistics.median(self.steps)
        work = statistics.fmean(self.work) / step
        reached = matmul_rate(device, cfg.train.compute_dtype) * devices
        shape = cfg.data.phases[self.phase]
        memory = peak_memory(device)
        sheet = flops.peak_flops(device.device_kind)
        return {
            "device": f"{devices} × {device.device_kind}",
            "shape": f"{shape.batch_size} × {shape.seq_len}, {cfg.train.compute_dtype}",
            "attention": " · ".join(attention_of(cfg, compute_of(cfg, self.mesh), shape)),
            "compile_seconds": self.compile_seconds,
            "step_seconds": step,
            "step_seconds_of_rounds": list(self.steps),
            "parts_seconds": parts,
            "input_wait_share": sum(self.waits) / sum(self.steps),
            "real_tokens_share": statistics.fmean(self.tokens) / (shape.batch_size * shape.seq_len),
            "tokens_per_second": statistics.fmean(self.tokens) / step,
            "model_flops_per_second": work,
            "matmul_flops_per_second": reached,
            "utilisation_of_matmul": work / reached,
            "utilisation_of_data_sheet": work / (sheet * devices) if sheet else None,
            "peak_bytes": memory if memory is not None else _planned_bytes(self.compiled),
        }


def _planned_bytes(compiled: jax.stages.Compiled) -> int:
    """What XLA reserved for the program, for devices that do not count their memory."""
    found: Any = compiled.memory_analysis()
    live = found.argument_size_in_bytes + found.output_size_in_bytes - found.alias_size_in_bytes
    return live + found.temp_size_in_bytes


def alternate(benches: list[Any], rounds: int, steps: int) -> Iterator[int]:
    """Run each in turn, `rounds` times, so that what disturbs the machine disturbs all alike."""
    for index in range(rounds):
        for bench in benches:
            bench.run(steps)
        yield index + 1
