"""Tables that runs of a tiny encoder learn from."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_task import write_table


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    return write_table(folder / "train.tsv", 192), write_table(folder / "dev.tsv", 40, seed=1)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """A few labelled rows, and more as a table and as text alone."""
    folder = tmp_path_factory.mktemp("teaching")
    for name, rows, seed in (("train", 128, 0), ("dev", 24, 1), ("more", 96, 2)):
        write_table(folder / f"{name}.tsv", rows, seed)
    lines = (folder / "more.tsv").read_text().splitlines()[1:]
    (folder / "more.txt").write_text("\n".join(line.split("\t")[0] for line in lines) + "\n")
    return folder
