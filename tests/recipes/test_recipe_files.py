"""Recipes are run, and a broken one is answered in one line with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from bertjax.config import Phase, PretrainConfig
from bertjax.errors import UserError
from bertjax.recipes.files import load_config_file


def recipe(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "recipe.py"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_recipe_is_run_and_its_lists_become_tuples(tmp_path):
    path = recipe(
        tmp_path,
        "from __future__ import annotations\n"
        "import bertjax.config as c\n"
        "def get_config() -> c.PretrainConfig:\n"
        "    return c.PretrainConfig(data=c.DataConfig(phases=[c.Phase(seq_len=32)]), seed=4)\n",
    )
    config = load_config_file(path, PretrainConfig)
    assert config.seed == 4
    assert config.data.phases == (Phase(seq_len=32),)
    assert [p.name for p in tmp_path.iterdir()] == ["recipe.py"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "has no get_config()"),
        ("get_config = 3", "has no get_config()"),
        ("def get_config():\n    return 3", "returned int: it must return a PretrainConfig"),
        ("def get_config(:", "line 1: SyntaxError"),
        ("\n\nimport nowhere", "line 3: ModuleNotFoundError"),
        ("def get_config():\n    return 1 / 0", "line 2: ZeroDivisionError"),
        ("def get_config(x):\n    return x", "TypeError"),
        ("raise SystemExit('gone')", "line 1: SystemExit: gone"),
        ("raise ValueError('two\\nlines')", "line 1: ValueError: two lines"),
        (b"\xff\xfe", "SyntaxError"),
        (b"\0", ""),
        (
            "from bertjax.config import *\n\ndef get_config():\n"
            "    return PretrainConfig(\n        model=ModelConfig(num_heads=7))",
            "line 5: model.num_heads=7 does not divide",
        ),
        (
            "from bertjax.config import *\ndef get_config():\n"
            "    return PretrainConfig(train=TrainConfig(steps=1.5))",
            "train.steps=1.5 has the wrong type",
        ),
    ],
)
def test_a_broken_recipe_is_one_line_with_its_place(tmp_path, text, message):
    path = recipe(tmp_path, text)
    with pytest.raises(UserError) as caught:
        load_config_file(path, PretrainConfig)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_recipe_is_a_user_error(tmp_path):
    for path in (tmp_path / "absent.py", tmp_path):
        with pytest.raises(UserError, match="cannot be read"):
            load_config_file(path, PretrainConfig)
