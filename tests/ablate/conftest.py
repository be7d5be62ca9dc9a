"""One small grid a session: two arms, two seeds, one layer, 60 steps, every cell fit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny_grid
import tiny_run

from bertjax.cli.ablate import with_fields
from bertjax.config import AblationConfig
from bertjax.recipes.files import load_config_file


@pytest.fixture(scope="session")
def pairs(once) -> Path:
    """Minimal pairs of the grammar of `tiny_run`: a noun too few, two words in the wrong order."""

    def make(path: Path) -> None:
        rows = [
            {
                "UID": uid,
                "phenomenon": uid,
                "sentence_good": f"The old {noun} opened the river near the quiet city.",
                "sentence_bad": bad.format(noun=noun),
            }
            for noun in ("house", "writer", "garden", "engine", "winter", "letter")
            for uid, bad in (
                ("order", "The {noun} old opened river the near the quiet city."),
                ("noun", "The old opened the river near the quiet city {noun}."),
            )
        ]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))

    return once("minimal.jsonl", make)


@pytest.fixture(scope="session")
def ablation(once) -> Path:
    return once("ablation.py", lambda path: path.write_text(tiny_grid.RECIPE))


@pytest.fixture(scope="session")
def cfg(ablation, corpus, pairs) -> AblationConfig:
    typed = [f"data.corpus={corpus}", f"probes.pairs={pairs}"]
    return with_fields(load_config_file(ablation, AblationConfig), typed)


@pytest.fixture(scope="session")
def grid(once, ablation, corpus, pairs) -> Path:
    """The grid, trained and reported by the command line in one process."""

    def make(workdir: Path) -> None:
        tiny_run.finish(tiny_run.start(tiny_grid.argv(ablation, workdir, corpus, pairs)))

    return once("grid", make)
