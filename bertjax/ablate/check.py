"""All that can be refused before the first step of a grid is refused here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bertjax.ablate.differences import real_differences
from bertjax.ablate.grid import Cell, cell_config
from bertjax.ablate.leaks import leaked_sentences
from bertjax.ablate.measure import Probes
from bertjax.config import AblationConfig, PretrainConfig
from bertjax.errors import UserError, nearest
from bertjax.probe.minimal_pairs import Pair
from bertjax.text.tokenizer import Tokenizer, load_tokenizer
from bertjax.train.data import Data, open_data
from bertjax.train.devices import make_mesh

_MOST_EQUAL = 0.01  # share of pairs whose two sentences may be equal; BLiMP has one of 67,000


@dataclass(frozen=True)
class Material:
    """What a grid is trained and measured on."""

    data: Data
    tokenizer: Tokenizer
    probes: Probes
    leaked: Mapping[str, int]  # pairs of each probe that stand in the training text: left out

    def fingerprints(self) -> dict[str, str]:
        """What a grid that goes on must find again, by the name of it."""
        found = {
            "corpus": self.data.identity,
            "tokenizer": self.data.first.fingerprint,
            "vocabulary": str(self.data.first.vocab_size),
        }
        for name, pairs in self.probes.pairs.items():
            found[f"pairs of {name} in the training text, left out"] = str(self.leaked[name])
            rows = [[p.paradigm, p.phenomenon, p.good, p.bad] for p in pairs]
            found[f"probe {name}"] = hashlib.sha256(json.dumps(rows).encode()).hexdigest()
        return found


def check(cfg: AblationConfig) -> Material:
    """Open what the grid needs; whatever would sink it later is refused now.

    Raises:
        UserError: an arm that cannot be trained, is no other than a second one, or has another
            budget; a corpus or a probe that cannot be used; a rule by a probe that there is not.
    """
    if cfg.base.train.init or cfg.base.train.pace:
        raise UserError(
            "the base recipe has train.init or train.pace: the cells of an ablation begin with "
            "random weights and end by the budget; leave both empty"
        )
    base, data = open_data(cfg.base)
    configs = {}
    for arm in cfg.arms:
        for setting in arm.search or ("",):
            settings = {arm.name: setting}
            own = cell_config(cfg, Cell(arm.name, 0), base.model.vocab_size, settings)
            configs[f"{arm.name} {setting}".rstrip()] = own
    _check_differ(configs)
    for name, of_arm in configs.items():
        _check_arm(name, of_arm, cfg.base)
    probes = Probes.read(cfg, data)
    if cfg.decides not in probes.names():
        raise UserError(
            f"decides={cfg.decides} is not measured: {nearest(cfg.decides, probes.names())}"
        )
    tokenizer = load_tokenizer(f"{cfg.base.data.paths[0]}/tokenizer")
    positions = min(of_arm.model.max_positions for of_arm in configs.values())
    kept, leaked = {}, {}
    for path, (name, pairs) in zip(cfg.probes.pairs, probes.pairs.items(), strict=True):
        kept[name] = _usable_pairs(path, pairs, tokenizer, positions, data)
        leaked[name] = len(pairs) - len(kept[name])
    return Material(data, tokenizer, Probes(probes.held_out, kept), leaked)


def _check_differ(configs: Mapping[str, PretrainConfig]) -> None:
    """Two arms that are the same run would be compared with their own noise."""
    seen: dict[PretrainConfig, str] = {}
    for name, cfg in configs.items():
        if cfg in seen:
            raise UserError(
                f"arms {seen[cfg]} and {name} are the same run: leave one out, or correct its "
                "overrides"
            )
        seen[cfg] = name


def _check_arm(name: str, cfg: PretrainConfig, base: PretrainConfig) -> None:
    if cfg.data.paths != base.data.paths:
        raise UserError(
            f"arm {name} has the corpora {', '.join(cfg.data.paths)}: held-out losses compare "
            f"on the same alone, {', '.join(base.data.paths)}; set weights, and no paths"
        )
    if cfg.model.attention == "causal":
        raise UserError(
            f"arm {name}: model.attention=causal has no masked LM to be measured: leave the arm out"
        )
    try:
        make_mesh(cfg)
    except UserError as error:
        raise UserError(f"arm {name}: {error}") from None


def _usable_pairs(
    path: str, pairs: list[Pair], tokenizer: Tokenizer, positions: int, data: Data
) -> list[Pair]:
    """The pairs that the training text does not hold."""
    equal = [pair for pair in pairs if pair.good == pair.bad]
    if len(equal) > _MOST_EQUAL * len(pairs):
        raise UserError(
            f"probes.pairs={path}: {len(equal):,} of {len(pairs):,} pairs are two equal sentences, "
            f"such as {equal[0].good[:60]!r}, which no model can tell apart: remove them"
        )
    sentences = [sentence for pair in pairs for sentence in (pair.good, pair.bad)]
    ids = tokenizer.encode_batch(sentences, parse_special=True)
    lengths = [len(row) + 2 for row in ids]
    longest = max(range(len(lengths)), key=lengths.__getitem__)
    if lengths[longest] > positions:
        raise UserError(
            f"probes.pairs={path}: {sentences[longest][:60]!r} has {lengths[longest]} tokens, "
            f"an arm {positions} positions: shorten the sentence or leave its pair out"
        )
    rows = [np.array(row) for row in ids]
    stands = [leaked_sentences(corpus.tokens, rows) for corpus in data.train.values()]
    known = [any(pair) for pair in np.logical_or.reduce(stands).reshape(-1, 2).tolist()]
    if all(known):
        raise UserError(
            f"probes.pairs={path}: every pair has a sentence that stands in the training text: "
            "give other pairs, or leave their documents out of the corpus"
        )
    return [pair for pair, leaks in zip(pairs, known, strict=True) if not leaks]


def differences(
    cfg: AblationConfig, vocab_size: int, settings: Mapping[str, str]
) -> dict[str, list[str]]:
    """In what the run of each arm differs from that of the arm it is compared with."""

    def run(arm: str) -> PretrainConfig:
        return cell_config(cfg, Cell(arm, 0), vocab_size, settings)

    return {arm: real_differences(run(other), run(arm)) for arm, other in cfg.comparisons}
