"""The search of an arm's setting: on a seed of its own, before all other cells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bertjax.ablate.blocks import Rows
from bertjax.ablate.directory import FAILED, MEASURED, GridDirectory
from bertjax.ablate.grid import Cell, cell_config, cells
from bertjax.ablate.report import _search
from bertjax.ablate.search import hold, needless, require_setting, settings_found
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


def test_an_arm_keeps_the_setting_that_its_first_seed_had(tmp_path):
    """A search that failed then is not made again, and another winner would come too late."""
    grid = GridDirectory(tmp_path)
    tried = cells(CFG)[:3]
    end(grid, tried[0], 3.0)
    end(grid, tried[1], 2.5)
    write_json(grid.outcome(tried[2]), {"state": FAILED, "reason": "out of memory"})
    settings = settings_found(CFG, grid)
    assert settings == {"muon": RATES[1]} and not needless(grid, tried[2])
    hold(CFG, grid, Cell("plain", 0), settings)
    assert not needless(grid, tried[2])
    hold(CFG, grid, Cell("muon", 0), settings)
    assert needless(grid, tried[2]) and not needless(grid, Cell("muon", 0))
    end(grid, tried[2], 1.0)
    assert settings_found(CFG, grid) == settings
    hold(CFG, grid, Cell("muon", 1), {"muon": RATES[2]})
    assert settings_found(CFG, grid) == settings


def test_the_report_amid_a_search_says_what_has_not_ended(tmp_path):
    grid = GridDirectory(tmp_path)
    end(grid, cells(CFG)[0], 3.0)
    end(grid, cells(CFG)[1], 3.0, ("its held-out loss is not finite",))
    (blocks,) = [b.rows for b in _search(grid, gather(CFG, grid)) if isinstance(b, Rows)]
    assert [row[2:] for row in blocks] == [["3.0000", ""], ["unfit", ""], ["not ended", ""]]


def test_of_scores_that_should_be_high_the_highest_is_best(tmp_path):
    cfg = replace(CFG, decides="pairs")
    grid = GridDirectory(tmp_path)
    for cell, share in zip(cells(cfg)[:3], (0.6, 0.7, 0.5), strict=True):
        end(grid, cell, 1.0)
        scores = {"pairs": Scores("pairs", np.full(3, share), "of the pairs", "high")}
        save_scores(grid.scores(cell), scores)
    assert settings_found(cfg, grid) == {"muon": RATES[1]}
