"""The lines with which a run begins: what is trained, on what, and what a person should know."""

from __future__ import annotations

import jax
from jax.sharding import Mesh

from bertjax.checkpoint import Restored
from bertjax.config import PretrainConfig
from bertjax.data.corpus import few_held_out, lone_sentences
from bertjax.model import networks
from bertjax.pretrained import Pretrained
from bertjax.runs.compiled import kept_programs
from bertjax.runs.directory import RunDirectory
from bertjax.terminal import Terminal, count
from bertjax.train import scale
from bertjax.train.compute import attention_of, compute_of
from bertjax.train.data import Data
from bertjax.tree import flatten


def announce(
    cfg: PretrainConfig,
    data: Data,
    mesh: Mesh,
    run: RunDirectory,
    terminal: Terminal,
    found: Restored | None,
    start_from: Pretrained | None,
) -> None:
    """Say how the run in `run` begins, or goes on from `found`."""
    if found is not None:
        for reason in found.rejected:
            terminal.say(f"passed over checkpoint {reason}")
    elif start_from is not None:
        terminal.say(f"start  weights and architecture of {start_from.source}")
        there = flatten(start_from.all_params)
        missing = {path for path in flatten(networks.abstract_params(cfg)) if path not in there}
        if new := sorted({path.partition("/")[0] for path in missing}):
            terminal.say(f"note   not in them, and random: {', '.join(new)}")
    shape = " × ".join(f"{n} {a}" for a, n in mesh.shape.items() if n > 1) or "1 device"
    phases = ", then ".join(map(str, cfg.data.phases))
    compute = compute_of(cfg, mesh)
    attention = (attention_of(cfg, compute, phase) for phase in cfg.data.phases)
    backends = "; ".join(dict.fromkeys(f"{name} ({why})" for name, why in attention))
    terminal.say(
        f"run    {run.path}\n"
        f"model  {networks.sizes(cfg)}, {cfg.train.compute_dtype} · {shape} "
        f"({jax.devices()[0].device_kind}) · attention: {backends}\n"
        f"data   {_text(cfg, data)}, rows {phases}, {cfg.data.format}\n"
        f"train  {scale.length(cfg)}, {cfg.optim.optimizer}{_average(cfg)} · "
        + (f"resuming after step {found.step}" if found else "from the start")
    )
    if said := scale.describe(cfg, data.train):
        terminal.say(f"scale  {said}")
    terminal.say(kept_programs())
    for name, train, held_out in zip(
        data.train, data.train.values(), data.held_out.values(), strict=True
    ):
        notes = [few_held_out(len(held_out.document_starts) - 1)]
        if cfg.data.pairing is not None:
            documents, sentences = len(train.document_starts) - 1, len(train.sentence_starts) - 1
            notes.append(lone_sentences(documents, sentences))
        whose = f"{name}: " if len(data.train) > 1 else ""
        for note in filter(None, notes):
            terminal.say(f"note   {whose}{note}")


def _text(cfg: PretrainConfig, data: Data) -> str:
    sizes = {name: f"{count(len(corpus.tokens))} tokens" for name, corpus in data.train.items()}
    if len(sizes) == 1:
        return next(iter(sizes.values()))
    weights = (corpus.weight for corpus in cfg.data.corpora)
    sources = zip(sizes.items(), weights, strict=True)
    return ", ".join(f"{size} of {name} (weight {weight:g})" for (name, size), weight in sources)


def _average(cfg: PretrainConfig) -> str:
    decay = cfg.optim.average
    return f", weights averaged by {decay:g}, which are the run's result" if decay else ""
