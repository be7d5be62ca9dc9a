"""Runs of several models: seeds, folds, and what their ensemble says."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import numpy as np
import pytest
import tiny_task
from tiny_task import config, results, start

from bertjax.errors import UserError
from bertjax.finetuning.member import Training
from bertjax.finetuning.run import finetune
from bertjax.finetuning.saved import open_saved
from bertjax.fuse.voices import at_once
from bertjax.tasks.families import read_examples


@pytest.mark.slow
def test_seeds_give_mean_noise_and_an_ensemble(tables, tmp_path):
    cfg = config(*tables, tune={"seeds": (1, 2, 3), "epochs": 1})
    assert finetune(cfg, tmp_path / "run", start()).stopped is None
    dev = results(tmp_path / "run")["splits"]["dev"]
    values = dev["models"]["accuracy"]["values"]
    assert len(values) == 3
    assert dev["models"]["accuracy"]["mean"] == pytest.approx(np.mean(values))
    assert dev["models"]["accuracy"]["sd"] == pytest.approx(np.std(values, ddof=1))
    saved = open_saved(tmp_path / "run")
    examples, _ = read_examples(str(tables[1]), cfg)
    named, together = at_once([saved], [], every=True).judge(examples)
    assert [model.name for model in named] == ["run/seed-1", "run/seed-2", "run/seed-3"]
    np.testing.assert_allclose(together.scores, np.mean([m.scores for m in named], axis=0))
    assert saved.task.score(examples, together.scores)["accuracy"] == dev["ensemble"]["accuracy"]
    two = at_once([saved, saved], [3, 1], every=False).judge(examples)[1]
    (best,) = (m.scores for m in named if m.name == f"run/{saved.best.name}")
    np.testing.assert_allclose(two.scores, best)


@pytest.mark.slow
def test_folds_predict_each_example_by_the_model_that_did_not_see_it(tables, tmp_path, monkeypatch):
    seen = []
    original = Training.__init__

    def watch(self, cfg, task, member, train, dev, *rest):
        seen.append(({e.place for e in train.examples}, {e.place for e in dev.examples}))
        original(self, cfg, task, member, train, dev, *rest)

    monkeypatch.setattr(Training, "__init__", watch)
    cfg = config(tables[0], tune={"folds": 3, "epochs": 1})
    assert finetune(cfg, tmp_path / "run", start()).stopped is None
    assert len(seen) == 3 and all(not train & held for train, held in seen)
    places = set().union(*(held for _, held in seen))
    assert len(places) == 192 == sum(len(held) for _, held in seen)
    content = results(tmp_path / "run")
    assert set(content["splits"]) == {"out_of_fold"}
    saved = open_saved(tmp_path / "run")
    with pytest.raises(UserError, match=r"3 folds, .* none is the best: name one, as in `bertjax"):
        saved.best  # noqa: B018
    few = read_examples(str(tables[1]), cfg)[0][:4]
    (_, *others), together = at_once([saved], [], every=False).judge(few)
    assert len(others) == 2 and np.allclose(
        together.scores, np.mean(saved.scores(saved.members, few), axis=0)
    )
    lines = (tmp_path / "run" / "out_of_fold.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    examples = read_examples(str(tables[0]), cfg)[0]
    assert [(row["id"], row["text"], row["label"]) for row in rows] == [
        (e.id, *e.texts, e.label) for e in examples
    ]
    held = {place: f"seed-0-fold-{i}" for i, (_, dev) in enumerate(seen) for place in dev}
    assert [row["models"] for row in rows] == [[held[e.place]] for e in examples]


def test_more_folds_than_examples_are_refused_before_anything_is_made(tables, tmp_path):
    with pytest.raises(UserError, match="use at most 192"):
        finetune(config(tables[0], tune={"folds": 193}), tmp_path / "run", start())
    assert not (tmp_path / "run").exists()


def questions(path, count, seed):
    """SQuAD 2.0: which word follows another one in a context, or none where it is not there."""
    draw, paragraphs = random.Random(seed), []
    for i in range(count):
        words = draw.sample(tiny_task.WORDS, 6)
        asked, context = draw.choice(words[:5]), " ".join(words)
        answer = words[words.index(asked) + 1]
        impossible = draw.random() < 0.4
        if impossible:
            asked = draw.choice([w for w in tiny_task.WORDS if w not in words])
        answers = [] if impossible else [{"text": answer, "answer_start": context.index(answer)}]
        qa = {"id": f"q{i}", "question": asked, "answers": answers, "is_impossible": impossible}
        paragraphs.append({"context": context, "qas": [qa]})
    path.write_text(json.dumps({"version": "v2.0", "data": [{"paragraphs": paragraphs}]}))
    return path


@pytest.mark.slow
def test_no_answer_has_a_threshold_of_each_model_and_one_of_all(tmp_path):
    train, dev = questions(tmp_path / "train.json", 96, 0), questions(tmp_path / "dev.json", 48, 1)
    cfg = config(
        train,
        dev,
        task={"family": "span_qa", "no_answer": True, "max_query": 4},
        data={"layout": "squad"},
        tune={"seeds": (0, 1), "epochs": 2},
    )
    assert finetune(cfg, tmp_path / "run", start()).stopped is None
    content = results(tmp_path / "run")
    assert content["metric"] == "best_f1"
    each = [entry["dev"]["best_f1"] for entry in content["models"]]
    assert content["splits"]["dev"]["models"]["f1"]["values"] == pytest.approx(each)
    saved = open_saved(tmp_path / "run")
    examples, _ = read_examples(str(dev), cfg)
    named, together = at_once([saved], [], every=True).judge(examples)
    for (_, task, scores), f1 in zip(named, each, strict=True):
        assert task.score(examples, scores)["f1"] == pytest.approx(f1)
    f1 = together.task.score(examples, together.scores)["f1"]
    assert f1 == pytest.approx(content["splits"]["dev"]["ensemble"]["f1"])
    other = replace(saved, cfg=replace(cfg, task=replace(cfg.task, no_answer=False)))
    with pytest.raises(UserError, match=r"task\.no_answer is False in .* and True in"):
        at_once([saved, other], [], every=False)
