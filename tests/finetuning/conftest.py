"""Tables that runs of a tiny encoder learn from."""

from __future__ import annotations

import pytest
from tiny_task import write_table


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    return write_table(folder / "train.tsv", 192), write_table(folder / "dev.tsv", 40, seed=1)
