"""A soup as a run: a config that is whole, and a threshold of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_task import config, results, tokenizer

from bertjax.config import FinetuneConfig, LoraConfig
from bertjax.finetuning.member import Member
from bertjax.finetuning.saved import SavedRun, open_saved
from bertjax.fuse.ingredients import Ingredient, Pot, whole
from bertjax.fuse.soup_run import write_soup
from bertjax.tasks.span_candidates import SpanScores
from bertjax.tasks.task import Example


def saved(cfg: FinetuneConfig, path: Path = Path("/x/a")) -> SavedRun:
    """A run of one model, of which nothing is on disk."""
    model = {
        **{"name": "seed-0", "seed": 0, "fold": None, "null_threshold": -2.5, "best_epoch": 1},
        **{"epochs": 1, "steps": 3, "tokens": 9, "seconds_per_epoch": 1.0},
        **{"dev": {"best_f1": 0.5}, "history": []},
    }
    about = {
        **{"metric": "best_f1", "models": [model], "null_threshold": -2.5, "splits": {}, "cut": {}},
        "convention": {"selection": "", "start": "", "start_task": None},
    }
    run = SavedRun(path, cfg, tokenizer(), about)
    run.__dict__["parameters"] = lambda member: {"head": {"kernel": np.ones((2, 2), np.float32)}}
    return run


@pytest.mark.parametrize("lora", [LoraConfig(), LoraConfig(rank=4, alpha=2.0)], ids=["8", "4"])
def test_merged_updates_leave_nothing_of_lora_behind(lora):
    cfg = config(Path("x"), tune={"method": "lora"})
    run = saved(replace(cfg, lora=lora))
    found = whole(Ingredient("a/seed-0", run, Member(0, None, run.path))).cfg
    assert found.tune.method == "full" and found.lora == LoraConfig()


def test_a_soup_gives_no_answer_by_a_threshold_of_its_own(tmp_path):
    """It is tuned on the examples that chose the soup, whose scores are told by it."""
    shape = {"family": "span_qa", "no_answer": True, "max_query": 4}
    run = saved(config(Path("x"), task=shape))
    leads = [(-4.0, True), (-3.0, True), (-1.0, False), (2.0, False)]  # of no answer; has one
    examples = [
        Example(f"f:{i}", str(i), (f"q{i}", "a good house"), ((2, "good"),) if answered else ())
        for i, (_, answered) in enumerate(leads)
    ]
    good = {"text": "good", "start": 2, "end": 6, "logit": 0.0, "probability": 1.0}
    scores = [SpanScores(candidates=[good], null=lead) for lead, _ in leads]
    ingredients = [Ingredient(f"{name}/seed-0", run, run.members[0]) for name in "ab"]
    pot = Pot(ingredients, examples, {(0, 1): scores})
    write_soup(tmp_path, pot, (0, 1), {"method": "soup", "metric": "f1", "split": "new.json"}, [])
    soup = open_saved(tmp_path)
    assert -3 <= soup.null_threshold(soup.members) < -1
    assert soup.judge(soup.members).score(examples, scores)["f1"] == 1
    content = results(tmp_path)
    assert content["splits"]["dev"]["models"]["f1"]["values"] == [1]
    assert content["models"][0]["dev"]["f1"] == 1
    assert content["null_threshold"] == content["models"][0]["null_threshold"] != -2.5
