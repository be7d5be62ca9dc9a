"""The guide's commands, run as they stand on a small model and a few sentences."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from documented import (
    FEW_STEPS,
    GUIDES,
    ONE_EPOCH,
    SMALL_MODEL,
    SMALL_PHASE,
    commands,
    walk,
)

from bertjax.cli.main import main

pytestmark = pytest.mark.slow

SENTENCES = [
    "北京是中国的首都。",
    "今天的天气很好，我们去公园散步。",
    "他在图书馆里看书。",
    "这家酒店的服务很差！",
    "你喜欢喝茶还是咖啡？",
    "上海的冬天不太冷。",
]


def write_questions(name: str) -> None:
    answer = {"text": "北京", "answer_start": 0}
    question = {"id": "1", "question": "中国的首都是哪里？", "answers": [answer] * 3}
    paragraph = {"context": SENTENCES[0], "qas": [question]}
    Path(name).write_text(json.dumps({"data": [{"title": "", "paragraphs": [paragraph] * 8}]}))


def write_entities(name: str) -> None:
    row = {"text": SENTENCES[0], "label": {"address": {"北京": [[0, 1]]}}}
    Path(name).write_text("".join(json.dumps(row) + "\n" for _ in range(16)))


def write_tagged(name: str) -> None:
    """A character and its tag a line."""
    tags = {0: "B-LOC", 1: "I-LOC"}
    lines = [f"{character}\t{tags.get(i, 'O')}" for i, character in enumerate(SENTENCES[0])]
    Path(name).write_text("\n".join([*lines, "", *lines[::-1][:-2], "", ""]) * 8)


def test_what_the_guide_shows_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("zh", "notes"):
        Path(name).mkdir()
    documents = ("\n".join(SENTENCES[i % 6 :] + SENTENCES[: i % 5]) for i in range(60))
    Path("zh/a.txt").write_text("\n\n".join(documents))
    shutil.copy("zh/a.txt", "notes/a.txt")
    lines = "".join(f"{text}\t{i % 2}\n" for i, text in enumerate(SENTENCES * 3))
    for name in ("train.tsv", "dev.tsv"):
        Path(name).write_text(lines)
    for name in ("train.bio", "dev.bio"):
        write_tagged(name)
    few = {
        "prepare": ["--workers", "1"],
        "pretrain": [*SMALL_MODEL, SMALL_PHASE, *FEW_STEPS, "train.minutes=0"],
        "adapt": ["--workers", "1", *FEW_STEPS],
        "finetune": [*ONE_EPOCH, "data.max_length=32"],
    }
    questions = [*few["finetune"], "task.max_query=12", "data.window_step=12"]
    for command in commands(GUIDES / "chinese.md"):
        if " adapt " in command:  # of a published model, whose place an export takes
            assert main(["export", "runs/zh", "--out", "hf/zh"]) == 0
        (write_questions if "cmrc" in command else write_entities)("train.json")
        shutil.copy("train.json", "dev.json")
        walk([command], {**few, "finetune": questions} if "cmrc" in command else few)
