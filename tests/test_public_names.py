"""What `bertjax/__init__.py` promises: each name is there, for programs and for type checkers."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import bertjax

PACKAGE = Path(bertjax.__file__).parent


def test_types_and_programs_see_the_same_names():
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    (guarded,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.asname: (node.module.removeprefix("bertjax."), alias.name)
        for node in guarded.body
        for alias in node.names
    }
    assert {name: (home, name) for name, home in bertjax._HOMES.items()} == seen
    assert set(seen) <= set(dir(bertjax)) and (PACKAGE / "py.typed").exists()


def test_names_are_what_they_are_at_home_whatever_was_imported_before():
    """`bertjax.finetune` is the function, after the package of fine-tuning too."""
    import bertjax.finetuning.run
    import bertjax.train.loop

    assert bertjax.finetune is bertjax.finetuning.run.finetune
    assert bertjax.pretrain is bertjax.train.loop.pretrain
    with pytest.raises(AttributeError, match="has no attribute 'pretain'"):
        _ = bertjax.pretain
    modules = {path.stem for path in PACKAGE.iterdir() if (path.is_dir() or path.suffix == ".py")}
    assert not modules & bertjax._HOMES.keys()  # importing one would hide the name


def test_importing_bertjax_waits_for_nothing():
    program = "import sys, bertjax; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert not {"jax", "numpy", "argparse"} & set(run.stdout.split())
    assert "bertjax.config" not in run.stdout.split()
