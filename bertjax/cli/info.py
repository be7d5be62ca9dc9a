"""`bertjax info`: what a corpus, a run of either kind or a Hugging Face directory holds."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bertjax import model
from bertjax.ablate.conclusions import conclusions
from bertjax.ablate.directory import saved_grid
from bertjax.ablate.table import gather
from bertjax.adapt.record import read as adaptation
from bertjax.checkpoint import CheckpointStore
from bertjax.config import ModelConfig
from bertjax.data.corpus import describe_corpus, verify_corpus
from bertjax.finetuning.saved import open_saved
from bertjax.finetuning.settle import task_shape
from bertjax.fuse.stored import read as read_fusion
from bertjax.model.parameters import parameter_count
from bertjax.model.task import abstract_task_params
from bertjax.pretrained import open_pretrained, run_config
from bertjax.runs.directory import RunDirectory
from bertjax.runs.kinds import Kind, require_kind
from bertjax.terminal import count
from bertjax.train.scale import length
from bertjax.tree import flatten

_COUNTS = {"text_bytes": "bytes of text"}  # where the name in a manifest is no word


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `bertjax info`."""
    parser.add_argument("path", type=Path, help="corpus, run or Hugging Face directory")


def run(args: argparse.Namespace) -> None:
    """Print what is there after checking its hashes or shapes."""
    rows = _READERS[require_kind("PATH", args.path, *Kind)](args.path)
    width = max(map(len, rows))
    for name, value in rows.items():
        print(f"{name:<{width}}  {value}")


def _corpus(path: Path) -> dict[str, Any]:
    facts = describe_corpus(path)
    verify_corpus(path)
    rows: dict[str, Any] = {"kind": "corpus, every file verified"}
    for split, counts in facts["splits"].items():
        said = (f"{value:,} {_COUNTS.get(name, name)}" for name, value in counts.items())
        rows[split] = ", ".join(said)
    rows["duplicates"] = f"{facts['duplicates']:,} dropped"
    rows["tokenizer"] = f"{facts['vocab_size']:,} pieces, {facts['tokenizer'][:12]}"
    rows["size"] = f"{facts['bytes'] / 1e6:.1f} MB"
    rows["identity"] = facts["identity"][:12]
    return rows


def _run(path: Path) -> dict[str, Any]:
    directory, cfg = RunDirectory(path.absolute()), run_config(path)
    architecture = _architecture(cfg.model, model.abstract_params(cfg.model))
    rows: dict[str, Any] = {"kind": "run", **architecture}
    if cfg.generator is not None:
        generator = _architecture(cfg.generator, model.abstract_params(cfg.generator))
        rows["generator"] = f"{generator['model']}, shared embeddings among them"
    if directory.metrics.exists():  # else it was imported and not trained yet
        rows["rows"] = ", then ".join(map(str, cfg.data.phases))
        rows["recipe"] = (
            f"{length(cfg)}, {cfg.data.format}, {cfg.optim.optimizer} {cfg.optim.learning_rate:g}"
        )
        if any(cfg.in_phase(phase).model.attention == "full" for phase in cfg.data.phases):
            rows["masked"] = f"{100 * cfg.masking.rate:g} %, by {cfg.masking.unit}"
        if cfg.optim.average:
            rows["weights"] = f"moving average by {cfg.optim.average:g} over the steps"
    if directory.initial.is_dir() or cfg.train.init:
        rows["began"] = f"from {cfg.train.init or 'imported weights'}"
    if record := adaptation(path):
        rows["began"] = f"from {record.started_from}, with {len(record.words):,} new words"
        for name, losses in record.before.held_out.items():
            said = (f"{loss:.4f} {unit}" for unit, loss in losses.items())
            rows[f"{name} before"] = ", ".join(said)
    for name, folder in (("newest", directory.checkpoints), ("best", directory.best)):
        store = CheckpointStore(folder, keep=1)
        step = store.latest_verified_step()
        if step is None:
            rows[name] = "none"
            continue
        meta = store.read_meta(step) or {}
        rows[name] = f"step {step:,}, verified, {count(meta.get('tokens', 0))} tokens seen"
        for key, value in meta.get("evaluation", {}).items():
            rows[f"{name} {key.replace('_', ' ')}"] = f"{value:.4f}"
    return rows


def _ablation(path: Path) -> dict[str, Any]:
    grid, cfg = saved_grid(path, "PATH")
    table = gather(cfg, grid)
    rows = {
        "kind": "grid of an ablation",
        "question": cfg.question or "none",
        "arms": ", ".join(arm.name for arm in cfg.arms),
        "control": cfg.control,
        "cells": f"{len(table.outcomes)} of {len(cfg.arms) * cfg.seeds} have ended, "
        f"{len(table.left_out)} of them left out",
        "decides": cfg.decides,
    }
    if table.scores:
        for comparison in conclusions(table, cfg.decides):
            rows[f"{comparison.arm} − {comparison.other}"] = comparison.says
    return rows


def _finetuned(path: Path) -> dict[str, Any]:
    saved = open_saved(path)
    results, cfg, task = saved.results, saved.cfg, saved.cfg.task
    params = abstract_task_params(cfg.model, cfg.head, task_shape(cfg))
    rows: dict[str, Any] = {"kind": "fine-tuned run", **_architecture(cfg.model, params)}
    rows["task"] = f"{task.name}, {task.family}" + (
        f", {len(task.labels)} labels" if task.labels else ""
    )
    rows["began"] = f"from {results['convention']['start']}"
    if cfg.tune.method != "full":
        counts = results["weights"]
        rows["trained"] = (
            f"{cfg.tune.method}: {counts['encoder']:,} weights of the encoder and "
            f"{counts['head']:,} of the head; {counts['kept']:,} lie with the encoder"
        )
    rows["models"] = ", ".join(entry["name"] for entry in results["models"])
    for split, entry in results["splits"].items():
        value = entry["models"][results["metric"]]
        noise = f" ± {value['sd']:.4f}" if value["sd"] is not None else ""
        mean = "not a number" if value["mean"] is None else f"{value['mean']:.4f}"
        rows[f"{split} {results['metric']}"] = mean + noise
    return rows


def _fusion(path: Path) -> dict[str, Any]:
    content = read_fusion(path)
    about = content["fusion"]
    learned = about["learned"]
    rows = {"kind": "fusion of fine-tuned models", "method": about["method"]}
    if "votes" in learned:
        rows["votes"] = f"{learned['votes']} of {len(content['voices'])}, of entities"
    if about["learned_on"]:
        rows["learned"] = f"on {about['learned_on']}"
    weights = learned["weights"] if about["method"] in ("average", "weighted") else None
    for i, voice in enumerate(content["voices"]):
        weight = f", weight {weights[i]:.4f}" if weights else ""
        rows[voice["name"]] = f"{len(voice['models'])} of {voice['run']}{weight}"
    return rows


def _architecture(cfg: ModelConfig, params: model.Params) -> dict[str, Any]:
    size = parameter_count(cfg, params)
    return {
        "model": f"{cfg.family}, {cfg.norm}-norm, {cfg.num_layers} layers × {cfg.hidden_size}, "
        f"{cfg.num_heads} heads, {count(size)} parameters",
        "vocabulary": f"{cfg.vocab_size:,} pieces, rows up to {cfg.max_positions}",
    }


def _hugging_face(path: Path) -> dict[str, Any]:
    found = open_pretrained(path)
    tokenizer = found.tokenizer
    there = {p: x for p, x in flatten(found.params).items() if p not in found.fresh}
    return {
        "kind": "Hugging Face directory",
        **_architecture(found.cfg, there),
        "missing": ", ".join(found.fresh) or "nothing",
        "tokenizer": f"{tokenizer.vocab_size:,} pieces" if tokenizer else "none",
    }


_READERS = {
    Kind.CORPUS: _corpus,
    Kind.PRETRAINING: _run,
    Kind.FINETUNING: _finetuned,
    Kind.FUSION: _fusion,
    Kind.ABLATION: _ablation,
    Kind.HUGGING_FACE: _hugging_face,
}
