"""`bertjax import`: a Hugging Face directory as a run that `pretrain` continues."""

from __future__ import annotations

import argparse
from pathlib import Path

from bertjax.checkpoint import CheckpointStore
from bertjax.config import DataConfig, ModelConfig, Phase, PretrainConfig
from bertjax.durable import check_vacant, staged
from bertjax.huggingface import import_model, no_tokenizer
from bertjax.overrides import to_json
from bertjax.runs.directory import open_run
from bertjax.runs.kinds import Kind, require_kind


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `bertjax import`."""
    parser.add_argument("directory", type=Path, metavar="HF_DIR", help="Hugging Face directory")
    parser.add_argument("--out", type=Path, required=True, help="run directory to make")


def run(args: argparse.Namespace) -> None:
    """Write the imported weights as what a new run starts from."""
    check_vacant(args.out)
    require_kind(
        "HF_DIR",
        args.directory,
        Kind.HUGGING_FACE,
        fix="give a directory with config.json and model.safetensors (a run of ours needs no "
        "import: --init starts from it)",
    )
    imported = import_model(args.directory)
    if imported.tokenizer is None:
        raise no_tokenizer(args.directory)
    with staged(args.out, print) as stage, open_run(stage, Kind.PRETRAINING) as directory:
        cfg = _run_config(imported.cfg)
        directory.describe(to_json(cfg), ["bertjax", "import", str(args.directory)])
        imported.tokenizer.save(directory.tokenizer, imported.cfg.max_positions)
        store = CheckpointStore(directory.initial, keep=1)
        store.save(0, {"params": imported.params}, {"tokenizer": imported.tokenizer.fingerprint})
        store.wait()
    print(
        f"imported {args.directory}: {cfg.model.family}, {cfg.model.num_layers} layers × "
        f"{cfg.model.hidden_size}\n"
        f"to       {args.out}"
    )
    if imported.fresh:
        print(f"new      not in the checkpoint, random: {', '.join(imported.fresh)}")
    if imported.ignored:
        print(f"left     heads of other tasks: {', '.join(imported.ignored)}")
    positions, fits = cfg.model.max_positions, ""
    if positions < 512:  # the rows of bert_base's second phase
        fits = f""" 'data.phases=[{{"seq_len": {positions}, "batch_size": 256}}]'"""
    print(
        f"next     bertjax prepare TEXT --out data/x --tokenizer {args.out}/tokenizer\n"
        f"         bertjax pretrain --config bert_base --workdir {args.out} "
        f"data.corpus=data/x{fits}"
    )


def _run_config(model: ModelConfig) -> PretrainConfig:
    """A config that holds the architecture; the recipe is the next `pretrain`'s --config."""
    rows = Phase(seq_len=min(128, model.max_positions))
    return PretrainConfig(
        model=model,
        data=DataConfig(format="full_sentences", phases=(rows,)),
    )
