"""Taggers whose models label words for one another: what is taken in, and what has no tag."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_task import config, start

from bertjax.finetuning import lessons
from bertjax.finetuning.material import Material
from bertjax.finetuning.run import finetune
from bertjax.finetuning.settle import settle
from bertjax.finetuning.splits import open_splits


def tagged(path: Path, sentences: int, seed: int) -> Path:
    """Words and tags: `good` is an entity, and so is `bad river`."""
    draw = np.random.default_rng(seed)
    blocks = []
    for _ in range(sentences):
        lines = []
        for _ in range(draw.integers(2, 6)):
            kind = draw.integers(4)
            lines += [["river O"], ["good B-x"], ["bad B-y", "river I-y"], ["city O"]][kind]
        blocks.append("\n".join([*lines, ""]))
    path.write_text("\n".join(blocks))
    return path


def tagger(folder, **head):
    for name, count, seed in (("train", 40, 0), ("dev", 12, 1), ("more", 40, 2)):
        tagged(folder / f"{name}.conll", count, seed)
    return config(
        folder / "train.conll",
        folder / "dev.conll",
        data={
            "unlabelled": str(folder / "more.conll"),
            "text": "1",
            "label": "2",
            "skip_bad_rows": True,  # sentences of dev
        },
        task={"family": "tagging", "scheme": "IOB2"},
        tune={"epochs": 2},
        transfer={"method": "self_training", "threshold": 0.5},
        head=head,
    )


@pytest.mark.slow
@pytest.mark.parametrize("crf", [False, True])
def test_a_tagger_takes_in_words(tmp_path, crf):
    cfg = tagger(tmp_path, crf=crf)
    assert finetune(cfg, tmp_path / "run", start()).stopped is None
    (model,) = json.loads((tmp_path / "run" / "results.json").read_text())["models"]
    round_ = tmp_path / "run" / "seed-0" / "round-1"
    lines = [json.loads(x) for x in (round_ / "pseudo_labels.jsonl").read_text().splitlines()]
    about = model["rounds"][1]
    assert about["taken"] == len(lines) > 0
    examples = open_splits(cfg).unlabelled
    taken = {label: 0 for label in about["classes"]}
    for line in lines:
        assert len(line["label"]) == len(examples[line["row"]].texts)
        for tag, sure in zip(line["label"], line["confidence"], strict=True):
            assert (tag is None) == (sure is None)
            if tag is not None:
                assert sure >= 0.5
                taken[tag] += 1
    assert taken == {label: entry["taken"] for label, entry in about["classes"].items()}
    said = sum(entry["said"] for entry in about["classes"].values())
    assert said == sum(len(e.texts) for e in examples)


def test_words_that_were_cut_off_or_not_sure_have_no_tag(tmp_path):
    cfg = tagger(tmp_path)
    cfg = replace(cfg, data=replace(cfg.data, max_length=8))  # six pieces of a sentence
    splits = open_splits(cfg)
    cfg = settle(cfg, splits)
    material = Material(cfg, splits, start().tokenizer.for_words(), 1)
    train, pool = material.encoded["train"], material.encoded["unlabelled"]
    outside, good = (material.task.labels.index(tag) for tag in ("O", "B-x"))
    outputs = []
    for words, _ in pool.rows.details:
        said = np.full((len(words), len(material.task.labels)), 0.02)
        said[:, outside] = 0.9
        said[0] = np.where(np.arange(said.shape[1]) == good, 0.45, 0.1)  # below the threshold
        outputs.append({"probabilities": said})
    scores = material.task.merge(pool.rows, outputs)
    lesson = lessons.prepare(material, train, scores, {}, {})
    kept = sum(len(words) for words, _ in pool.rows.details)
    cut = sum(total - len(words) for words, total in pool.rows.details)
    assert cut > 0 and lesson.about["classes"]["O"]["taken"] == kept - len(pool.examples)
    assert lesson.about["classes"]["B-x"]["said"] == len(pool.examples)
    assert all(line["label"][0] is None and line["label"][1] == "O" for line in lesson.lines)
    found = lessons.taught(material, train, lesson)
    tags = found.rows.ragged["tags"][len(train.rows.tokens)]
    assert tags[0] == -1 and set(tags[1:].tolist()) == {outside}
