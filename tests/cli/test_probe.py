"""`bertjax probe`, run and refused."""

from __future__ import annotations

import json

from bertjax.cli.main import main

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


def test_what_cannot_be_scored_is_refused(trained, tmp_path, refuse):
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text(json.dumps({**PAIR, "sentence_good": "so " * 999}) + "\n")
    assert "positions: shorten" in refuse("probe", trained, "--pairs", pairs)
    missing = tmp_path / "nothing.jsonl"
    assert "nothing.jsonl" in refuse("probe", trained, "--pairs", missing)
    assert "no directory" in refuse(
        "probe", trained, "--pairs", pairs, "--out", tmp_path / "x" / "y"
    )
