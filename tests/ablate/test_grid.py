"""A grid: its cells are ordinary runs, paired by seed, and what was measured of them."""

from __future__ import annotations

import csv
import json
import random
import re
import shutil
import time
from dataclasses import replace

import jax
import numpy as np
import pytest
import tiny_grid
import tiny_run

from bertjax.ablate.check import check
from bertjax.ablate.directory import GridDirectory, open_grid, saved_grid
from bertjax.ablate.earlier import earlier_deviation, largest_deviation
from bertjax.ablate.grid import Cell, cell_config, cells
from bertjax.ablate.power import foretell
from bertjax.ablate.report import write_report
from bertjax.ablate.run import run_grid
from bertjax.ablate.stored import load_scores
from bertjax.ablate.table import Table, as_csv, gather
from bertjax.cli.ablate import with_fields
from bertjax.cli.main import main
from bertjax.config import BudgetConfig
from bertjax.errors import UserError
from bertjax.objectives.choice import objective_of
from bertjax.runs.directory import open_run
from bertjax.runs.kinds import Kind
from bertjax.terminal import Terminal, count
from bertjax.train.data import open_data
from bertjax.train.state import init_state
from bertjax.tree import flatten

pytestmark = pytest.mark.slow


def test_whole_seeds_come_first(cfg):
    assert [str(cell) for cell in cells(cfg)] == [
        "nsp seed0",
        "off seed0",
        "nsp seed1",
        "off seed1",
    ]


def test_arms_of_a_seed_begin_alike_and_see_the_same_rows_and_masks(cfg):
    _, data = open_data(cfg.base)
    of_arms = []
    for arm in ("nsp", "off"):
        own = cell_config(cfg, Cell(arm, 1), data.first.vocab_size, {})
        source = data.training(own, 0)
        objective = objective_of(own, data.first.special, data.first.vocab_size)
        batches = [
            jax.device_get(objective.corrupt(source.batch(step), own.seed)) for step in (0, 7)
        ]
        params = {k: np.asarray(v) for k, v in flatten(init_state(own, own.seed).params).items()}
        of_arms.append((batches, params))
    (ours, with_head), (theirs, without) = of_arms
    for a, b in zip(ours, theirs, strict=True):
        assert a.keys() == b.keys()
        assert all(np.array_equal(a[name], b[name]) for name in a)
    assert without.keys() < with_head.keys()  # the head of the loss that the other lacks
    tiny_run.assert_same_bits({name: with_head[name] for name in without}, without)


def test_seeds_differ(cfg):
    _, data = open_data(cfg.base)
    first, second = (
        data.training(cell_config(cfg, Cell("off", seed), data.first.vocab_size, {}), 0).batch(0)
        for seed in range(2)
    )
    assert not np.array_equal(first["tokens"], second["tokens"])


def test_cells_are_ordinary_runs(grid, tmp_path, capsys):
    run = grid / "cells" / "nsp" / "seed0"
    assert main(["info", str(run)]) == 0
    assert "60 steps, segment_pair" in capsys.readouterr().out
    assert main(["export", str(run), "--out", str(tmp_path / "hf")]) == 0
    assert tiny_run.newest_step(run / "checkpoints") == 60


def test_scores_are_those_of_the_probe_alone(grid, pairs, tmp_path, capsys):
    """What `bertjax probe` says of the run, whose last step is its best."""
    run, out = grid / "cells" / "off" / "seed1", tmp_path / "scores.jsonl"
    assert main(["probe", str(run), "--pairs", str(pairs), "--out", str(out)]) == 0
    assert "best checkpoint, step 60" in capsys.readouterr().out
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    scores = load_scores(GridDirectory(grid).scores(Cell("off", 1)))["minimal"]
    assert scores.values.tolist() == [float(row["good"] > row["bad"]) for row in rows]
    assert list(scores.groups) == [row["UID"] for row in rows]


def test_other_text_and_tagged_words_are_probes_too(grid, cfg, text, tmp_path, capsys):
    """As `bertjax probe` measures them; a document of the training text is left out."""
    other, words = tmp_path / "other.txt", tmp_path / "words.conllu"
    unseen = "Letters were old and rivers wrote of gardens, schools, cities and of the winter."
    other.write_text(f"{text.read_text().partition(chr(10) * 2)[0]}\n\n{unseen}\n")
    rows = "".join(
        f"{i}\t{word}\t_\t{tag}\t_\t_\t0\t_\t_\t_\n"
        for i, (word, tag) in enumerate([("The", "DET"), ("old", "ADJ"), ("river", "NOUN")], 1)
    )
    words.write_text(f"{rows}\n{rows}\n")
    typed = [f"probes.text={other}", f"probes.tagged={words}", f"probes.tagged_test={words}"]
    run = grid / "cells" / "off" / "seed1"
    material = check(with_fields(cfg, typed))
    assert [(p.name, p.left_out) for p in material.probes[2:]] == [("other", 1), ("words", 0)]
    scores = material.measure(run)
    other.write_text(unseen)
    assert main(["probe", str(run), "--text", str(other)]) == 0
    assert f"bits        {scores['other'].headline:.4f} a byte" in capsys.readouterr().out
    assert main(["probe", str(run), "--tagged", str(words), "--tagged-test", str(words)]) == 0
    said = capsys.readouterr().out
    layers = [float(share) / 100 for share in re.findall(r"([\d.]+)%$", said, re.M)]
    assert len(layers) == 2 and scores["words"].headline == pytest.approx(np.mean(layers), abs=1e-3)


def test_the_report_has_every_cell_and_nothing_from_elsewhere(grid, capsys):
    assert main(["ablate", "--report", str(grid)]) == 0
    said = capsys.readouterr().out
    assert "nsp − off" in said and "left out" not in said
    page = (grid / "report.html").read_text()
    assert page.count("<svg") == 3  # two forests and the curves
    names = {"http://www.w3.org", "http://purl.org", "http://creativecommons.org"}  # not fetched
    assert set(re.findall(r"https?://[a-z.0-9]+", page)) <= names | {"https://matplotlib.org"}
    assert not re.search(r"(src|href)=\"http", page.replace("xlink:href", ""))
    assert "<script" not in page and "viewport" in page
    text = (grid / "report.md").read_text()
    for expected in ("Does next-sentence prediction help?", "segment_pair+nsp_rows"):
        assert expected in text and expected in page.replace("&gt;", ">")
    with (grid / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(r["arm"], r["seed"]) for r in rows} == {
        (arm, seed) for arm in ("nsp", "off") for seed in ("0", "1")
    }


def test_the_text_that_a_budget_was_is_that_of_the_batches(grid, cfg):
    """Places are what is paid, and real tokens what is read."""
    _, data = open_data(cfg.base)
    sources = [
        data.training(cell_config(cfg, Cell("off", seed), data.first.vocab_size, {}), 0)
        for seed in range(2)
    ]
    read = sum(int((s.batch(i)["segments"] != 0).sum()) for s in sources for i in range(60)) / 2
    text, places = (grid / "report.md").read_text(), 60 * 16 * 32
    told = f"| off | 60 | {count(places)} | {count(read)} | {read / places:.0%} |"
    assert told in text[text.index("## Cost of a cell") :]


def test_what_a_grid_is_and_its_report_before_the_end(grid, tmp_path, capsys):
    assert main(["info", str(grid)]) == 0
    assert "4 of 4 have ended, 0 of them left out" in capsys.readouterr().out
    part = tmp_path / "part"
    shutil.copytree(grid, part)
    outcome = GridDirectory(part).outcome(Cell("nsp", 0))
    outcome.write_text(outcome.read_text().replace('"left_out": []', '"left_out": ["it fell"]'))
    GridDirectory(part).outcome(Cell("off", 1)).unlink()
    assert main(["ablate", "--report", str(part)]) == 0
    said = capsys.readouterr().out
    assert "not compared: nsp and off have 0 fit seeds in common, two are needed" in said
    assert "left out: nsp seed0: it fell" in said and "not ended: 1 of the cells, off seed1" in said
    assert "off seed1: has not ended" in (part / "report.md").read_text()


def test_a_grid_run_cell_by_cell_and_killed_at_random_gives_the_same_table(
    grid, ablation, corpus, pairs, tmp_path
):
    """As a SLURM array does, one cell killed three times and begun again; bit for bit."""
    where = tmp_path / "again"
    command = tiny_grid.argv(ablation, where, corpus, pairs)
    log = GridDirectory(where).log(Cell("off", 0))
    draw = random.Random(0)
    for said in ("step 20", "step 40", "measuring"):
        before = log.read_text().count(said) if log.exists() else 0
        killed = tiny_run.start([*command, "--cell", "1"])
        while killed.poll() is None and not (log.exists() and log.read_text().count(said) > before):
            time.sleep(0.02)
        time.sleep(draw.uniform(0, 0.2))
        killed.kill()
        killed.communicate()
    shutil.copytree(grid / "cells" / "nsp", where / "cells" / "nsp")  # of other jobs
    for cell in ("1", "3"):
        tiny_run.finish(tiny_run.start([*command, "--cell", cell]))
    for name in ("seed0.npz", "seed1.npz"):
        ours, theirs = (path / "cells" / "off" / name for path in (where, grid))
        assert ours.read_bytes() == theirs.read_bytes()
    again, cfg = saved_grid(where)
    assert as_csv(gather(cfg, again)) == (grid / "scores.csv").read_text()


def test_a_cell_that_fails_is_told_and_does_not_sink_the_rest(grid, cfg, tmp_path, monkeypatch):
    copy = tmp_path / "grid"
    shutil.copytree(grid, copy)
    material = check(cfg)
    place = open_grid(copy, cfg, material.fingerprints())
    for cell in (Cell("nsp", 0), Cell("off", 0)):
        place.outcome(cell).unlink()
    real = run_grid.__globals__["pretrain"]

    def breaks_once(own, workdir, **rest):
        if "nsp" in str(workdir):
            raise UserError("the disk is full")
        return real(own, workdir, **rest)

    monkeypatch.setattr("bertjax.ablate.run.pretrain", breaks_once)
    assert run_grid(cfg, place, material) is None
    table = gather(cfg, place)
    assert table.left_out == {Cell("nsp", 0): "failed: the disk is full"}
    assert table.seeds("off") == [0, 1] and table.seeds("nsp", "off") == [1]
    assert json.loads(place.outcome(Cell("off", 0)).read_text())["state"] == "measured"
    monkeypatch.undo()
    run_grid(cfg, place, material)  # tried again, and the same
    assert as_csv(gather(cfg, place)) == (grid / "scores.csv").read_text()


def test_cells_of_another_process_are_passed_over(grid, cfg, tmp_path, capfd):
    copy = tmp_path / "grid"
    shutil.copytree(grid, copy)
    material = check(cfg)
    place = open_grid(copy, cfg, material.fingerprints())
    place.outcome(Cell("off", 1)).unlink()
    with open_run(place.run(Cell("off", 1)), Kind.PRETRAINING):
        assert run_grid(cfg, place, material, terminal=Terminal()) is None
    assert "cell off seed1: another process has it; passed over" in capfd.readouterr().err
    table = gather(cfg, place)
    assert table.missing == [Cell("off", 1)] and not table.left_out
    assert run_grid(cfg, place, material, stop=lambda: "SIGTERM") == "SIGTERM"
    assert gather(cfg, place).missing == [Cell("off", 1)]


def test_more_seeds_go_on_with_the_cells_that_ended(grid, cfg, tmp_path):
    """The seeds that ended stay as they are, fewer are refused, and the report says so."""
    copy = tmp_path / "grid"
    shutil.copytree(grid, copy)
    material = check(cfg)
    more = replace(cfg, seeds=3)
    place = open_grid(copy, more, material.fingerprints())
    assert saved_grid(copy)[1] == more and place.read_looks() == [2]
    assert gather(more, place).missing == [Cell("nsp", 2), Cell("off", 2)]
    before = place.scores(Cell("nsp", 0)).stat()
    assert run_grid(more, place, material, only=[Cell("off", 2), Cell("nsp", 0)]) is None
    assert place.scores(Cell("nsp", 0)).stat() == before
    assert gather(more, place).missing == [Cell("nsp", 2)]
    with pytest.raises(UserError, match="has 3 seeds, and seeds=2 would leave some out"):
        open_grid(copy, cfg, material.fingerprints())
    list(write_report(place, gather(more, place)))
    text = (copy / "report.md").read_text()
    assert (
        "Seeds were raised, from 2: who does so after a look at the results has 2 chances" in text
    )


def test_a_grid_beside_this_one_says_how_much_differences_vary(grid, cfg, tmp_path):
    shutil.copytree(grid, tmp_path / "earlier")
    place, found = saved_grid(tmp_path / "earlier")
    for arm in ("nsp", "off"):  # a third seed, whose scores are another's of the second
        for path in (place.scores, place.outcome):
            shutil.copy(path(Cell(arm, 0 if arm == "nsp" else 1)), path(Cell(arm, 2)))
    open_grid(place.path, replace(found, seeds=3), json.loads(place.material.read_text()))
    expected = largest_deviation(gather(replace(found, seeds=3), place))
    assert earlier_deviation(tmp_path / "new", cfg) == (expected, "earlier")
    said = list(foretell(Table(cfg, {}, {}, {}), tmp_path / "new"))[1]
    assert f"{expected:.3g}, from the grid earlier beside this one" in said
    other = replace(cfg, budget=BudgetConfig(tokens=10**6))
    assert earlier_deviation(tmp_path / "new", other) is None


def test_another_grid_in_the_directory_is_refused(grid, cfg):
    material = check(cfg)
    other = replace(cfg, control="nsp")
    with pytest.raises(UserError, match=r'holds another grid \(control: "off" -> "nsp"\)'):
        open_grid(grid, other, material.fingerprints())
    moved = with_fields(cfg, ["data.corpus=elsewhere", "probes.pairs=elsewhere/minimal.jsonl"])
    open_grid(grid, moved, material.fingerprints())  # the same by what is in them
    with pytest.raises(UserError, match="begun with another corpus"):
        open_grid(grid, cfg, material.fingerprints() | {"corpus": "other"})
