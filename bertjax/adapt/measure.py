"""What a model makes of the held-out text of both domains, and of minimal pairs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jax

from bertjax import model, written
from bertjax.config import ModelConfig, PretrainConfig
from bertjax.probe.minimal_pairs import pair_likelihoods, pair_scores, read_pairs
from bertjax.text.tokenizer import Tokenizer
from bertjax.train.data import open_data
from bertjax.train.devices import make_mesh, memory_errors
from bertjax.train.phase import make_phases
from bertjax.train.state import state_shardings

NATS, BITS = "nats a piece", "bits a byte"


@dataclass(frozen=True)
class Measured:
    """One model, before or after.

    `held_out` has for each corpus by name the loss in nats a piece and, where a byte has as many
    pieces as the manifest says, in bits a byte, which compare across tokenizers. `pairs` is the
    share of minimal pairs of which the acceptable sentence is likelier; None without pairs.
    """

    held_out: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    pairs: float | None = None


FORM = {"held_out": {str: {str: written.NUMBER}}, "pairs": written.NULLABLE}  # as JSON


def held_out(cfg: PretrainConfig, params: model.Params) -> dict[str, dict[str, float]]:
    """`Measured.held_out` of the weights with which the run `cfg` begins.

    Raises:
        UserError: a corpus is damaged, or the devices do not have the memory.
    """
    cfg, data = open_data(cfg)
    mesh = make_mesh(cfg)
    with jax.set_mesh(mesh), memory_errors(cfg):
        work = make_phases(cfg, data, mesh)(0)
        results = work.evaluate(jax.device_put(params, state_shardings(cfg, mesh).params))
    return by_corpus(cfg, results, work.objective.selects)


def by_corpus(
    cfg: PretrainConfig, results: Mapping[str, float], loss: str
) -> dict[str, dict[str, float]]:
    """`Measured.held_out` of what an evaluation of the run gave; `loss` is that of the objective.

    Of one corpus the metrics have plain names, of several each has its corpus's before it.
    """
    found = {}
    for name in cfg.data.names:
        before = f"{name}/" if len(cfg.data.names) > 1 else ""
        named = {NATS: f"{before}{loss}", BITS: f"{before}bits_per_byte"}
        found[name] = {unit: results[key] for unit, key in named.items() if key in results}
    return found


def pairs_accuracy(
    path: str, cfg: ModelConfig, params: model.Params, tokenizer: Tokenizer
) -> float | None:
    """`Measured.pairs`; None where no file is named."""
    if not path:
        return None
    pairs = read_pairs(path)
    good, bad = pair_likelihoods(cfg, params, tokenizer, pairs)
    return pair_scores("pairs", pairs, good, bad).headline


def table(before: Measured, after: Measured, same_pieces: bool) -> list[str]:
    """Lines for a person: what each number was and is.

    Nats a piece of other pieces do not compare, so their difference is left out.
    """
    lines = [f"{'held-out loss':<28}{'before':>10}{'after':>10}{'change':>10}"]
    for i, (name, losses) in enumerate(before.held_out.items()):
        for unit, was in losses.items():
            now = after.held_out[name].get(unit, math.nan)  # what was not finite is not kept
            change = f"{now - was:+10.4f}" if same_pieces or unit == BITS else f"{'':10}"
            word = ("gained" if now <= was else "lost") if i == 0 else "forgotten"
            if i and now < was:
                word = "gained"
            said = f"  {word}" if change.strip() else ""
            lines.append(f"  {name + ', ' + unit:<26}{was:10.4f}{now:10.4f}{change}{said}")
    if before.pairs is not None and after.pairs is not None:
        change = f"{100 * (after.pairs - before.pairs):+9.1f}"
        lines.append(f"  {'minimal pairs':<26}{before.pairs:10.1%}{after.pairs:10.1%}{change}")
    return lines


def from_json(content: Mapping[str, Any]) -> Measured:
    """What `dataclasses.asdict` made of one."""
    return Measured(content["held_out"], content["pairs"])
