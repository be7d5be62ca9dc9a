"""A soup as a fine-tuned run of one model: what evaluates, predicts and exports needs no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bertjax.checkpoint import CheckpointStore
from bertjax.durable import write_json
from bertjax.finetuning import results
from bertjax.finetuning.member import Member, metric_values
from bertjax.finetuning.parameters import weight_counts
from bertjax.finetuning.same_run import WEIGHTS, examples_fingerprint, origin_of
from bertjax.finetuning.saved import SavedRun
from bertjax.finetuning.settle import task_shape
from bertjax.fuse.ingredients import Pot, whole
from bertjax.overrides import to_json
from bertjax.runs.directory import RunDirectory
from bertjax.tasks.families import task_of, tune_threshold
from bertjax.tasks.task import Scores


def write_soup(
    folder: Path,
    pot: Pot,
    chosen: Sequence[int],
    compared: Mapping[str, Any],
    command: Sequence[str],
) -> None:
    """Fill `folder` with the average of the `chosen` ingredients.

    The dev split in results.json is the examples that chose it, and on which its threshold of no
    answer is tuned; `compared` is there as `soup`.
    """
    first = pot.ingredients[chosen[0]]
    run = whole(first)
    run = replace(run, path=folder)
    directory, member = RunDirectory(folder), Member(first.member.seed, None, folder)
    directory.describe(to_json(run.cfg), command)
    run.tokenizer.save(directory.tokenizer, run.cfg.model.max_positions)
    params, scores = pot.params(chosen), pot.scores(tuple(chosen))
    threshold = _threshold(run, pot, scores)
    task = task_of(run.cfg, run.cfg.task.labels, **threshold)
    entry = _entry(pot, chosen, metric_values(task.score(pot.examples, scores)))
    store = CheckpointStore(member.best, keep=1)
    store.save(entry["steps"], {"params": params}, {"epoch": entry["best_epoch"]})
    store.wait()
    write_json(member.result, {name: x for name, x in entry.items() if name != "name"})
    names = [pot.ingredients[i].name for i in chosen]
    origin = origin_of(RunDirectory(first.run.path))
    write_json(
        directory.origin,
        {
            "source": origin.get("source", ""),
            "task": origin.get("task", ""),
            WEIGHTS: origin.get(WEIGHTS, ""),
            "train examples": origin.get("train examples", ""),
            "dev examples": origin.get("dev examples", ""),
            "examples that chose it": examples_fingerprint(pot.examples),
            "soup of": ", ".join(names),
        },
    )
    about = _results(run, params, entry | threshold, names, compared) | threshold
    split = results.scored(run.cfg.task, pot.examples, [(task, scores)], (task, scores))
    write_json(folder / "results.json", {**about, "splits": {"dev": split}})


def _threshold(run: SavedRun, pot: Pot, scores: Sequence[Scores]) -> dict[str, float]:
    """When a soup gives no answer, by `null_threshold`; {} where the task always has one."""
    if not run.cfg.task.no_answer:
        return {}
    return {"null_threshold": tune_threshold(run.task, pot.examples, scores)}


def _entry(pot: Pot, chosen: Sequence[int], dev: dict[str, float]) -> dict[str, Any]:
    """What results.json says of the model: the steps and tokens are those of all ingredients."""
    taken = [pot.ingredients[i] for i in chosen]
    entries = [
        next(e for e in each.run.results["models"] if e["name"] == each.member.name)
        for each in taken
    ]
    total = {name: sum(e[name] for e in entries) for name in ("steps", "tokens")}
    shown = {name: entries[0][name] for name in ("best_epoch", "epochs", "seconds_per_epoch")}
    seed = taken[0].member.seed
    model = {"name": f"seed-{seed}", "seed": seed, "fold": None}
    return model | shown | total | {"dev": dev, "history": []}


def _results(
    run: SavedRun,
    params: Any,
    entry: dict[str, Any],
    names: Sequence[str],
    compared: Mapping[str, Any],
) -> dict[str, Any]:
    """The content of results.json, but for the scores of its splits."""
    before = run.results
    said = f"{compared['method']} of {', '.join(names)}, chosen by {compared['metric']} on " + str(
        compared["split"]
    )
    return {
        **before,
        "convention": before["convention"] | {"selection": said},
        "method": run.cfg.tune.method,
        "weights": weight_counts(run.cfg, task_shape(run.cfg), params),
        "models": [entry],
        "soup": {"of": list(names), **compared},
    }
