"""The guide's commands, run as they stand on small models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from documented import GUIDES, commands, walk
from stand_ins import write_table
from tiny_task import WORDS, config, start

from bertjax.finetuning.run import finetune

pytestmark = pytest.mark.slow


def write_entities(name: str, rows: int) -> None:
    tagged = ("".join(f"{word} {tag}\n" for word, tag in row) for row in _rows(rows))
    Path(name).write_text("\n".join(tagged))


def _rows(count: int) -> Iterator[list[tuple[str, str]]]:
    for number in range(count):
        word, other = WORDS[number % 8], WORDS[number % 3]
        yield [(word, "O"), ("good", "B-X"), (other, "O")]


def test_what_the_guide_shows_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("train.tsv", "dev.tsv", "held-out.tsv", "test.tsv", "new.txt"):
        write_table(name)
    lines = Path("new.txt").read_text().splitlines()[1:]
    Path("new.txt").write_text("\n".join(line.split("\t")[0] for line in lines))
    for name in ("train.conll", "held-out.conll"):
        write_entities(name, 16)
    once = {"epochs": 1, "batch_size": 8}
    # A soup is of one beginning; what votes need not be, and one program trains the three.
    for seed, (name, rate) in enumerate((("a", 5e-3), ("b", 3e-3), ("c", 1e-3))):
        of = {"tune": once, "optim": {"learning_rate": rate}}
        finetune(config(Path("train.tsv"), Path("dev.tsv"), **of), Path(f"ft/{name}"), start())
        of = {"task": {"family": "tagging", "scheme": "IOB2"}, "tune": {**once, "seeds": (seed,)}}
        finetune(config(Path("train.conll"), **of), Path(f"ft/ner-{name}"), start())
    for name, seed in (("a", 0), ("b", 1)):
        folds = config(Path("train.tsv"), tune={**once, "folds": 2, "seeds": (seed,)})
        finetune(folds, Path(f"ft/folds-{name}"), start())
    walk(commands(GUIDES / "fusing.md"))
