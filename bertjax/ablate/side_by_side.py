"""Any pretraining runs beside one another: in what they differ, and how their losses went."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bertjax.ablate import charts
from bertjax.ablate.blocks import Block, Heading, Items, Picture, Rows, Text
from bertjax.ablate.curves import evaluations
from bertjax.ablate.differences import real_differences
from bertjax.ablate.evaluated_rows import other_rows
from bertjax.checkpoint import CheckpointStore
from bertjax.config import PretrainConfig
from bertjax.errors import UserError
from bertjax.figures import can_draw
from bertjax.pretrained import run_config
from bertjax.review.reference import reference_of
from bertjax.review.review import Review, load_review
from bertjax.runs.directory import RunDirectory
from bertjax.runs.kinds import Kind, require_kind
from bertjax.terminal import count
from bertjax.tree import flatten


def side_by_side(runs: Sequence[Path]) -> list[Block]:
    """Blocks that compare runs.

    Raises:
        UserError: one is no run of `bertjax pretrain`, or two have one name.
    """
    for run in runs:
        require_kind("RUN", run, Kind.PRETRAINING)
    names = _names(runs)
    configs = dict(zip(names, map(run_config, runs), strict=True))
    places = dict(zip(names, runs, strict=True))
    reviews = {name: load_review(RunDirectory(run).review) for name, run in places.items()}
    ended = {name: found for name, found in reviews.items() if found is not None}
    metas = {name: _meta(run) for name, run in places.items()}
    return [
        *_differences(configs, places, metas),
        *_curves(configs, places, metas, ended),
        *_normal(ended),
    ]


def _meta(run: Path) -> Mapping[str, Any]:
    """What the newest checkpoint of a run says of it; nothing where there is none."""
    return CheckpointStore(RunDirectory(run.absolute()).checkpoints, keep=1).read_meta() or {}


def _names(runs: Sequence[Path]) -> list[str]:
    """The paths without the folders that all of them have in common."""
    whole = [run.resolve() for run in runs]
    if len(set(whole)) < len(whole):
        raise UserError(f"{runs[0]} and others: a run is named twice: name each once")
    above = Path(os.path.commonpath([run.parent for run in whole]))
    return [run.relative_to(above).as_posix() for run in whole]


def _differences(
    configs: Mapping[str, PretrainConfig],
    places: Mapping[str, Path],
    metas: Mapping[str, Mapping[str, Any]],
) -> Iterator[Block]:
    first, *others = configs.values()
    differ = dict.fromkeys(
        line.partition(":")[0] for other in others for line in real_differences(first, other)
    )
    leaves = [_leaves(cfg) for cfg in configs.values()]
    rows = [[name, *(_shown(of_run.get(name)) for of_run in leaves)] for name in differ]
    beside = [_beside(run, metas[name]) for name, run in places.items()]
    rows += [
        [name, *(facts.get(name, "") for facts in beside)]
        for name in beside[0]
        if len({facts.get(name) for facts in beside}) > 1
    ]
    yield Heading("In what they differ")
    yield Rows(["", *configs], rows) if rows else Text("In nothing that is computed.")


def _leaves(cfg: PretrainConfig) -> dict[str, Any]:
    found = flatten(dataclasses.asdict(cfg))
    return {name.replace("/", "."): value for name, value in found.items()}


def _shown(value: Any) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False).strip('"')


def _beside(run: Path, meta: Mapping[str, Any]) -> dict[str, str]:
    """What else two runs may differ in: corpus, tokenizer, versions, tokens seen."""
    facts = {
        # Of several corpora each has a hash.
        name: ",".join(one[:12] for one in meta.get(name, "").split(","))
        for name in ("corpus", "tokenizer")
    }
    facts["tokens seen"] = count(meta["tokens"]) if meta else ""
    if about := RunDirectory(run.absolute()).read_environment():
        facts |= {"bertjax": about["bertjax"], "jax": about["packages"].get("jax", "")}
    return facts


def _curves(
    configs: Mapping[str, PretrainConfig],
    places: Mapping[str, Path],
    metas: Mapping[str, Mapping[str, Any]],
    reviews: Mapping[str, Review],
) -> Iterator[Block]:
    curves = {name: evaluations(run) for name, run in places.items()}
    known = {name: curve for name, curve in curves.items() if len(curve[0])}
    yield Heading("Held-out loss, nats a piece")
    if not known:
        yield Text("No run has been evaluated yet.")
        return
    corpora = {name: meta.get("corpus", "") for name, meta in metas.items()}
    if others := other_rows(configs, corpora):
        yield Text(f"The runs differ in {', '.join(others)}: these losses are of different rows.")
    steps = sorted({int(step) for places_, _ in known.values() for step in places_})
    at = {name: dict(zip(*curve, strict=True)) for name, curve in curves.items()}
    rows = []
    for step in steps:
        losses = (f"{of_run[step]:.4f}" if step in of_run else "" for of_run in at.values())
        rows.append([f"step {step:,}", *losses])
    best = [f"{np.min(curve[1]):.4f}" if len(curve[1]) else "" for curve in curves.values()]
    levels = _levels(reviews)
    yield Rows(
        ["", *configs],
        [
            *rows,
            ["lowest", *best],
            *([level, *(of.get(name, "") for name in configs)] for level, of in levels.items()),
        ],
    )
    if can_draw():
        series = {name: [curve] for name, curve in known.items()} | _reference(configs, reviews)
        lines = {level: float(next(iter(of.values()))) for level, of in levels.items()}
        yield Picture(
            charts.curves(series, "step", "held-out loss, nats a piece", lines),
            "As they went, and what knows no context, or the piece before alone.",
        )


def _reference(
    configs: Mapping[str, PretrainConfig], reviews: Mapping[str, Review]
) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    """Runs of the shipped recipe that the runs are of, where there is one, by steps like theirs."""
    for name, found in reviews.items():
        if (one := reference_of(configs[name])) is not None:
            curves = one.curves(found.unigram_entropy, found.tokens / found.step)
            return {f"recipe {one.recipe}, {len(one.seeds)} seeds": curves}
    return {}


def _levels(reviews: Mapping[str, Review]) -> dict[str, dict[str, str]]:
    """What is lost on the held-out rows of each run without learning: level -> run -> nats."""
    unigrams = {name: f"{found.unigram_entropy:.4f}" for name, found in reviews.items()}
    bigrams = {
        name: f"{found.bigram_loss:.4f}"
        for name, found in reviews.items()
        if found.bigram_loss is not None
    }
    found = {"unigram entropy": unigrams, "bigram model": bigrams}
    return {level: of for level, of in found.items() if of}


def _normal(reviews: Mapping[str, Review]) -> Iterator[Block]:
    """What was said of each run at its end."""
    if reviews:
        yield Heading("Is the loss normal?")
        yield Items([f"{name}: {line}" for name, of in reviews.items() for line in of.lines()])
