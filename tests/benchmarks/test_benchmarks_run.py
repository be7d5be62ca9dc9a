"""Every benchmark runs: on tiny models, whose figures say nothing.

Those that pages show are run by `make test`, the others by `make test-benchmarks`.
"""

from __future__ import annotations

import importlib.util
import json
import lzma
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_run
import tiny_task
import xla_flags
from documented import GUIDES, ONE_EPOCH, README, ROOT, SMALL_MODEL, SMALL_PHASE

from bertjax.cli.main import main

pytestmark = pytest.mark.slow

BENCHMARKS = ROOT / "benchmarks"
TASK = ["--config", "classification", *ONE_EPOCH, "data.max_length=24"]
PLACES = ["data.train=train.tsv", "data.dev=dev.tsv"]
RUNS = {
    "attention": [
        "--rows",
        "2",
        "--heads",
        "2",
        "--head-size",
        "8",
        "--dtype",
        "float32",
        "--lengths",
        "32",
    ],
    "corpus_build": ["text.txt", "--tokenizer", "hf"],
    "feeding": ["--tokens", "100000", "--seconds", "0.01"],
    "few_weights": [
        *("hf", "--workdir", "few", "--methods", "lora", "--seeds", "0", *TASK, *PLACES),
    ],
    "finetune": ["hf", "--busy", *TASK, *PLACES],
    "finetune_commands": ["hf", *TASK, *PLACES],
    "minimal_pairs": [
        *("--pairs", "pairs.jsonl.xz", "--tokenizer", "hf", "--config", "small.py"),
        *("--count", "1000", "--rounds", "1"),
    ],
    "one_gpu": [
        *("cells", "one.md", "--only", "base-128", "--steps", "4", "--compare", "none"),
        *(*SMALL_MODEL, SMALL_PHASE),
    ],
    "onnx_graph": ["onnx", "--busy", "--rounds", "1", "--threads", "1"],
    "packing": [
        *("--config", "small.py", "--rounds", "1", "model.vocab_size=300"),
        *("model.max_positions=128", 'data.phases=[{"seq_len":128,"batch_size":2}]'),
    ],
    "pretraining_matters": [
        *("hf", "--seeds", "0,1", "--workdir", "worth", "--task", "classification"),
        *(*ONE_EPOCH, *PLACES),
    ],
    "same_build": [
        *(str(ROOT), str(ROOT), "text.txt", "--tokenizer", "hf/tokenizer.json", "--rounds", "1"),
    ],
    "same_step": [
        *(str(ROOT), str(ROOT), "--config", "small.py", "--rows", "8", "--length", "32"),
        *("--steps", "1", "--timed", "1", "--rounds", "1"),
    ],
    "ten_million_words": ["words.txt", "a.txt.xz", "b.txt.xz"],
    "unlabelled_rows": [
        *("hf", "--rows", "rows.tsv", "--test", "dev.tsv", "--workdir", "few-labels"),
        *("--sizes", "8", "--pool", "8", "--methods", "supervised,self_training"),
        *("--seeds", "0,1", *TASK),
    ],
}
# Of a compiler that only an extra has (tests/plan compiles for both), and what another one runs.
ELSEWHERE = {"memory_traffic", "plan_matrix", "finetune_pytorch", "quiet"}
# As they measure processes, their own too, or set a library for all that one process does.
OWN_PROCESS = {"corpus_build", "same_build", "finetune", "minimal_pairs", "onnx_graph"}
BARS = {"corpus_build", "feeding"}  # may be missed, which 1 says
TORCH = {"finetune", "finetune_commands", "minimal_pairs", "one_gpu", "onnx_graph"}
WITH_TORCH = all(map(importlib.util.find_spec, ("torch", "transformers")))

PAGES = [README, *(ROOT / "docs").glob("*s.md"), *GUIDES.glob("*.md")]
SHOWN = {
    name
    for page in PAGES
    for name in re.findall(r"benchmarks/(\w+)\.py", page.read_text(encoding="utf-8"))
}


@pytest.fixture(scope="module")
def place(once, corpus) -> Path:
    """A folder with what the benchmarks are given."""

    def make(home: Path) -> None:
        home.mkdir()
        (home / "small.py").write_text(tiny_run.RECIPE)
        text = tiny_run.write_text(home / "text.txt").read_bytes()
        for name in "ab":
            (home / f"{name}.txt.xz").write_bytes(lzma.compress(text))
        for name, rows in (("train", 24), ("dev", 8)):
            tiny_task.write_table(home / f"{name}.tsv", rows)
        rows = (f"city {n}\t{'good' if n % 3 else 'bad'}" for n in range(300))
        (home / "rows.tsv").write_text("\n".join(["text\tlabel", *rows]) + "\n")
        pair = {"sentence_good": "the city is old", "sentence_bad": "the city old", "UID": "u"}
        pairs = (pair | {"pair_id": str(number)} for number in range(1000))
        lines = "".join(json.dumps(one) + "\n" for one in pairs)
        (home / "pairs.jsonl.xz").write_bytes(lzma.compress(lines.encode()))
        tiny_task.export_encoder(home / "hf")
        if importlib.util.find_spec("jax2onnx"):
            argv = tiny_run.pretrain_argv(home / "run", home / "small.py", corpus)
            assert main([*argv, "train.steps=1", "model.max_positions=128"]) == 0
            words = ["--out", str(home / "onnx"), "--encoder", "--onnx"]
            assert main(["export", str(home / "run"), *words]) == 0

    return once("benchmarked", make)


def test_every_benchmark_is_run():
    assert {path.stem for path in BENCHMARKS.glob("*.py")} == {*RUNS, *ELSEWHERE} >= SHOWN


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in SHOWN else pytest.mark.extra) for name in RUNS],
)
def test_a_benchmark_runs(name, place, tmp_path, monkeypatch, capfd):
    if name in TORCH and not WITH_TORCH:
        pytest.skip("no torch and transformers here (extra: oracle)")
    if name == "onnx_graph" and not (place / "onnx").is_dir():
        pytest.skip("no jax2onnx here")
    monkeypatch.chdir(shutil.copytree(place, tmp_path / "here", dirs_exist_ok=True))
    monkeypatch.syspath_prepend(BENCHMARKS)
    for variable, value in {
        **os.environ,  # to which all of it returns
        "PYTHONPATH": str(ROOT),  # for processes that a benchmark starts
        "XLA_FLAGS": xla_flags.QUICK,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }.items():
        monkeypatch.setenv(variable, value)
    command = [str(BENCHMARKS / f"{name}.py"), *RUNS[name]]
    if name in OWN_PROCESS:
        code = subprocess.run([sys.executable, *command]).returncode
    else:
        monkeypatch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(command[0], run_name="__main__")
        code = ended.value.code or 0
    said = capfd.readouterr()
    assert code == 0 or (name in BARS and code == 1), said.err
    assert "Traceback" not in said.err, said.err
    assert said.out
