"""A fine-tuning run is what it holds: its files and weights may be elsewhere, or gone."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

import jax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_task import config, start, write_table

from bertjax.cli.main import main
from bertjax.errors import UserError
from bertjax.finetuning.run import finetune
from bertjax.finetuning.same_run import check_same_run, start_of
from bertjax.finetuning.saved import open_saved
from bertjax.finetuning.splits import open_splits
from bertjax.overrides import to_json
from bertjax.runs.directory import RunDirectory
from bertjax.tree import flatten

pd = pytest.importorskip("pandas")

WRITERS = {
    "a.csv": lambda table, path: table.to_csv(path, index=False),
    "b.TSV": lambda table, path: table.to_csv(path, index=False, sep="\t"),
    "c.jsonl": lambda table, path: table.to_json(path, orient="records", lines=True),
    "d.json": lambda table, path: table.to_json(path, orient="split"),
    "e.parquet": lambda table, path: table.to_parquet(path),
    "f.csv.gz": lambda table, path: table.to_csv(path, index=False),
}
NAMES = st.sampled_from(sorted(WRITERS))
ROWS = st.lists(
    st.tuples(st.from_regex(r"[a-zà-ž你]+( [a-z,\"']+)?", fullmatch=True), st.sampled_from("pq")),
    min_size=4, max_size=9, unique_by=lambda row: row[0],
).filter(lambda rows: len({label for _, label in rows}) == 2)  # fmt: skip


def check(run: Path, file: Path) -> None:
    """As a start of the run in `run` with that training file does."""
    directory = RunDirectory(run)
    cfg = config(file, file)
    check_same_run(directory, cfg, start(), open_splits(cfg))
    directory.config.write_text(to_json(cfg))


@settings(max_examples=25)
@given(ROWS, NAMES, NAMES, st.sampled_from(["text", "label"]))
def test_examples_are_known_by_what_they_are(rows, before, after, edited):
    table = pd.DataFrame(rows, columns=["text", "label"])
    with tempfile.TemporaryDirectory() as scratch:
        run, moved = Path(scratch) / "run", Path(scratch) / "other [name]"
        run.mkdir(), moved.mkdir()
        WRITERS[before](table, Path(scratch) / before)
        check(run, Path(scratch) / before)
        WRITERS[after](table, moved / after)
        (Path(scratch) / "link").symlink_to(moved, target_is_directory=True)
        check(run, moved / after)
        check(run, Path(scratch) / "link" / after)
        check(run, Path(os.path.relpath(moved / after)))
        table.loc[1, edited] = {"text": "another", "label": "qp"["pq".index(rows[1][1])]}[edited]
        if table["label"].nunique() == 2:
            WRITERS[after](table, moved / after)
            with pytest.raises(UserError, match="other train examples, dev examples: give those"):
                check(run, moved / after)


def stop_after(steps: int):
    count = iter(range(1, steps + 1))
    return lambda: "SIGTERM" if next(count) == steps else None


def outcome(run: Path) -> tuple[dict, bytes, bytes]:
    saved = open_saved(run)
    params = [flatten(jax.device_get(saved.parameters(member))) for member in saved.members]
    bits = {f"{i}{n}": x.tobytes() for i, tree in enumerate(params) for n, x in tree.items()}
    content = json.loads((run / "results.json").read_text())
    for model in content["models"]:
        model.pop("seconds_per_epoch")
    return bits, json.dumps(content), (run / "dev.jsonl").read_bytes()


@pytest.mark.slow
def test_a_run_goes_on_without_what_it_came_from(tmp_path):
    changes = {"tune": {"seeds": (0, 1), "epochs": 1, "layers": 1}}  # what is frozen is not saved
    table = write_table(tmp_path / "train.tsv", 64)
    cfg = config(table, table, **changes)
    assert finetune(cfg, tmp_path / "unbroken", start()).stopped is None
    run = tmp_path / "run"
    assert finetune(cfg, run, start(), stop=stop_after(2)).stopped
    assert (run / "initial").is_dir()
    (tmp_path / "moved").mkdir()
    moved = Path(shutil.move(table, tmp_path / "moved" / "train.tsv"))
    run = Path(shutil.move(run, tmp_path / "moved" / "run"))
    architecture, own = start_of(run)
    assert architecture == cfg.model and own.source == start().source
    cfg = config(moved, moved, **changes)
    assert finetune(cfg, run, own, stop=stop_after(3)).stopped  # in the second model
    assert finetune(cfg, run, start_of(run)[1]).stopped is None
    assert outcome(run) == outcome(tmp_path / "unbroken")
    assert not (run / "initial").exists() and not (tmp_path / "unbroken" / "initial").exists()


def test_a_finished_run_stays_as_it_is(tmp_path, capfd):
    table = write_table(tmp_path / "train.tsv", 64)
    cfg = config(table, table, tune={"epochs": 1})
    run = tmp_path / "run"
    finetune(cfg, run, start())
    before = outcome(run)
    words = ["finetune", "--config", str(run / "config.json"), "--workdir", str(run)]
    for init in (["--init", "gone"], []):
        assert main([*words, *init]) == 0
        assert outcome(run) == before
        said = capfd.readouterr().err
        assert "dev         accuracy" in said
        assert ("--init gone names is not there" in said) == bool(init)
    (run / "results.json").unlink()
    assert main(words) == 0 and outcome(run) == before  # made again from the models
    (run / "results.json").unlink()
    shutil.rmtree(run / "seed-0" / "best")
    assert main(words) == 2
    assert "of seed-0 nor the weights to begin with: give the --init" in capfd.readouterr().err


@pytest.mark.slow
def test_a_single_model_goes_on_from_its_checkpoint_alone(tmp_path):
    table = write_table(tmp_path / "train.tsv", 64)
    cfg, run = config(table, table, tune={"epochs": 2}), tmp_path / "run"
    assert finetune(cfg, run, start(), stop=stop_after(3)).stopped
    assert not (run / "initial").exists()
    assert finetune(cfg, run, start_of(run)[1]).stopped is None
    assert finetune(cfg, tmp_path / "unbroken", start()).stopped is None
    assert outcome(run) == outcome(tmp_path / "unbroken")
