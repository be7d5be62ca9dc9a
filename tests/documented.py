"""What a page shows for readers to type, and typing it."""

from __future__ import annotations

import glob
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from bertjax.cli.main import main

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
GUIDES = ROOT / "docs" / "guides"

# A model and rows that compile in seconds, for recipes of any size.
SMALL_MODEL = [
    *("model.hidden_size=32", "model.num_layers=1", "model.num_heads=2"),
    *("model.intermediate_size=64", "model.max_positions=32"),
]
SMALL_PHASE = 'data.phases=[{"seq_len":32,"batch_size":8}]'
FEW_STEPS = ["train.steps=2", "train.eval_rows=8"]
ONE_EPOCH = ["tune.epochs=1", "tune.batch_size=8"]


def commands(page: Path) -> list[str]:
    """The lines of listings that begin with `bertjax`; sample output has `$` before them.

    A command of several lines, each of which but the last ends with a backslash, is one.
    """
    lines = re.sub(r"\\\n\s*", "", page.read_text(encoding="utf-8")).splitlines()
    return [line.strip() for line in lines if re.match(r"\s{4,}bertjax [a-z]", line)]


def walk(
    shown: Sequence[str],
    more: Mapping[str, Sequence[str]] | None = None,
    instead: Mapping[str, str] | None = None,
) -> None:
    """Run commands in turn, as a shell would, in a folder that has what they name.

    `more` has arguments to be typed behind those of a verb, which make it a matter of seconds;
    `instead` has words of the commands, and what they are here.
    """
    assert shown
    for command in shown:
        for word, other in (instead or {}).items():
            command = command.replace(word, other)
        argv = [
            path
            for word in shlex.split(command)[1:]
            for path in (sorted(glob.glob(word)) if "*" in word else [word])
        ]
        assert main([*argv, *(more or {}).get(argv[0], [])]) == 0, command
