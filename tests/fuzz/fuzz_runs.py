"""Targets: configs, corpora, checkpoints, runs of every kind and their files, grids."""

from __future__ import annotations

import functools
import json
import tempfile
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_target import Target

from bertjax.ablate.curves import evaluations
from bertjax.ablate.directory import saved_grid
from bertjax.ablate.grid import Cell
from bertjax.ablate.report import write_report
from bertjax.ablate.side_by_side import side_by_side
from bertjax.ablate.stored import save_scores
from bertjax.ablate.table import gather
from bertjax.adapt import record
from bertjax.adapt.measure import Measured
from bertjax.checkpoint import CheckpointStore
from bertjax.checkpoint import manifest as checkpoint_manifest
from bertjax.cli.info import run as info
from bertjax.config import (
    AblationConfig,
    AdaptConfig,
    Arm,
    FinetuneConfig,
    ModelConfig,
    PretrainConfig,
    TaskConfig,
)
from bertjax.config_files import load_config
from bertjax.data import manifest
from bertjax.data.corpus import open_corpus
from bertjax.errors import UserError
from bertjax.finetuning import results
from bertjax.finetuning.lessons import Lesson
from bertjax.finetuning.member import Member, read_result
from bertjax.finetuning.same_run import origin_of
from bertjax.finetuning.saved import open_saved
from bertjax.finetuning.stored import noted_places
from bertjax.fuse import stored as fusions
from bertjax.overrides import apply_overrides, to_json
from bertjax.probe.scores import Scores
from bertjax.review.review import load_review
from bertjax.runs.directory import RunDirectory
from bertjax.runs.log import MetricsFile
from bertjax.runs.outcome import Run
from bertjax.runs.record import read_record
from bertjax.runs.same_run import check_origin
from bertjax.train import pace

_MODEL = ModelConfig(
    vocab_size=100, hidden_size=8, num_layers=1, num_heads=2, intermediate_size=8,
    max_positions=128,
)  # fmt: skip
_PRETRAIN = PretrainConfig(model=_MODEL)
_FINETUNE = FinetuneConfig(model=_MODEL, task=TaskConfig(labels=("no", "yes")))
_ABLATION = AblationConfig(arms=(Arm("a"), Arm("b")), control="a", base=_PRETRAIN, seeds=2)
_CONFIGS = {
    "pretrain": _PRETRAIN, "finetune": _FINETUNE, "ablate": _ABLATION, "adapt": AdaptConfig()
}  # fmt: skip


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1).encode()


def _info(folder: Path) -> None:
    info(Namespace(path=folder))


def _targets(
    name: str,
    files: Callable[[], Mapping[str, bytes]],
    readers: Mapping[str, Callable[[Path], Any]],
) -> Iterator[Target]:
    """A target for each file of a folder that has a reader."""
    for file, read in readers.items():
        yield Target(
            f"{name}/{file}", file, read, lambda file=file: [files()[file]],
            lambda folder: _fill(files, folder),
        )  # fmt: skip


def _fill(files: Callable[[], Mapping[str, bytes]], folder: Path) -> None:
    for name, data in files().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def _files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# Configs.


def config_targets() -> Iterator[Target]:
    """`--config` of each verb, and overrides as they are typed, one a line."""
    for verb, cfg in _CONFIGS.items():
        yield Target(
            f"config/{verb}", "config.json",
            lambda folder, cfg=cfg: load_config(folder / "config.json", type(cfg)),
            lambda cfg=cfg: [to_json(cfg).encode()],
        )  # fmt: skip
    typed = b'train.steps=10\ndata.phases=[{"seq_len": 32}]\ntrain.mesh.data=1\noptim.average=0.1'
    yield Target("overrides", "typed.txt", _override, lambda: [typed])


def _override(folder: Path) -> None:
    items = (folder / "typed.txt").read_text(errors="surrogateescape").split("\n")
    try:
        apply_overrides(_PRETRAIN, items)
    except UserError as error:
        raise UserError(f"{folder}: {error}") from None  # which names an option, not a file


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
        return _files(folder)


def _open_corpus(folder: Path) -> None:
    for split in ("train", "validation"):
        open_corpus(folder, split)
    _info(folder)


def _vouched(folder: Path) -> None:
    """Arrays that their manifest vouches for."""
    content = json.loads(_corpus()[manifest.NAME])
    (folder / manifest.NAME).unlink()
    manifest.write(folder, {k: v for k, v in content.items() if k not in ("files", "format")})
    open_corpus(folder, "train")


def corpus_targets() -> Iterator[Target]:
    """The manifest, arrays that are not what it says, and arrays that are."""
    names = [manifest.NAME, "flat/train/tokens.bin", "flat/train/document_starts.npy"]
    yield from _targets("corpus", _corpus, dict.fromkeys(names, _open_corpus))
    yield from _targets("vouched corpus", _corpus, dict.fromkeys(names[1:], _vouched))


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
            f"checkpoints/{name}": data for name, data in _files(folder / "checkpoints").items()
        }
    return saved | {
        "config.json": to_json(_PRETRAIN).encode(),
        "metrics.jsonl": b"".join(json.dumps(row).encode() + b"\n" for row in rows),
        "environment.json": _json(environment),
        "review.json": _json(review),
        "origin.json": _json({"weights (--init)": "ab", "source": "a model"}),
        "pace.json": _json({"stretches": [[0, 0.0, 0.1], [5, 0.5, 0.05]]}),
        record.NAME: adapted,
    }


def _compare(folder: Path) -> None:
    _info(folder)
    other = folder.parent / f"{folder.name}-other"
    if not other.exists():
        _fill(_run, other)
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
    readers: dict[str, Callable[[Path], Any]] = {
        "config.json": _compare,
        "metrics.jsonl": _metrics,
        "environment.json": _compare,
        "review.json": lambda f: [one.lines() for one in [load_review(f / "review.json")] if one],
        "origin.json": lambda f: check_origin(RunDirectory(f), {"weights (--init)": "ab"}, True),
        "pace.json": lambda f: pace._read(f),
        record.NAME: _info,
        step: _info,
    }
    yield from _targets("run", _run, readers)
    yield from _targets("resealed", _run, {step: _resealed})


# Fine-tuned runs and fusions.


@functools.cache
def _tuned() -> dict[str, bytes]:
    measured = {
        "fold": None, "best_epoch": 1, "epochs": 2, "steps": 4, "tokens": 100,
        "dev": {"accuracy": 0.5}, "seconds_per_epoch": 1.0,
        "history": [{"epoch": 1, "train_loss": 1.0, "dev_loss": None, "accuracy": 0.5}],
    }  # fmt: skip
    accuracy = {"mean": 0.5, "sd": None, "best": 0.5, "values": [0.5], "convention": "x"}
    content = {
        "task": "task", "family": "classification", "metric": "accuracy",
        "convention": {"selection": "best", "start": "a model", "start_task": None},
        "method": "full", "weights": {"encoder": 1, "head": 1, "kept": 0},
        "models": [{"name": "seed-0", "seed": 0, **measured}],
        "splits": {"dev": {"examples": 2, "models": {"accuracy": accuracy}, "ensemble": None}},
        "cut": {"train": {"tokens": 0, "examples": 0, "of": 2}},
    }  # fmt: skip
    lesson = {"taken": 1, "labelled_weight": 1.0, "pseudo_weight": 0.5}
    row = {"row": 0, "id": "0", "label": "no", "confidence": 0.9, "weight": 0.5}
    vocabulary = "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b"])
    return {
        "config.json": to_json(_FINETUNE).encode(),
        "results.json": _json(content),
        "tokenizer/vocab.txt": vocabulary.encode(),
        "origin.json": _json({"train examples": "ab", "source": "a model", "task": ""}),
        "base.json": _json({"fingerprint": "ab", "path": "/nowhere", "from_here": "../base"}),
        "seed-0/best/x": b"",
        "seed-0/result.json": _json({"seed": 0, **measured}),
        "lesson.json": _json(lesson),
        "pseudo_labels.jsonl": json.dumps(row).encode() + b"\n",
    }


def _describe_tuned(folder: Path) -> None:
    _info(folder)
    saved = open_saved(folder)
    saved.null_threshold(saved.members)
    _ = saved.task, saved.best
    results.table(saved.results) if "collapsed" in str(saved.results) else None


def _result(folder: Path) -> None:
    found = read_result(Member(0, None, folder))
    if found is not None:
        _ = found["dev"], found["history"], found["seconds_per_epoch"]


def tuned_targets() -> Iterator[Target]:
    """The files of a run of `finetune`, and of a fusion of two."""
    lesson = lambda folder: [x.teaches_as(x) for x in [Lesson.read(folder)] if x]  # noqa: E731
    readers: dict[str, Callable[[Path], Any]] = {
        "config.json": _describe_tuned,
        "results.json": _describe_tuned,
        "origin.json": lambda f: origin_of(RunDirectory(f)).get("train examples"),
        "base.json": lambda f: list(noted_places(f)),
        "seed-0/result.json": _result,
        "lesson.json": lesson,
        "pseudo_labels.jsonl": lesson,
    }
    yield from _targets("tuned", _tuned, readers)
    learned = {"average": {"weights": [0.5, 0.5]}, "vote": {"votes": 1}, "stack": {
        "mean": [0.0, 1.0], "scale": [1.0, 1.0], "weights": [[1.0, 2.0], [0.0, 1.0]],
        "bias": [0.0, None],
    }}  # fmt: skip

    def fusion(method: str) -> bytes:
        about = {"method": method, "learned_on": "dev", "null_threshold": 0.0}
        voices = [
            {"name": name, "run": "/nowhere", "from_here": "../run",
             "models": [{"name": "seed-0", "fingerprint": "ab"}]}
            for name in ("a", "b")
        ]  # fmt: skip
        return _json({"fusion": about | {"learned": learned[method]}, "voices": voices})

    yield Target(
        "fusion/config.json", "config.json", _describe_fusion,
        lambda: [fusion(method) for method in learned],
    )  # fmt: skip


def _describe_fusion(folder: Path) -> None:
    _info(folder)
    about = fusions.read(folder)["fusion"]
    fusions.way_from(about["method"], about["learned"])
    try:
        fusions.open_fusion(folder)
    except UserError:  # its runs are nowhere
        return


# Grids.


@functools.cache
def _grid() -> dict[str, bytes]:
    outcome = {
        "state": "measured", "left_out": [], "scores": {_ABLATION.decides: 3.0},
        "cost": {"steps": 4, "tokens": 10.0, "seconds": 1.0, "flops": 1.0},
    }  # fmt: skip
    made = {
        "config.json": to_json(_ABLATION).encode(),
        "corpus.json": _json({"corpus": "ab", "vocabulary": "100"}),
        "looks.json": _json({"seeds": [2]}),
    }
    with tempfile.TemporaryDirectory() as above:
        file = Path(above) / "a.npz"
        for arm in ("a", "b"):
            for seed in range(2):
                name = _ABLATION.decides
                values = np.arange(6.0) + seed + (arm == "b")
                save_scores(file, {name: Scores(name, values, "nats a piece", "low")})
                cell = f"cells/{arm}/{Cell(arm, seed).name}"
                made |= {f"{cell}.json": _json(outcome), f"{cell}.npz": file.read_bytes()}
    return made


def _report(folder: Path) -> None:
    _info(folder)
    grid, cfg = saved_grid(folder)
    list(write_report(grid, gather(cfg, grid)))


def grid_targets() -> Iterator[Target]:
    """The files of a grid of `ablate`."""
    cell = f"cells/a/{Cell('a', 0).name}"
    names = ("config.json", "corpus.json", "looks.json", f"{cell}.json", f"{cell}.npz")
    yield from _targets("grid", _grid, dict.fromkeys(names, _report))
