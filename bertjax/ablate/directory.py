"""The directory of a grid.

ab/x/
  config.json              the ablation, decision rule included, as it was before the first step
  looks.json               how many seeds it had before each time that they were raised
  corpus.json              fingerprints of the corpus and of the files of its probes
  cells/ARM/seedK/         an ordinary run of `bertjax pretrain`
  cells/ARM/seedK.json     what became of it; written last
  cells/ARM/seedK.npz      what the probes measured, example by example
  cells/ARM/seedK.log      what it said
  cells/ARM/searchK...     the same of each setting that an arm was searched among
  cells/ARM/setting.json   which of them its seeds have, from the first one on
  report.html, report.md   and scores.csv, for people
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bertjax import written
from bertjax.ablate.grid import Cell
from bertjax.config import AblationConfig
from bertjax.durable import replace_file, write_json
from bertjax.errors import UserError
from bertjax.overrides import describe_difference, read_config, to_json
from bertjax.runs.kinds import Kind, describe, kind_of, require_kind
from bertjax.train.same_run import MAY_CHANGE

# What a grid may have otherwise when it goes on: what its runs may, what it asks, and where things
# are, as corpora and probes are known by their fingerprints.
_MAY_CHANGE = re.compile(
    "|".join(
        [
            *(re.escape(f"base.{name}") for name in MAY_CHANGE),
            r"base\.data\.corpora\.\d+\.path",
            r"question",
            r"probes\..*",
        ]
    )
)

MEASURED, FAILED = "measured", "failed"  # what may become of a cell
_COST = {
    "steps": int, "tokens": written.NUMBER, "seconds": written.NULLABLE, "flops": written.NULLABLE,
}  # fmt: skip
_OUTCOME = (
    {
        "state": MEASURED,
        "left_out": [str],
        "scores": {str: written.NULLABLE},
        "cost": _COST,
    },
    {"state": FAILED, "reason": str},
)


@dataclass(frozen=True)
class GridDirectory:
    """Where everything of a grid lies; making one of these touches no file."""

    path: Path

    @property
    def config(self) -> Path:
        """The ablation as JSON."""
        return self.path / "config.json"

    @property
    def looks(self) -> Path:
        """Numbers of seeds after which the grid was seen, and given more."""
        return self.path / "looks.json"

    @property
    def material(self) -> Path:
        """Fingerprints of what the grid is trained and measured on."""
        return self.path / "corpus.json"

    def read_material(self) -> dict[str, str]:
        """Fingerprints by what a person calls the things."""
        found = written.read(self.material, {str: str})
        if not re.fullmatch("[0-9]{1,9}", found.get("vocabulary", "")):
            raise written.damaged(self.material, "no size of the vocabulary in it")
        return found

    def run(self, cell: Cell) -> Path:
        """The run of a cell."""
        return self.path / "cells" / cell.arm / cell.name

    def outcome(self, cell: Cell) -> Path:
        """What became of the cell, as JSON."""
        return self.run(cell).with_suffix(".json")

    def scores(self, cell: Cell) -> Path:
        """What the probes measured."""
        return self.run(cell).with_suffix(".npz")

    def read_setting(self, arm: str) -> str | None:
        """The setting that the seeds of an arm have; None before the first of them."""
        path = self._setting(arm)
        return written.read(path, {"setting": str})["setting"] if path.exists() else None

    def write_setting(self, arm: str, setting: str) -> None:
        """Hold the seeds of an arm to one setting."""
        write_json(self._setting(arm), {"setting": setting})

    def _setting(self, arm: str) -> Path:
        return self.path / "cells" / arm / "setting.json"

    def log(self, cell: Cell) -> Path:
        """What the cell said."""
        return self.run(cell).with_suffix(".log")

    def read_looks(self) -> list[int]:
        """How many seeds it had before each time that they were raised."""
        return written.read(self.looks, {"seeds": [int]})["seeds"] if self.looks.exists() else []

    def read_outcome(self, cell: Cell) -> dict[str, Any] | None:
        """What became of a cell; None if it has not ended."""
        path = self.outcome(cell)
        return written.read(path, _OUTCOME) if path.exists() else None


def open_grid(path: Path, cfg: AblationConfig, material: dict[str, str]) -> GridDirectory:
    """Make the directory of a grid, or go on in it, with more seeds if `cfg` has more.

    Raises:
        UserError: it holds something else, or a grid of another config, corpus or probes, or of
            more seeds.
    """
    grid = GridDirectory(path.absolute())
    vacant = _is_vacant(grid.path)  # asked first: another job of the grid may be making it now
    kind = kind_of(grid.path)
    if kind is Kind.ABLATION:
        before = _check_same(grid, cfg, material)
        if cfg.seeds > before.seeds:
            write_json(grid.looks, {"seeds": [*grid.read_looks(), before.seeds]})
            replace_file(grid.config, to_json(replace(before, seeds=cfg.seeds)).encode())
        return grid
    if kind is not None or not vacant:
        raise UserError(
            f"--workdir {path} is {describe(grid.path)}, not {Kind.ABLATION.value}: choose a new "
            "or empty directory"
        )
    try:
        grid.path.mkdir(parents=True, exist_ok=True)
        write_json(grid.material, material)
        replace_file(grid.config, to_json(cfg).encode())
    except OSError as error:
        raise UserError(
            f"--workdir {path} cannot be written ({error.strerror}): choose one that can"
        ) from None
    return grid


def saved_grid(path: Path, name: str = "--report") -> tuple[GridDirectory, AblationConfig]:
    """A grid that is there, which the user gave as `name`, and its config."""
    require_kind(name, path, Kind.ABLATION)
    grid = GridDirectory(path.absolute())
    return grid, read_config(AblationConfig, grid.config)


def _is_vacant(path: Path) -> bool:
    """Whether nothing is there but what a grid that is being made begins with."""
    if not path.exists():
        return True
    return path.is_dir() and all(
        item.name == "corpus.json" or item.name.startswith((".corpus.json.", ".config.json."))
        for item in path.iterdir()
    )


def _check_same(
    grid: GridDirectory, cfg: AblationConfig, material: dict[str, str]
) -> AblationConfig:
    """The ablation as it was begun, which the given one is but for what may change."""
    before = read_config(AblationConfig, grid.config)
    if cfg.seeds < before.seeds:
        raise UserError(
            f"{grid.path} has {before.seeds} seeds, and seeds={cfg.seeds} would leave some out: "
            f"give seeds={before.seeds} or more, or another --workdir"
        )
    same = replace(before, seeds=cfg.seeds)
    fields = {c.partition(":")[0]: c for c in describe_difference(same, cfg)}
    changes = [change for field, change in fields.items() if not _MAY_CHANGE.fullmatch(field)]
    if changes:
        more = f"; and {len(changes) - 6} more" if len(changes) > 6 else ""
        raise UserError(
            f"{grid.path} holds another grid ({'; '.join(changes[:6])}{more}): what is compared, "
            "and how it is decided, is fixed before the first step; give the same values, or "
            "another --workdir"
        )
    known = grid.read_material()
    for name in {**known, **material}:
        if known.get(name) != material.get(name):
            raise UserError(
                f"{grid.path} was begun with another {name} ({str(known.get(name))[:12]}, now "
                f"{str(material.get(name))[:12]}): give that one, or another --workdir"
            )
    return before
