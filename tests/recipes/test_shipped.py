"""Recipes by name: which file is meant, from a checkout and from a wheel."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import pytest
import xla_flags

from bertjax.cli.main import main
from bertjax.config import AblationConfig, FinetuneConfig, PretrainConfig
from bertjax.errors import EXIT_BAD_INPUT, UserError
from bertjax.recipes.shipped import SHELVES, about, load_recipe, recipes

ROOT = Path(__file__).resolve().parents[2]
TINY = "from bertjax.config import *\n\n\ndef get_config():\n    return PretrainConfig({})\n"


def test_a_name_is_the_recipe_that_comes_with_bertjax(tmp_path, monkeypatch):
    """Whatever lies in the working directory; a slash or an ending makes it a file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    for path in ("configs/bert_tiny.py", "bert_tiny.py", "bert_tiny"):
        Path(path).write_text(TINY.format("model=ModelConfig(num_layers=7)"))
    for given in ("bert_tiny", "bert_mini"):
        assert load_recipe(given, PretrainConfig).model.hidden_size in (128, 256)
    for given in ("configs/bert_tiny.py", "bert_tiny.py", "./bert_tiny", Path("bert_tiny")):
        assert load_recipe(given, PretrainConfig).model.num_layers == 7
    assert load_recipe("sst2", FinetuneConfig).task.name == "sst2"
    assert load_recipe("nsp", AblationConfig).control == "full_sentences-off"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("bert_tinny", "no recipe of pretrain has that name: did you mean 'bert_tiny'"),
        ("sst2", "this is a recipe of `bertjax finetune`"),
        ("here", "no recipe has that name: give ./here for the file"),
        ("configs/bert_base.py", "no such file; the recipe of bertjax is called bert_base"),
        ("configs/none.py", "config configs/none.py cannot be read"),
    ],
)
def test_what_names_nothing_is_refused_with_what_would(given, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("here").touch()
    with pytest.raises(UserError, match=says):
        load_recipe(given, PretrainConfig)


def test_every_recipe_says_what_it_is(capsys):
    assert main(["recipes"]) == 0
    said = capsys.readouterr().out
    names = Counter(name for shelf in SHELVES for name in recipes(shelf))
    assert max(names.values()) == 1  # `bertjax recipes NAME` is one file
    assert names.total() == len(list((ROOT / "configs").rglob("*.py")))
    for shelf in SHELVES:
        for name, file in recipes(shelf).items():
            assert f"\n  {name} " in said
            found = about(file)
            assert found.title and (found.source or name == "ax")
            assert found.budget or shelf.verb == "finetune"
            assert re.search(rf"(--config|from_text.sh|make) {name}\b", file.read_text())
    assert "12 layers × 768, 12 heads\n" in said
    assert "= 43 G tokens · Devlin et al. 2019, section 3\n" in said
    assert main(["recipes", "bert_base"]) == 0
    assert capsys.readouterr().out == (ROOT / "configs" / "bert_base.py").read_text()
    assert main(["recipes", "bert_bas"]) == EXIT_BAD_INPUT
    assert "did you mean 'bert_base'" in capsys.readouterr().err


def test_a_recipe_may_import_what_lies_beside_it(tmp_path):
    """Each finds its own, though both call it the same; nothing of it stays behind."""
    before = list(sys.path)
    for layers in (3, 5):
        folder = tmp_path / str(layers)
        folder.mkdir()
        (folder / "sizes.py").write_text(f"LAYERS = {layers}\n")
        (folder / "mine.py").write_text(
            "from sizes import LAYERS\n" + TINY.format("model=ModelConfig(num_layers=LAYERS)")
        )
        assert load_recipe(folder / "mine.py", PretrainConfig).model.num_layers == layers
    assert sys.path == before and "sizes" not in sys.modules


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel's files, unpacked: what `pip install` would put into an environment."""
    pytest.importorskip("hatchling", reason="builds the wheel (extra: dev)")
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (packed,) = folder.glob("*.whl")
    with zipfile.ZipFile(packed) as files:
        files.extractall(folder / "site")
    return folder / "site"


def bertjax(site: Path, cwd: Path, *argv: str, code: int = 0) -> str:
    """What the command says where bertjax is the wheel's and no checkout is near."""
    run = subprocess.run(
        [sys.executable, "-m", "bertjax", *argv],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(site), "XLA_FLAGS": xla_flags.QUICK},
        capture_output=True,
        text=True,
    )
    assert run.returncode == code, run.stderr
    return run.stdout + run.stderr


@pytest.mark.slow
def test_the_wheel_holds_the_recipes(wheel, tmp_path):
    shipped = {str(p.relative_to(ROOT / "configs")) for p in (ROOT / "configs").rglob("*.py")}
    inside = wheel / "bertjax" / "configs"
    assert {str(path.relative_to(inside)) for path in inside.rglob("*.py")} == shipped
    assert (wheel / "bertjax" / "py.typed").exists() and not (wheel / "configs").exists()
    where = "import bertjax; print(bertjax.__file__)"
    assert (
        str(wheel)
        in subprocess.check_output(
            [sys.executable, "-c", where], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(wheel)}
        ).decode()
    )
    said = bertjax(wheel, tmp_path, "recipes")
    assert "  bert_base " in said and "  sst2 " in said and "  nsp " in said
    workplace = ("--workdir", "x", "data.corpus=none")
    said = bertjax(wheel, tmp_path, "pretrain", "--config", "bert_bass", *workplace, code=2)
    assert "did you mean 'bert_base'" in said
