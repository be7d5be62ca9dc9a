"""The report of a grid: report.md, scores.csv and report.html, from what is there."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from bertjax.ablate import charts
from bertjax.ablate.blocks import Block, Heading, Items, Picture, Rows, Text, to_html, to_markdown
from bertjax.ablate.check import differences
from bertjax.ablate.conclusions import Comparison, conclusions, unit
from bertjax.ablate.cost import costs
from bertjax.ablate.curves import evaluations
from bertjax.ablate.directory import GridDirectory
from bertjax.ablate.grid import Cell, searches
from bertjax.ablate.probes import WORDS
from bertjax.ablate.search import results, settings_found
from bertjax.ablate.table import Table, as_csv
from bertjax.config import AblationConfig
from bertjax.durable import replace_file
from bertjax.figures import can_draw
from bertjax.runs.directory import RunDirectory
from bertjax.terminal import count


def write_report(grid: GridDirectory, table: Table) -> Iterator[str]:
    """Write all three files; yields the lines to be said."""
    title = table.cfg.question or f"Ablation {grid.path.name}"
    blocks = list(_blocks(grid, table))
    replace_file(grid.path / "scores.csv", as_csv(table).encode())
    replace_file(grid.path / "report.md", to_markdown(title, blocks).encode())
    replace_file(grid.path / "report.html", to_html(title, blocks).encode())
    if table.scores:
        yield from (found.says for found in conclusions(table, table.cfg.decides))
    for cell, reason in table.left_out.items():
        yield f"left out: {cell}: {reason}"
    if table.missing:
        yield f"not ended: {len(table.missing)} of the cells, {table.missing[0]} the first"
    yield f"report  {grid.path / 'report.html'}, report.md and scores.csv beside it"


def _blocks(grid: GridDirectory, table: Table) -> Iterator[Block]:
    yield from _head(table, grid.read_looks())
    if table.scores:
        for probe in table.probes:
            yield from _probe(table, probe)
    material = grid.read_material()
    settings = settings_found(table.cfg, grid)
    # A search that has not ended: the first setting stands for those that are tried.
    settings = {arm.name: arm.search[0] for arm in table.cfg.arms if arm.search} | settings
    yield from _what_differed(grid, table, int(material["vocabulary"]), settings)
    yield from _curves(grid, table)
    yield from _groups(table)
    yield from costs(table, int(material["vocabulary"]), settings)
    yield from _left_out(table)
    yield from _made_of(grid, table, material)


def _head(table: Table, looks: Sequence[int]) -> Iterator[Block]:
    cfg = table.cfg
    yield Text(
        f"{len(cfg.arms)} arms, {cfg.seeds} seeds, {_budget(cfg)} for each cell. Fixed before the "
        f"first step: {cfg.decides} decides, at 5 % after Holm's correction over "
        f"all comparisons, {len(cfg.comparisons)}; the control is {cfg.control}."
    )
    if looks:
        yield Text(
            f"Seeds were raised, from {', then '.join(map(str, looks))}: who does so after a look "
            f"at the results has {len(looks) + 1} chances of a false claim, each of 5 %."
        )
    if not table.scores:
        yield Text("No cell is fit to be compared yet.")
        return
    yield Items([found.says for found in conclusions(table, cfg.decides)])
    if any(item.startswith("replaced_tokens.") for arm in cfg.arms for item in arm.overrides):
        yield Text(
            "Of an arm that detects replaced tokens, its generator is what is asked what stands at "
            f"a mask or how likely a text is; {WORDS} and fine-tuning take the detector."
        )


def _budget(cfg: AblationConfig) -> str:
    budget = cfg.budget
    if budget.minutes:
        return f"{budget.minutes:g} minutes by the clock, compiling included,"
    if budget.tokens:
        return f"{count(budget.tokens)} places for tokens"
    return f"{budget.flops:.3g} FLOPs"


def _probe(table: Table, probe: str) -> Iterator[Block]:
    decides = probe == table.cfg.decides
    yield Heading(f"{probe}, which decides" if decides else probe)
    found = conclusions(table, probe)
    if not decides:
        yield Text(
            "Told beside the probe that decides: intervals are not corrected, and claim nothing."
        )
        yield Items([comparison.says for comparison in found])
    yield from _forest(table, probe, found)
    rows = []
    for arm in table.cfg.arms:
        values = table.headlines(arm.name, probe)
        spread = f"{values.std(ddof=1):.4f}" if len(values) > 1 else ""
        each = ", ".join(f"{value:.4f}" for value in values)
        mean = f"{values.mean():.4f}" if len(values) else "no fit cell"
        rows.append([arm.name, mean, spread, each])
    yield Rows(["arm", f"mean, {unit(table, probe)}", "deviation", "each seed"], rows)
    if (ratio := _signal_to_noise(table, probe)) is not None:
        yield Text(
            f"The means of the arms span {ratio:.1f} deviations of a seed"
            + (": this probe says little here." if ratio < 1 else ".")
        )


def _signal_to_noise(table: Table, probe: str) -> float | None:
    """The range of the arms' means in deviations of a seed; None without two of two arms."""
    of_arms = [table.headlines(arm.name, probe) for arm in table.cfg.arms]
    known = [values for values in of_arms if len(values) > 1]
    if len(known) < 2:
        return None
    noise = math.sqrt(float(np.mean([values.var(ddof=1) for values in known])))
    return float(np.ptp([values.mean() for values in known])) / noise if noise else None


def _forest(table: Table, probe: str, found: list[Comparison]) -> Iterator[Block]:
    known = [(c, c.interval) for c in found if c.interval is not None]
    if not known or not can_draw():
        return
    rows = [
        charts.Difference(
            f"{c.arm} − {c.other}", interval.difference, interval.low, interval.high, c.claimed
        )
        for c, interval in known
    ]
    yield Picture(
        charts.forest(rows, f"difference, {unit(table, probe)}"),
        "Differences with their 95 % intervals; filled where a claim is made.",
    )


def _what_differed(
    grid: GridDirectory, table: Table, vocab_size: int, settings: Mapping[str, str]
) -> Iterator[Block]:
    yield Heading("What differed")
    of_arms = differences(table.cfg, vocab_size, settings)
    yield Items(
        [
            f"{arm} against {other}: {'; '.join(of_arms[arm])}"
            for arm, other in table.cfg.comparisons
        ]
    )
    yield from _search(grid, table)


def _search(grid: GridDirectory, table: Table) -> Iterator[Block]:
    found, taken = results(table.cfg, grid), settings_found(table.cfg, grid)
    if not found:
        return
    yield Text(
        f"Searched before, by {table.cfg.decides} of one seed that is not among those compared; "
        "the best setting of each arm is taken once all of them have ended."
    )
    rows = []
    for cell in searches(table.cfg):
        setting = table.cfg.arm(cell.arm).search[cell.setting]
        scores = found[cell.arm][setting]
        ended = "unfit" if grid.read_outcome(cell) else "not ended"
        value = ended if scores is None else f"{scores.headline:.4f}"
        rows.append([cell.arm, setting, value, "taken" if setting == taken.get(cell.arm) else ""])
    yield Rows(["arm", "setting", table.cfg.decides, ""], rows)


def _curves(grid: GridDirectory, table: Table) -> Iterator[Block]:
    series = {}
    for arm in table.cfg.arms:
        found = [evaluations(grid.run(Cell(arm.name, seed))) for seed in table.seeds(arm.name)]
        # By share of the budget: runs by the clock have other numbers of steps.
        if shares := [(steps / steps[-1], losses) for steps, losses in found if len(steps)]:
            series[arm.name] = shares
    if series and can_draw():
        yield Heading("Curves")
        yield Picture(
            charts.curves(series, "share of the budget", "held-out loss, nats a piece"),
            "Mean and range over seeds of what each run logged, on rows of its own format: arms "
            "whose rows differ do not compare here.",
        )


def _groups(table: Table) -> Iterator[Block]:
    """Means over seeds of each group of examples of the probes that have groups."""
    arms = [arm.name for arm in table.cfg.arms if table.seeds(arm.name)]
    for probe in table.probes:
        first = next(iter(table.scores.values()))[probe]
        if len(set(first.groups)) < 2:
            continue
        of_arms = [
            [table.scores[Cell(arm, seed)][probe].by_group() for seed in table.seeds(arm)]
            for arm in arms
        ]
        yield Heading(f"{probe} by group")
        yield Rows(
            ["group", *arms],
            [
                [group, *(f"{np.mean([seed[group] for seed in seeds]):.3f}" for seeds in of_arms)]
                for group in first.by_group()
            ],
        )


def _left_out(table: Table) -> Iterator[Block]:
    yield Heading("Left out")
    lines = [f"{cell}: {reason}" for cell, reason in table.left_out.items()]
    lines += [f"{cell}: has not ended" for cell in table.missing]
    yield Items(lines or ["Nothing: every cell is fit and was compared."])


def _made_of(grid: GridDirectory, table: Table, material: Mapping[str, str]) -> Iterator[Block]:
    yield Heading("Made of")
    lines = [f"{name}: {value}" for name, value in material.items()]
    for cell in table.outcomes:
        about = RunDirectory(grid.run(cell)).read_environment()
        if about is not None:
            packages = ", ".join(f"{k} {v}" for k, v in about["packages"].items())
            devices = ", ".join(f"{n} × {kind}" for kind, n in about["devices"].items())
            lines.append(f"bertjax {about['bertjax']}, Python {about['python']}, {packages}")
            lines.append(f"{devices}, {about['system']}")
            break
    lines.append("config.json of this directory is the whole ablation; cells/ has its runs")
    if not can_draw():
        lines.append("no pictures: pip install 'bertjax[plots]' and --report draws them")
    yield Items(lines)
