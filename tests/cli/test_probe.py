"""`bertjax probe`, run and refused."""

from __future__ import annotations

import json
import re

import jax
import numpy as np
import pytest
import tiny_run

from bertjax import sharding
from bertjax.cli.main import main
from bertjax.config import MeshConfig
from bertjax.pretrained import open_untrained, run_config
from bertjax.train.state import fresh_state
from bertjax.tree import flatten

PAIR = {"UID": "u", "phenomenon": "p", "sentence_good": "it is so", "sentence_bad": "it are so"}


def test_a_run_and_its_export_score_alike(trained, exported, tmp_path, capsys):
    pairs = tmp_path / "pairs.jsonl"
    other = {**PAIR, "UID": "v", "phenomenon": "q"}
    pairs.write_text("".join(json.dumps(row) + "\n" for row in (PAIR, PAIR, other)))
    scores = []
    for model in (trained, exported):
        out = tmp_path / "scores.jsonl"
        assert main(["probe", str(model), "--pairs", str(pairs), "--out", str(out)]) == 0
        scores.append([json.loads(line) for line in out.read_text().splitlines()])
        said = capsys.readouterr().out
        assert "3 in 2 paradigms" in said and "the mean of the paradigms" in said
    assert scores[0] == scores[1] and scores[0][0] == scores[0][1]
    assert {name: scores[0][0][name] for name in PAIR} == PAIR
    right = scores[0][0]["good"] > scores[0][0]["bad"]
    assert f"accuracy    {right:.1%}" in said


def test_random_weights_stand_beside_the_trained_ones(trained, exported, tmp_path, capsys):
    """Those of the run's first step, scored as any model is."""
    pairs = tmp_path / "pairs.jsonl"
    rows = ({**PAIR, "UID": uid, "sentence_good": f"{uid} is so"} for uid in "ab")
    pairs.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["probe", str(trained), "--pairs", str(pairs), "--untrained"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"^ +random +trained\n +p +[\d.]+% +[\d.]+%\n +a +\d+", said, re.M)
    assert "the mean of the paradigms; chance is 50 %, and random weights have" in said
    cfg, mesh = run_config(trained), sharding.make_mesh(MeshConfig(), jax.devices()[:1])
    ours, theirs = (
        {name: np.asarray(x) for name, x in flatten(params).items()}
        for params in (open_untrained(trained).params, fresh_state(cfg, mesh).params)
    )
    tiny_run.assert_same_bits(ours, theirs)
    assert main(["probe", str(exported), "--pairs", str(pairs), "--untrained"]) == 2
    assert "give a run of `bertjax pretrain`" in capsys.readouterr().err


TREEBANK = "1\tthe\t_\tDET" + "\t_" * 6 + "\n2\triver\t_\tNOUN" + "\t_" * 6 + "\n\n"


def test_other_scores_other_probes(trained, tmp_path, capsys):
    """A pair of different length; text; words."""
    files = {
        "pairs.jsonl": json.dumps({**PAIR, "sentence_bad": "it are so so so"}) + "\n",
        "text.txt": "The old river opened the city.\n\nThe quiet garden.\n",
        "words.conllu": TREEBANK * 3,
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    out = tmp_path / "scores.jsonl"

    def probe(*options: str) -> tuple[str, list[dict]]:
        argv = [str(tmp_path / item) if "." in item else item for item in options]
        assert main(["probe", str(trained), *argv, "--out", str(out)]) == 0
        return capsys.readouterr().out, list(map(json.loads, out.read_text().splitlines()))

    plain, words, short = (
        probe("--pairs", "pairs.jsonl", "--score", score)[1][0]["bad"]
        for score in ("pll", "pll-word", "slln")
    )
    pieces = (plain / short) ** 2
    assert pieces == pytest.approx(round(pieces), abs=1e-3) and pieces > 5 and words < 0
    said, lines = probe("--text", "text.txt")
    assert "2 documents, 15% of the pieces masked" in said and "a byte of the masked text" in said
    mean = sum(line["loss"] for line in lines) / 2
    assert f"loss        {mean:.4f} nats a piece" in said
    said, lines = probe("--tagged", "words.conllu", "--tagged-test", "words.conllu")
    assert "6 in 3 sentences" in said and "of 3 sentences" in said and "layer 1" in said
    assert lines[0]["sentence"] == "the river" and lines[0]["3/layer_1"] == 1.0


def test_options_that_do_not_go_together_are_refused(trained, tmp_path, refuse):
    assert "one of the arguments --pairs --text --tagged is required" in refuse("probe", trained)
    assert "go together" in refuse("probe", trained, "--tagged", "x.conllu")
    assert "without --pairs" in refuse("probe", trained, "--text", "x.txt", "--score", "pll")
    assert "without --pairs" in refuse("probe", trained, "--text", "x.txt", "--untrained")
    assert "not allowed with" in refuse("probe", trained, "--text", "x", "--pairs", "y")
    (tmp_path / "empty.txt").write_text("\n\n")
    assert "no text in it" in refuse("probe", trained, "--text", tmp_path / "empty.txt")


def test_what_cannot_be_scored_is_refused(trained, tmp_path, refuse):
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text(json.dumps({**PAIR, "sentence_good": "so " * 999}) + "\n")
    assert "positions: shorten" in refuse("probe", trained, "--pairs", pairs)
    missing = tmp_path / "nothing.jsonl"
    assert "nothing.jsonl" in refuse("probe", trained, "--pairs", missing)
    assert "no directory" in refuse(
        "probe", trained, "--pairs", pairs, "--out", tmp_path / "x" / "y"
    )
