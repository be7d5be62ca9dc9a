"""Whatever a user gets wrong ends in one line, the right exit code and nothing lost."""

from __future__ import annotations

import gzip
import json
import pickle
import re
import shutil
from pathlib import Path

import jax
import pytest
import tiny_run
from tiny_run import metrics, newest_step, pretrain_argv, snapshot

from bertjax.cli.main import main
from bertjax.errors import EXIT_BAD_INPUT, EXIT_NON_FINITE

# Text.


def missing(path: Path) -> None:
    pass


def empty(path: Path) -> None:
    path.write_bytes(b"")


def blank(path: Path) -> None:
    path.write_text(" \n\n \t\n")


def binary(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 64)


def latin_1(path: Path) -> None:
    path.write_bytes("Ein schöner Tag in Österreich.\n".encode("latin-1") * 50)


def one_token(path: Path) -> None:
    path.write_text("a\n")


def long_line(path: Path) -> None:
    path.write_text("word " * 10_000_000)


def truncated_gzip(path: Path) -> None:
    path.write_bytes(gzip.compress(tiny_run.write_text(path).read_bytes())[:-200])


@pytest.mark.parametrize(
    ("make", "name", "says"),
    [
        (missing, "text.txt", "text.txt"),
        (empty, "text.txt", "text.txt"),
        (blank, "text.txt", "no document with text in 6 bytes"),
        (binary, "text.txt", "text.txt"),
        (latin_1, "text.txt", "UTF-8"),
        (one_token, "text.txt", "1 document, and a corpus needs at least 2"),
        (long_line, "text.txt", "the limit is 10000000: put a line break"),
        (truncated_gzip, "text.txt.gz", "text.txt.gz"),
        (binary, "text.parquet", "text.parquet"),
        (binary, "text.jsonl", "text.jsonl"),
    ],
)
def test_text_that_makes_no_corpus(tmp_path, refuse, make, name, says):
    make(tmp_path / name)
    out = tmp_path / "corpus"
    options = ("--out", out, "--vocab-size", 100, "--workers", 1)
    said = refuse("prepare", tmp_path / name, *options)
    assert says in said


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--vocab-size", 3), "special tokens"),
        (("--vocab-size", 8), "use at least"),
        (("--vocab-size", -1), "special tokens"),
        (("--held-out", 1.5), "1.5"),
        (("--workers", 0), "0"),
        (("--language", "tlh"), "tlh"),
        (("--tokenizer", "wordpice"), "did you mean 'wordpiece'?"),
    ],
)
def test_options_of_prepare(tmp_path, text, refuse, options, says):
    assert says in refuse("prepare", text, "--out", tmp_path / "corpus", *options)


def test_a_pickle_is_no_tokenizer(tmp_path, text, refuse):
    path = tmp_path / "tokenizer.pkl"
    path.write_bytes(pickle.dumps({"a": 1}))
    said = refuse("prepare", text, "--out", tmp_path / "corpus", "--tokenizer", path)
    assert "pickled files are never opened" in said


@pytest.mark.parametrize("out", ["{tmp}/file/corpus", "/proc/corpus", "/sys/corpus"])
def test_a_corpus_where_nothing_can_be_written(tmp_path, text, refuse, out):
    (tmp_path / "file").write_text("")
    said = refuse("prepare", text, "--out", out.format(tmp=tmp_path), "--vocab-size", 150)
    assert "choose another --out" in said


def test_a_corpus_in_the_way_stays(tmp_path, text, refuse):
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "mine").write_text("mine")
    assert "exists already" in refuse("prepare", text, "--out", tmp_path / "corpus")


# Config.


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (None, "No such file or directory"),
        ("def get_config(:\n", "line 1: SyntaxError"),
        ("x = 1\n\ny = z\n", "line 3: NameError"),
        ("import nonesuch\n", "line 1: ModuleNotFoundError"),
        ("pass\n", "has no get_config()"),
        ("def get_config():\n    return 3\n", "returned int"),
        ("def get_config():\n    raise SystemExit(0)\n", "line 2: SystemExit"),
        (
            "from bertjax.config import *\ndef get_config():\n"
            "    return PretrainConfig(model=ModelConfig(num_heads=5))\n",
            "model.num_heads=5 does not divide model.hidden_size=768",
        ),
        ("from bertjax.config import *\nModelConfig(hidden=5)\n", "line 2: TypeError"),
    ],
)
def test_a_recipe_that_does_not_work(tmp_path, corpus, refuse, source, says):
    recipe = tmp_path / "recipe.py"
    if source is not None:
        recipe.write_text(source)
    said = refuse(*pretrain_argv(tmp_path / "run", recipe, corpus))
    assert says in said and "recipe.py" in said


@pytest.mark.parametrize("content", ["{", "[]", '{"modle": {}}', '{"seed": "x"}', "\udcff"])
def test_a_config_json_that_is_none(tmp_path, corpus, refuse, content):
    recipe = tmp_path / "config.json"
    recipe.write_text(content, errors="surrogateescape")
    refuse(*pretrain_argv(tmp_path / "run", recipe, corpus))


@pytest.mark.mesh
@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (("model.num_heads=5",), "model.num_heads=5 does not divide model.hidden_size=32"),
        (("model.max_positions=16",), "rows of 32 tokens but model.max_positions=16"),
        (("train.accumulate=3",), "train.accumulate=3 does not divide"),
        (("data.phases.1.batch_size=20",), "use a multiple of 16"),
        (("train.mesh.data=3",), "does not fit 8 devices"),
        (("train.mesh.tensor=16",), "does not fit 8 devices"),
        (("model.hidden_size=30", "train.mesh.fsdp=4"), "not divisible by train.mesh.fsdp=4"),
        (("model.vocab_size=100",), "model.vocab_size=100 but the tokenizer of"),
        (("optim.learning_rate=nan",), "optim.learning_rate=nan"),
        (("data.corpus=",), "data.corpus is empty"),
        (("data.corpus=/nonesuch",), "/nonesuch: no manifest.json"),
        (("data.pairs=none",), "data.pairs is no option: data.format says it"),
        (("data.format=segment_pair",), "or segment_pair+nsp_rows for pairs without a loss"),
        (("model.attention=causal",), "use data.format=segment_pair+nsp_rows, or full_sentences"),
        (("replaced_tokens.weight=50",), "with replaced_tokens.weight=50: the label of pairs is"),
        (("model.next_sentence_head=false",), "data.format says it: segment_pair+nsp trains one"),
    ],
)
def test_a_config_that_does_not_fit(tmp_path, two_phases, corpus, refuse, overrides, says):
    said = refuse(*pretrain_argv(tmp_path / "run", two_phases, corpus, *overrides))
    assert says in said


@pytest.mark.slow
def test_a_cluster_that_is_none(tmp_path, recipe, corpus):
    """In a process of its own: joining comes before the devices are known."""
    process = tiny_run.start([*pretrain_argv(tmp_path / "run", recipe, corpus), "--distributed"])
    said = tiny_run.finish(process, EXIT_BAD_INPUT)
    assert said.startswith("bertjax: --distributed found no cluster") and said.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_device_that_is_not_there(tmp_path, recipe, corpus):
    argv = pretrain_argv(tmp_path / "run", recipe, corpus)
    said = tiny_run.finish(tiny_run.start(argv, JAX_PLATFORMS="abacus"), EXIT_BAD_INPUT)
    assert "no device for JAX_PLATFORMS=abacus" in said and said.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"JAX_COORDINATOR_ADDRESS": "localhost:1"}, "needs JAX_NUM_PROCESSES (seen: None)"),
        (
            {"JAX_COORDINATOR_ADDRESS": "lab", "JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": "0"},
            "JAX_COORDINATOR_ADDRESS=lab has no port",
        ),
        (
            {
                "JAX_COORDINATOR_ADDRESS": "localhost:1",
                "JAX_NUM_PROCESSES": "2",
                "JAX_PROCESS_ID": "2",
            },
            "JAX_PROCESS_ID from 0 to one less (seen: 2)",
        ),
    ],
)
def test_processes_that_cannot_find_each_other(
    tmp_path, recipe, corpus, refuse, monkeypatch, environment, says
):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    said = refuse(*pretrain_argv(tmp_path / "run", recipe, corpus, "--distributed"))
    assert says in said


# Corpus.


def test_a_corpus_without_a_held_out_split(tmp_path, recipe, text, refuse):
    corpus = tiny_run.prepare(text, tmp_path / "corpus", "--held-out", "0")
    said = refuse(*pretrain_argv(tmp_path / "run", recipe, corpus))
    assert "no 'validation' split" in said


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
@pytest.mark.parametrize("pattern", ["flat/train/tokens*", "flat/validation/boundaries*"])
def test_a_damaged_array_is_named(tmp_path, recipe, corpus, refuse, pattern, damage):
    copy = shutil.copytree(corpus, tmp_path / "corpus")
    (path,) = copy.glob(pattern)
    spoil(path, damage)
    for argv in (pretrain_argv(tmp_path / "run", recipe, copy), ["info", copy]):
        said = refuse(*argv)
        assert str(path) in said and "again" in said


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_a_damaged_shard_is_named(tmp_path, corpus, refuse, damage):
    copy = shutil.copytree(corpus, tmp_path / "corpus")
    path = next(copy.rglob("*array_record*"))
    spoil(path, damage)
    assert str(path) in refuse("info", copy)


def spoil(path: Path, damage: str) -> None:
    if damage == "flip":
        tiny_run.flip_bit(path)
    elif damage == "truncate":
        path.write_bytes(path.read_bytes()[:-7])
    else:
        path.unlink()


# Run directory.


@pytest.mark.parametrize("workdir", ["{tmp}/file/run", "/proc/run", "/sys/run"])
def test_a_run_where_nothing_can_be_written(tmp_path, recipe, corpus, refuse, workdir):
    (tmp_path / "file").write_text("")
    said = refuse(*pretrain_argv(Path(workdir.format(tmp=tmp_path)), recipe, corpus))
    assert "cannot be written" in said


def test_a_directory_of_something_else(tmp_path, recipe, corpus, refuse):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").write_text("mine")
    said = refuse(*pretrain_argv(tmp_path / "thesis", recipe, corpus))
    assert "choose a new or empty directory" in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kilobytes", "says"),
    [
        (1, r"run directory {run} cannot be written \(File too large\)"),
        (3, r"metrics.jsonl cannot be written \(File too large\)"),
        # Two stores save at once: the one that fails first is named.
        (40, r"checkpoint of step 24 was not saved in {run}/(checkpoints|best): File too large"),
    ],
)
def test_a_full_disk_loses_nothing(tmp_path, recipe, corpus, trained, kilobytes, says):
    workdir = tiny_run.rewind(trained, tmp_path / "run", 10)
    kept = snapshot(workdir / "checkpoints")
    argv = pretrain_argv(workdir, recipe, corpus)
    late = ("train.checkpoint_every=1000", "train.eval_every=1000")
    process = tiny_run.start([*argv, *late], devices=8, file_limit=kilobytes << 10)
    last = tiny_run.finish(process, EXIT_BAD_INPUT).splitlines()[-1]
    assert last.startswith("bertjax: ")
    assert re.search(says.format(run=re.escape(str(workdir))), last), last
    assert {k: v for k, v in snapshot(workdir / "checkpoints").items() if k in kept} == kept
    assert newest_step(workdir / "checkpoints") == 10
    # With room, the same command goes on from there, to the same end.
    assert main(argv) == 0
    assert metrics(workdir) == metrics(trained)


@pytest.mark.slow
def test_divergence_stops_with_the_rows_and_the_checkpoints(tmp_path, recipe, corpus, capfd):
    workdir = tmp_path / "run"
    diverging = ("optim.learning_rate=100", "optim.weight_decay=10", "optim.schedule=constant")
    options = ("train.max_bad_steps=3", "train.checkpoint_every=1", "train.log_every=1")
    argv = pretrain_argv(workdir, recipe, corpus, *diverging, *options, "train.steps=100")
    assert main(argv) == EXIT_NON_FINITE
    last = capfd.readouterr().err.splitlines()[-1]
    assert last.startswith("bertjax: loss or gradient was not finite for 3 steps in a row")
    rows = json.loads((workdir / "bad_batch.json").read_text())
    assert f"the batch of step {rows['step']}, whose rows are listed in {workdir}" in last
    assert len(rows["epoch_and_row"]) == 16
    reports = metrics(workdir, "train")
    assert [r["step"] for r in reports] == list(range(1, rows["step"]))
    assert [r["bad_steps"] for r in reports][-3:] == [0, 1, 2]
    saved = newest_step(workdir / "checkpoints")
    assert saved == rows["step"] - 1
    good, bad = (tiny_run.state(workdir, step) for step in (saved - 2, saved))
    params = [name for name in good if not name.endswith(("step", "bad_steps", "skipped"))]
    tiny_run.assert_same_bits({n: good[n] for n in params}, {n: bad[n] for n in params})


def test_devices_that_run_out_of_memory(tmp_path, two_phases, corpus, capfd, monkeypatch):
    def step(*_):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.")

    monkeypatch.setattr("bertjax.train.phase.make_train_step", lambda *_: step)
    assert main(pretrain_argv(tmp_path / "run", two_phases, corpus)) == EXIT_BAD_INPUT
    last = capfd.readouterr().err.splitlines()[-1]
    assert "16 rows of 32 in 2 micro-batches: raise train.accumulate" in last
