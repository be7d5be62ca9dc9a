"""The search of an arm's setting: on a seed of its own, before all other cells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bertjax.ablate.directory import MEASURED, GridDirectory
from bertjax.ablate.grid import Cell, cell_config, cells
from bertjax.ablate.search import require_setting, settings_found
from bertjax.ablate.stored import save_scores
from bertjax.ablate.table import gather
from bertjax.config import MOST_SEEDS, AblationConfig, Arm
from bertjax.durable import write_json
from bertjax.errors import UserError
from bertjax.probe.scores import Scores

RATES = ("optim.learning_rate=1e-3", "optim.learning_rate=2e-3", "optim.learning_rate=4e-3")
CFG = AblationConfig(
    arms=(Arm("plain"), Arm("muon", ("optim.optimizer=muon",), search=RATES)),
    control="plain",
    seeds=2,
)


def end(grid: GridDirectory, cell: Cell, loss: float, left_out: tuple[str, ...] = ()) -> None:
    """Write what a cell leaves behind."""
    grid.run(cell).parent.mkdir(parents=True, exist_ok=True)
    save_scores(
        grid.scores(cell), {"held_out": Scores("held_out", np.full(3, loss), "nats a piece", "low")}
    )
    cost = {"steps": 1, "tokens": 1, "seconds": 1.0, "flops": 1.0}
    whole = {"state": MEASURED, "left_out": left_out, "scores": {}, "cost": cost}
    write_json(grid.outcome(cell), whole)


def test_the_best_fit_setting_is_taken_once_all_have_ended(tmp_path):
    grid = GridDirectory(tmp_path)
    tried = cells(CFG)[:3]
    assert [cell.name for cell in tried] == ["search0", "search1", "search2"]
    end(grid, tried[0], 3.0)
    end(grid, tried[1], 2.5)
    assert settings_found(CFG, grid) == {}
    with pytest.raises(UserError, match="needs the setting that cells 0 to 2 search for"):
        require_setting(CFG, Cell("muon", 0), {})
    require_setting(CFG, Cell("plain", 0), {})
    end(grid, tried[2], 1.0, ("its held-out loss is not finite",))
    settings = settings_found(CFG, grid)
    assert settings == {"muon": RATES[1]}
    run = cell_config(CFG, Cell("muon", 1), 100, settings)
    assert (run.optim.optimizer, run.optim.learning_rate, run.seed) == ("muon", 2e-3, 1)
    for seeds in (2, MOST_SEEDS):  # no seed of the comparison, however many there come to be
        grown = replace(CFG, seeds=seeds)
        seed = cell_config(grown, tried[2], 100, {}).seed
        assert tried[2] in cells(grown)[:3] and seed == CFG.base.seed + MOST_SEEDS
    assert not gather(CFG, grid).outcomes  # nor a cell of the table


def test_of_scores_that_should_be_high_the_highest_is_best(tmp_path):
    cfg = replace(CFG, decides="pairs")
    grid = GridDirectory(tmp_path)
    for cell, share in zip(cells(cfg)[:3], (0.6, 0.7, 0.5), strict=True):
        end(grid, cell, 1.0)
        scores = {"pairs": Scores("pairs", np.full(3, share), "of the pairs", "high")}
        save_scores(grid.scores(cell), scores)
    assert settings_found(cfg, grid) == {"muon": RATES[1]}
