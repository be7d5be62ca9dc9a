"""Fine-tuning as a probe: how often a cell's model, trained on a task, is right on its dev set."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bertjax.config import FinetuneConfig, TransferConfig
from bertjax.errors import UserError
from bertjax.finetuning.material import Start
from bertjax.finetuning.run import finetune
from bertjax.finetuning.settle import adopt_encoder
from bertjax.finetuning.splits import open_splits
from bertjax.overrides import apply_overrides, to_json
from bertjax.pretrained import Pretrained
from bertjax.probe.scores import Scores
from bertjax.recipes.shipped import load_recipe
from bertjax.tasks.task import Example
from bertjax.text.stored import text_lines

_FAMILIES = ("classification", "multiple_choice")  # whose examples are right or wrong


@dataclass(frozen=True, eq=False)
class FineTuned:
    """A task, and the seeds of its fine-tuning, which are the config's `tune.seeds`."""

    name: str
    cfg: FinetuneConfig
    examples: Sequence[Sequence[Example]]  # of training and of dev, and unlabelled ones

    left_out, takes_detector = 0, True

    @staticmethod
    def name_of(typed: str) -> str:
        """`my_task` for `tasks/my_task.py tune.seeds=0,1`."""
        return Path(typed.split()[0]).stem

    @classmethod
    def read(cls, typed: str) -> FineTuned:
        """`typed` is a recipe of fine-tuning and fields of it, with spaces between.

        Raises:
            UserError: a config, a field or data that cannot be used; a task whose examples are not
                simply right or wrong, or that has folds.
        """
        recipe, *fields = typed.split()
        cfg = apply_overrides(load_recipe(recipe, FinetuneConfig, "probes.finetune"), fields)
        if cfg.task.family not in _FAMILIES or cfg.tune.folds:
            raise UserError(
                f"probes.finetune={recipe} has task.family={cfg.task.family} and "
                f"tune.folds={cfg.tune.folds}: use a task of {' or '.join(_FAMILIES)} without folds"
            )
        splits = open_splits(cfg)
        parts = (splits.train, splits.dev, splits.unlabelled)
        return cls(cls.name_of(typed), cfg, tuple(part for part in parts if part))

    def material(self) -> Any:
        """How it is trained, and the examples; where these lie may change."""
        texts = repr([[(e.texts, e.label) for e in split] for split in self.examples])
        cfg = json.loads(to_json(self.cfg))
        places = ("train", "dev", "test", "unlabelled")
        cfg["data"] = {k: v for k, v in cfg["data"].items() if k not in places}
        if self.cfg.transfer == TransferConfig():  # which grids of before do not know
            del cfg["transfer"]
        return [cfg, hashlib.sha256(texts.encode()).hexdigest()]

    def measure(self, found: Pretrained) -> Scores:
        """The share of the seeds whose model is right, of each dev example."""
        assert found.tokenizer is not None, "a run has a tokenizer"
        own = replace(self.cfg, **adopt_encoder(self.cfg, found.cfg))
        start = Start(found.source, found.params, found.tokenizer)
        right = []
        for seed in own.tune.seeds:
            with tempfile.TemporaryDirectory() as place:
                run = replace(own, tune=replace(own.tune, seeds=(seed,)))
                finetune(run, place, start)
                lines = text_lines((Path(place) / "dev.jsonl").read_text(encoding="utf-8"))
            rows = [json.loads(line) for line in lines]
            right.append([row["prediction"] == row["label"] for row in rows])
        seeds = f"mean of {len(right)} seeds" if len(right) > 1 else "one seed"
        return Scores(self.name, np.mean(right, axis=0), f"of the dev examples, {seeds}", "high")
