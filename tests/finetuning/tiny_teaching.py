"""Runs of a tiny encoder that learn from rows without labels."""

from __future__ import annotations

from tiny_task import config, start

from bertjax.finetuning.material import Material
from bertjax.finetuning.settle import settle
from bertjax.finetuning.splits import open_splits


def settings(files, **transfer):
    taught = {"method": "self_training", "threshold": 0.6, "rounds": 2} | transfer
    return config(
        files / "train.tsv",
        files / "dev.tsv",
        data={"unlabelled": str(files / "more.txt")},
        tune={"epochs": 3, "batch_size": 8},
        **({"transfer": taught} if taught["method"] != "none" else {}),
    )


def material_of(cfg):
    splits = open_splits(cfg)
    cfg = settle(cfg, splits)
    return Material(cfg, splits, start().tokenizer, 1)
