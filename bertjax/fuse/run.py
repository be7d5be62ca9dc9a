"""Fuse models: learn how on held-out examples, compare every way, and store the one asked for.

fused/x/
  results.json, table.md   every way and every model on the held-out examples
  config.json              what was learned, and where the models lie (bertjax.fuse.stored); of a
                           soup all of a fine-tuned run, of one model (bertjax.fuse.soup_run)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertjax.durable import replace_file, staged, write_json
from bertjax.errors import UserError
from bertjax.finetuning.saved import SavedRun
from bertjax.fuse import ingredients, stored, ways
from bertjax.fuse.compare import compare, table
from bertjax.fuse.crossfit import WAYS
from bertjax.fuse.held_out import OUT_OF_FOLD, of_file, out_of_fold
from bertjax.fuse.ingredients import ingredients_of
from bertjax.fuse.soup_run import write_soup
from bertjax.fuse.trial import OF_WEIGHTS, SOUP_NEEDS_ROWS, Trial
from bertjax.fuse.voices import Fusion, Judged, Voice, voices_of
from bertjax.fuse.ways import LEARNED
from bertjax.tasks.conventions import conventions
from bertjax.tasks.task import Example, Task


@dataclass(frozen=True)
class Asked:
    """What the user wants."""

    method: str  # one of `bertjax.fuse.trial.METHODS`
    votes: int | None = None  # of vote, that an entity needs; None: more than half


def fuse(
    runs: Sequence[SavedRun],
    asked: Asked,
    out: Path,
    data: tuple[str, Sequence[Example]] | None = None,
    *,
    every: bool = False,
    command: Sequence[str] = (),
) -> dict[str, Any]:
    """Make `out`, which `bertjax.fuse.stored.open_fusion` reads; returns results.json's content.

    `data` is a file's name and its labelled examples; None: the training examples of runs of folds,
    each predicted by the models that were kept from it. With `every` all models of each run are
    taken, else its best one; of folds all.

    Raises:
        UserError: the models do not go together, are one, or were trained on all of the examples.
    """
    voices = voices_of(runs, every)
    if len(voices) < 2 and asked.method not in OF_WEIGHTS:
        raise UserError(
            f"{voices[0].name} is the only model: give two runs or more, or --every for all models "
            "of each"
        )
    task = voices[0].task
    votes = _check(asked, task, voices, data is not None)
    prints = stored.fingerprints(voices)
    held = of_file(*data, voices) if data else out_of_fold(voices)
    trial = Trial(voices, held, votes)
    said, why = trial.everything()
    content = _content(asked, trial, said, why)
    with staged(out) as folder:
        if asked.method in OF_WEIGHTS:
            chosen = trial.soup(asked.method)
            write_soup(folder, trial.pot, chosen, content, command)
        else:
            way = trial.way(asked.method)
            fusion = Fusion(tuple(voices), way, trial.threshold)
            learned_on = held.split if asked.method in LEARNED else None
            stored.write(folder, out, asked.method, fusion, prints, learned_on)
            write_json(folder / "results.json", content)
        replace_file(folder / "table.md", table(content).encode())
    return content


def _check(asked: Asked, task: Task, voices: Sequence[Voice], has_rows: bool) -> int:
    """How many votes an entity needs; UserError if the method cannot be had."""
    if asked.method in OF_WEIGHTS:
        reason = ingredients.why_not(ingredients_of(voices))
        reason = reason or ("" if has_rows else SOUP_NEEDS_ROWS)
    else:
        reason = ways.why_not(asked.method, task)
    if reason:
        raise UserError(f"--method {asked.method}: {reason}")
    if asked.votes is not None and asked.method != "vote":
        raise UserError(f"--votes {asked.votes} with --method {asked.method}: only vote counts any")
    return ways.check_votes(asked.votes, task, len(voices))


def _content(
    asked: Asked, trial: Trial, said: Sequence[Judged], why: dict[str, str]
) -> dict[str, Any]:
    """The content of results.json."""
    held, cfg = trial.held, trial.voices[0].run.cfg
    rows = compare(said, len(trial.voices), held.examples, trial.metric)
    best = next(row["name"] for row in rows if row["best_single"])
    many = f"{len(held.examples):,}"
    left: dict[str, list[str]] = {}
    for method, reason in why.items():
        left.setdefault(reason, []).append(method)
    says = [
        f"{many} training examples, each said by the models that were kept from it"
        if held.split == OUT_OF_FOLD
        else f"{many} examples of {held.split}, on none of which a model was trained"
        + ("" if held.surely else ", as far as is known"),
        f"weighted, stack and soup are learned on these, and scored here in {WAYS} parts, each by "
        "a fit to the others; what is stored is fitted to all",
        f"in brackets: the difference from {best}, the best single model here, and its 95 % "
        "interval (paired, jackknife over examples)",
        *held.notes,
        *(f"no {', '.join(methods)}: {reason}" for reason, methods in left.items()),
    ]
    return {
        "method": asked.method,
        "split": held.split,
        "examples": len(held.examples),
        "left_out": held.left_out,
        "metric": trial.metric,
        "conventions": conventions(cfg.task, trial.task.metrics),
        "rows": rows,
        "says": says,
    }
