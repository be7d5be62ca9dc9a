"""The guide's commands and its Python, run as they stand on a small model."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import tiny_run
from documented import GUIDES, commands, walk
from stand_ins import write_pairs

from bertjax.cli.main import main

pytestmark = pytest.mark.slow

GUIDE = GUIDES / "probing.md"
WORD = "\t_\tNOUN" + "\t_" * 6


def test_what_the_guide_shows_runs(once, corpus, tmp_path, monkeypatch, capsys):
    def make(workdir: Path) -> None:
        (recipe := workdir.parent / "recipe.py").write_text(tiny_run.RECIPE)
        assert main(tiny_run.pretrain_argv(workdir, recipe, corpus)) == 0

    monkeypatch.chdir(tmp_path)
    run = once("probed", make)
    for name in ("runs/x", "a/0", "a/1", "b/0", "b/1"):
        shutil.copytree(run, name)
    assert main(["export", "runs/x", "--out", "hf/x"]) == 0
    write_pairs("pairs.jsonl", "blimp.jsonl.xz", "zhoblimp.jsonl.xz")
    Path("news.txt").write_text("The old river.\n\nThe quiet garden.\n")
    for split in ("train", "test"):
        Path(f"en_ewt-ud-{split}.conllu").write_text(f"1\tcity{WORD}\n\n1\told{WORD}\n\n")
    walk(commands(GUIDE))
    capsys.readouterr()
    (program,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.S)
    exec(compile(program, str(GUIDE), "exec"), {"__name__": "guide"})
    # Two arms of equal runs: no noise at all, so that nothing can be said.
    assert "not resolvable at this budget" in capsys.readouterr().out
