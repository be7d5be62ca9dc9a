"""Every shipped ablation passes what is checked before a first step, and fits two cores."""

from __future__ import annotations

from pathlib import Path

import pytest

from bertjax.ablate.check import check, differences
from bertjax.ablate.grid import Cell, cell_config
from bertjax.ablate.probes import WORDS
from bertjax.cli.ablate import with_fields
from bertjax.config import AblationConfig
from bertjax.errors import UserError
from bertjax.recipes.files import load_config_file
from bertjax.train.scale import flops_a_step

RECIPES = sorted((Path(__file__).parents[2] / "configs" / "ablations").glob("*.py"))
PIECES = 8_192
TWO_CORES = 5e10  # FLOP/s that small models reach on them
MOST_MINUTES = 30  # of a cell


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_shipped_ablation_passes_every_check(path, corpus, tmp_path):
    recipe = load_config_file(path, AblationConfig)
    typed = [f"data.corpus={corpus}", "train.eval_rows=32"]
    if recipe.decides == WORDS:
        with pytest.raises(UserError, match=r"not measured: give probes\.tagged"):
            check(with_fields(recipe, typed))
        words = tmp_path / "words.conllu"
        words.write_text("1\triver\t_\tNOUN\t_\t_\t0\t_\t_\t_\n")
        typed += [f"probes.tagged={words}", f"probes.tagged_test={words}"]
    cfg = with_fields(recipe, typed)
    check(cfg)
    assert "Control:" in path.read_text() and cfg.question
    settings = {arm.name: arm.search[0] for arm in cfg.arms if arm.search}
    for arm, lines in differences(cfg, PIECES, settings).items():
        assert lines, arm
    for arm in cfg.arms:
        run = cell_config(cfg, Cell(arm.name, 0), PIECES, settings)
        by_flops = run.train.steps * flops_a_step(run) / TWO_CORES / 60
        minutes = run.train.minutes or by_flops
        assert 1 < minutes < MOST_MINUTES, (arm.name, run.train.steps, minutes)
