"""The guide's Python and the notebook, run as they stand on a small corpus."""

from __future__ import annotations

import ast
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import tiny_run
from documented import GUIDES, ROOT

from bertjax.cli.main import main

pytestmark = pytest.mark.slow


def test_what_the_guide_shows_runs(once, corpus, tmp_path, monkeypatch, capfd):
    """But for the size of the model, which is that of a recipe beside."""
    monkeypatch.chdir(tmp_path)
    recipe = once("guided.py", lambda path: path.write_text(tiny_run.RECIPE))
    Path("data").mkdir()
    Path("data/mycorpus").symlink_to(corpus)
    lines = [f"The {word} city.\t{stars}" for word, stars in [("old", 1), ("quiet", 5)] * 12]
    Path("my.tsv").write_text("review\tstars\n" + "\n".join(lines) + "\n")
    assert main(tiny_run.pretrain_argv(Path("runs/x"), recipe, corpus, "train.steps=4")) == 0
    text = (GUIDES / "python.md").read_text(encoding="utf-8")
    program = "\n".join(re.findall(r"```python\n(.*?)```", text, re.S))
    program = program.replace('"bert_tiny"', repr(str(recipe))).replace("steps=100", "steps=4")
    found: dict = {"__name__": "guide"}
    capfd.readouterr()
    exec(compile(program, "python.md", "exec"), found)
    assert "step 4" in capfd.readouterr().err  # of the one call with a terminal
    assert found["vectors"].shape == (1, 32) and np.isfinite(found["vectors"]).all()
    assert found["likely"] < 0 and found["run"].stopped is None


def test_the_notebook_runs(tmp_path, monkeypatch):
    """Cell by cell in one process, as Jupyter does; a line after `!` is a command of the shell."""
    monkeypatch.chdir(tmp_path)
    notebook = json.loads((ROOT / "docs" / "first_steps.ipynb").read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    values: dict = {"__name__": "notebook"}
    shown = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] != "code":
            continue
        assert cell["outputs"] == []  # what it says depends on the machine
        if source.startswith("!bertjax "):
            assert main(shlex.split(source)[1:]) == 0
            continue
        *body, last = ast.parse(source).body
        exec(compile(ast.Module(body, []), "notebook", "exec"), values)
        if isinstance(last, ast.Expr):
            shown.append(eval(compile(ast.Expression(last.value), "notebook", "eval"), values))
        else:
            exec(compile(ast.Module([last], []), "notebook", "exec"), values)
    _, evaluation, guesses, _, difference = shown
    assert evaluation["masked_lm_loss"] < 3
    verbs = set(values["verbs"])
    assert len(verbs & {guess.piece for guess in guesses}) >= 4
    assert values["likely"] > values["unlikely"] and difference == 0
