"""Targets: corpora, checkpoints, pretraining runs and what `adapt` writes beside them."""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from fuzz_configs import PRETRAIN
from fuzz_folders import Read, as_json, describe, files_in, fill, targets_of, without_pictures
from fuzz_target import Target

from bertjax.ablate.curves import evaluations
from bertjax.ablate.side_by_side import side_by_side
from bertjax.adapt import record
from bertjax.adapt.measure import Measured
from bertjax.checkpoint import CheckpointStore
from bertjax.checkpoint import manifest as checkpoint_manifest
from bertjax.config import AdaptConfig
from bertjax.data import manifest
from bertjax.data.corpus import open_corpus
from bertjax.overrides import to_json
from bertjax.review.review import load_review
from bertjax.runs.directory import RunDirectory
from bertjax.runs.log import MetricsFile
from bertjax.runs.outcome import Run
from bertjax.runs.record import read_record
from bertjax.runs.same_run import check_origin
from bertjax.train import pace

# Corpora.


@functools.cache
def _corpus() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as above:
        folder = Path(above)
        (folder / "tokenizer").mkdir()
        (folder / "tokenizer" / "tokenizer.json").write_text("{}")
        for split in ("train", "validation"):
            flat = folder / "flat" / split
            flat.mkdir(parents=True)
            np.arange(10, dtype=np.uint16).tofile(flat / "tokens.bin")
            np.full(10, 3, np.uint8).tofile(flat / "boundaries.bin")
            for name in ("document_starts", "sentence_starts"):
                np.save(flat / f"{name}.npy", np.array([0, 4, 10], "<i8"))
        counts = {"tokens": 10, "documents": 2, "sentences": 2, "text_bytes": 30}
        content = {
            "splits": {"train": counts, "validation": counts}, "vocab_size": 100,
            "special": {"pad": 0, "unk": 1, "cls": 2, "sep": 3, "mask": 4}, "tokenizer": "f" * 64,
            "duplicates": 0, "pair": [1, 1],
        }  # fmt: skip
        manifest.write(folder, content)
        return files_in(folder)


def _open_corpus(folder: Path) -> None:
    for split in ("train", "validation"):
        open_corpus(folder, split)
    describe(folder)


def _vouched(folder: Path) -> None:
    """Arrays that their manifest vouches for."""
    content = json.loads(_corpus()[manifest.NAME])
    (folder / manifest.NAME).unlink()
    manifest.write(folder, {k: v for k, v in content.items() if k not in ("files", "format")})
    open_corpus(folder, "train")


def corpus_targets() -> Iterator[Target]:
    """The manifest, arrays that are not what it says, and arrays that are."""
    names = [manifest.NAME, "flat/train/tokens.bin", "flat/train/document_starts.npy"]
    yield from targets_of("corpus", _corpus, dict.fromkeys(names, _open_corpus))
    yield from targets_of("vouched corpus", _corpus, dict.fromkeys(names[1:], _vouched))


# Pretraining runs.


@functools.cache
def _run() -> dict[str, bytes]:
    rows = [
        {"kind": "environment", "step": 0, "jax": "0.1"},
        {"kind": "train", "step": 2, "loss": 3.5, "tokens": 64},
        {"kind": "state", "step": 2, "hash": "ab"},
        {"kind": "evaluation", "step": 4, "masked_lm_loss": 3.25},
    ]
    environment = {
        "bertjax": "1", "python": "3", "system": "Linux", "packages": {"jax": "1"},
        "devices": {"cpu": 1}, "backend": "cpu", "processes": 1,
    }  # fmt: skip
    review = {
        "step": 4, "tokens": 10.0, "loss": 3.0, "unigram_entropy": 4.0, "bigram_loss": None,
        "recipe": "", "band": [0.5, 1.0], "causes": [{"name": "rate", "says": "lower it"}],
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as above:
        folder = Path(above)
        words = [record.NewWord("river", 3, (1, 2))]
        losses = {"general": {"nats a piece": 3.0}}
        cfg, origin = AdaptConfig(), {"corpus": "ab"}
        record.Record(cfg, "a model", origin, words, Measured(losses, 0.5)).save(folder)
        adapted = (folder / record.NAME).read_bytes()
        step = folder / "checkpoints" / "4"
        (step / "params").mkdir(parents=True)
        (step / "params" / "x").write_bytes(b"weights")
        meta = {"tokens": 10, "corpus": "c" * 64, "tokenizer": "t" * 64, "evaluation": {"a": 1.0}}
        checkpoint_manifest.write(step, 4, meta, {"params": {"x": [[2], "float32"]}})
        saved = {
            f"checkpoints/{name}": data for name, data in files_in(folder / "checkpoints").items()
        }
    return saved | {
        "config.json": to_json(PRETRAIN).encode(),
        "metrics.jsonl": b"".join(json.dumps(row).encode() + b"\n" for row in rows),
        "environment.json": as_json(environment),
        "review.json": as_json(review),
        "origin.json": as_json({"weights (--init)": "ab", "source": "a model"}),
        "pace.json": as_json({"stretches": [[0, 0.0, 0.1], [5, 0.5, 0.05]]}),
        record.NAME: adapted,
    }


def _compare(folder: Path) -> None:
    describe(folder)
    other = folder.parent / f"{folder.name}-other"
    if not other.exists():
        fill(_run, other)
    side_by_side([folder, other])


def _metrics(folder: Path) -> None:
    file = folder / "metrics.jsonl"
    data = file.read_bytes()
    for state in (0, 1, 5):
        read_record(file).environment_of(state)
    evaluations(folder)
    _ = Run(RunDirectory(folder), {}).metrics
    log = MetricsFile(file, 3)
    log.write("train", 4, {"loss": 1.0})
    log.close()
    assert Run(RunDirectory(folder), {}).metrics[-1] == {"kind": "train", "step": 4, "loss": 1.0}
    file.write_bytes(data)


def _resealed(folder: Path) -> None:
    """A manifest that has a digest of itself, whatever else it says."""
    file = folder / "checkpoints" / "4" / "manifest.json"
    try:
        content = json.loads(file.read_bytes())
        if isinstance(content, dict):
            file.write_bytes(checkpoint_manifest._with_digest(content))
    except (ValueError, RecursionError):
        pass
    store = CheckpointStore(folder / "checkpoints", keep=1)
    store.read_meta()
    store.latest_verified_step()


def run_targets() -> Iterator[Target]:
    """The files of a run of `pretrain` and of `adapt`."""
    step = "checkpoints/4/manifest.json"
    readers: dict[str, Read] = {
        "config.json": without_pictures(_compare),
        "metrics.jsonl": _metrics,
        "environment.json": without_pictures(_compare),
        "review.json": lambda f: [one.lines() for one in [load_review(f / "review.json")] if one],
        "origin.json": lambda f: check_origin(RunDirectory(f), {"weights (--init)": "ab"}, True),
        "pace.json": lambda f: pace._read(f),
        record.NAME: describe,
        step: describe,
    }
    yield from targets_of("run", _run, readers)
    yield from targets_of("resealed", _run, {step: _resealed})
    drawn = dict.fromkeys(("metrics.jsonl", "review.json"), _compare)
    yield from targets_of("run pictures", _run, drawn)
