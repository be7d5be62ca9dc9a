"""A corpus and a model small enough to train in seconds, and how to look at what came out."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Iterable
from pathlib import Path

import jax
import numpy as np
import xla_flags
from forked import Forked

import bertjax
from bertjax import sharding
from bertjax.checkpoint import CheckpointStore
from bertjax.cli.main import main
from bertjax.config import MeshConfig, PretrainConfig
from bertjax.overrides import from_json
from bertjax.pretrained import run_config
from bertjax.train.state import abstract_state, checkpoint_items
from bertjax.tree import path_name

# Reports, evaluations and checkpoints fall on different steps.
RECIPE = """
from bertjax.config import *


def get_config():
    return PretrainConfig(
        model=ModelConfig(
            hidden_size=32, num_layers=1, num_heads=2, intermediate_size=64, max_positions=32
        ),
        data=DataConfig(phases=(Phase(32, 16),)),
        optim=OptimConfig(learning_rate=3e-3, warmup_fraction=0.1),
        train=TrainConfig(
            steps=24, log_every=4, eval_every=6, eval_rows=32, checkpoint_every=5,
            keep_checkpoints=100,
        ),
    )
"""
# Two row lengths, so that a run crosses a phase edge (after step 12); micro-batches. Twice as much
# to compile.
TWO_PHASES = RECIPE.replace("(Phase(32, 16),)", "(Phase(16, 16, 0.5), Phase(32, 16, 0.5))").replace(
    "steps=24,", "steps=24, accumulate=2,"
)
STEPS = 24

NOUNS = ["river", "city", "house", "writer", "garden", "engine", "winter", "letter", "school"]
VERBS = ["opened", "carried", "followed", "painted", "watched", "reached", "crossed", "visited"]
ADJECTIVES = ["old", "quiet", "distant", "narrow", "bright", "heavy", "famous", "small"]
_TIME_FIELDS = ("_per_second", "_utilisation", "seconds_left")


def write_text(path: Path, documents: int = 200, seed: int = 0) -> Path:
    """English-like documents of 3 to 9 sentences, blank lines between them."""
    draw = random.Random(seed)

    def sentence() -> str:
        noun, adjective = (lambda: draw.choice(NOUNS)), (lambda: draw.choice(ADJECTIVES))
        return (
            f"The {adjective()} {noun()} {draw.choice(VERBS)} the {noun()} "
            f"near the {adjective()} {noun()}."
        )

    texts = ("\n".join(sentence() for _ in range(draw.randint(3, 9))) for _ in range(documents))
    path.write_text("\n\n".join(texts) + "\n")
    return path


def prepare(text: Path, out: Path, *options: str) -> Path:
    """Build a corpus with a WordPiece vocabulary of its own, or as `options` say."""
    argv = ["prepare", str(text), "--out", str(out), "--vocab-size", "150", "--workers", "1"]
    assert main([*argv, "--held-out", "0.1", *options]) == 0
    return out


def pretrain_argv(workdir: Path, recipe: Path, corpus: Path, *options: str) -> list[str]:
    """The arguments of `bertjax pretrain`."""
    workplace = ["--config", str(recipe), "--workdir", str(workdir)]
    return ["pretrain", *workplace, f"data.corpus={corpus}", *options]


def start(
    argv: list[str], devices: int = 1, file_limit: int | None = None, **environment: str
) -> Forked:
    """`bertjax` in a process and a session of its own, with so many fake devices.

    No file of it can grow beyond `file_limit` bytes, as where a disk is full.
    """
    if file_limit is not None:
        # What is compiled is read from the cache and not written to it.
        environment["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "1000"
    return Forked(
        main,
        argv,
        file_limit=file_limit,
        environment={
            **os.environ,
            "PYTHONPATH": str(Path(bertjax.__file__).parents[1]),
            "XLA_FLAGS": f"{xla_flags.devices(devices)} {xla_flags.QUICK}",
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            **environment,
        },
    )


def finish(process: Forked, expected: int = 0) -> str:
    """Wait for a process to leave with `expected`; returns what it said."""
    _, said = process.communicate(timeout=300)
    assert process.returncode == expected, said
    assert "Traceback" not in said
    return said


def metrics(workdir: Path, kind: str | None = None) -> list[dict]:
    """What was logged, without what depends on the clock and on the machine."""
    rows = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
    return [
        {key: value for key, value in row.items() if not key.endswith(_TIME_FIELDS)}
        for row in rows
        if kind in (None, row["kind"]) and row["kind"] != "environment"
    ]


def snapshot(directory: Path) -> dict[str, bytes | None]:
    """Every file by path with its bytes, and every folder; without the lock of a run."""
    return {
        str(path): path.read_bytes() if path.is_file() else None
        for path in sorted(directory.rglob("*"))
        if path.name != "lock"  # says who opened the run last
    }


def newest_step(store: Path) -> int | None:
    """The newest step of a store whose every byte verifies."""
    return CheckpointStore(store, keep=1).latest_verified_step()


def state(
    workdir: Path, step: int | None = None, mesh: MeshConfig | None = None
) -> dict[str, np.ndarray]:
    """Every array of a checkpoint by path, restored onto a mesh (default: one device)."""
    devices = jax.devices() if mesh else jax.devices()[:1]
    placed = sharding.make_mesh(mesh or MeshConfig(), devices)
    wanted = checkpoint_items(abstract_state(run_config(workdir), placed))
    found = CheckpointStore(workdir / "checkpoints", keep=1).restore(wanted, step)
    leaves = jax.tree_util.tree_leaves_with_path(found.items)
    return {path_name(path): np.asarray(leaf) for path, leaf in leaves}


def assert_same_bits(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> None:
    """Refuse any difference, the sign of a zero included."""
    assert ours.keys() == theirs.keys()
    different = [name for name in ours if ours[name].tobytes() != theirs[name].tobytes()]
    assert not different, f"{len(different)} of {len(ours)} arrays differ: {different[:3]}"


def rewind(source: Path, target: Path, step: int) -> Path:
    """Copy a run as it was after `step` was saved."""
    shutil.copytree(source, target)
    for folder in (target / "checkpoints").iterdir():
        if int(folder.name) > step:
            shutil.rmtree(folder)
    return target


def stored_config(workdir: Path) -> PretrainConfig:
    """The config inside a run's newest checkpoint."""
    meta = CheckpointStore(workdir / "checkpoints", keep=1).read_meta()
    assert meta is not None
    return from_json(PretrainConfig, json.dumps(meta["config"]))


def flip_bit(path: Path, at: float = 0.5) -> None:
    """Change one bit of a file."""
    data = bytearray(path.read_bytes())
    data[int(at * (len(data) - 1))] ^= 1
    path.write_bytes(data)


def largest_file(folder: Path, pattern: str = "*") -> Path:
    """The file that holds most of a folder's bytes."""
    files: Iterable[Path] = (p for p in folder.rglob(pattern) if p.is_file())
    return max(files, key=lambda path: path.stat().st_size)
