"""The report of a grid: Markdown, CSV and one HTML page."""

from __future__ import annotations

from collections.abc import Iterator

from bertjax.ablate.conclusions import conclusions
from bertjax.ablate.directory import GridDirectory
from bertjax.ablate.table import Table, as_csv
from bertjax.durable import replace_file


def write_report(grid: GridDirectory, table: Table) -> Iterator[str]:
    replace_file(grid.path / "scores.csv", as_csv(table).encode())
    for probe in table.probes:
        for c in conclusions(table, probe):
            yield f"{probe}: {c.says}"
