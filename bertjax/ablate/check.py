"""All that can be refused before the first step of a grid is refused here."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bertjax.ablate.differences import real_differences
from bertjax.ablate.grid import Cell, cell_config
from bertjax.ablate.probes import WORDS, Probe, fingerprint, probe_names, read_probes
from bertjax.config import AblationConfig, PretrainConfig
from bertjax.errors import UserError, nearest
from bertjax.pretrained import masked_lm_of, open_newest
from bertjax.probe.scores import Scores
from bertjax.text.tokenizer import load_tokenizer
from bertjax.train.data import Data, open_data
from bertjax.train.devices import make_mesh


@dataclass(frozen=True)
class Material:
    """What a grid is trained and measured on."""

    data: Data
    probes: Sequence[Probe]

    def fingerprints(self) -> dict[str, str]:
        """What a grid that goes on must find again, by the name of it."""
        found = {
            "corpus": self.data.identity,
            "tokenizer": self.data.first.fingerprint,
            "vocabulary": str(self.data.first.vocab_size),
        }
        for probe in self.probes:
            found[f"probe {probe.name}"] = fingerprint(probe)
            if probe.left_out:
                found[f"of {probe.name} in the training text, left out"] = str(probe.left_out)
        return found

    def measure(self, run: Path) -> dict[str, Scores]:
        """Measure the model of a run as it is after its last step."""
        found = open_newest(run)
        fills = masked_lm_of(found)
        return {
            probe.name: probe.measure(found if probe.takes_detector else fills)
            for probe in self.probes
        }


def check(cfg: AblationConfig, progress: Callable[[str], None] = lambda line: None) -> Material:
    """Open what the grid needs; whatever would sink it later is refused now.

    `progress` is told of what takes time.

    Raises:
        UserError: an arm that cannot be trained, is no other than a second one, or has another
            budget; a corpus or a probe that cannot be used; a rule by a probe that there is not.
    """
    if cfg.base.train.init or cfg.base.train.pace:
        raise UserError(
            "the base recipe has train.init or train.pace: the cells of an ablation begin with "
            "random weights and end by the budget; leave both empty"
        )
    names = probe_names(cfg)
    if cfg.decides not in names:
        fix = "give probes.tagged and probes.tagged_test" if cfg.decides == WORDS else ""
        fix = fix or nearest(cfg.decides, names)
        raise UserError(f"decides={cfg.decides} is not measured: {fix}")
    base, data = open_data(cfg.base)
    configs = {}
    for arm in cfg.arms:
        for setting in arm.search or ("",):
            settings = {arm.name: setting}
            own = cell_config(cfg, Cell(arm.name, 0), base.model.vocab_size, settings)
            configs[f"{arm.name} {setting}".rstrip()] = own
    for name, of_arm in configs.items():
        _check_arm(name, of_arm, cfg.base)
    _check_differ(configs)
    tokenizer = load_tokenizer(f"{cfg.base.data.paths[0]}/tokenizer")
    positions = min(of_arm.model.max_positions for of_arm in configs.values())
    return Material(data, read_probes(cfg, data, tokenizer, positions, progress))


def _check_differ(configs: Mapping[str, PretrainConfig]) -> None:
    """Two arms that are the same run would be compared with their own noise."""
    for (one, a), (other, b) in itertools.combinations(configs.items(), 2):
        if not real_differences(a, b):
            raise UserError(
                f"arms {one} and {other} are the same run: leave one out, or correct its overrides"
            )


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
    if cfg.model.max_positions < (longest := base.data.phases[-1].seq_len):
        raise UserError(
            f"arm {name}: model.max_positions={cfg.model.max_positions}, and the held-out rows of "
            f"all arms are those of the base's last phase, {longest} long: give the arm as many"
        )
    try:
        make_mesh(cfg)
    except UserError as error:
        raise UserError(f"arm {name}: {error}") from None


def differences(
    cfg: AblationConfig, vocab_size: int, settings: Mapping[str, str]
) -> dict[str, list[str]]:
    """In what the run of each arm differs from that of the arm it is compared with."""

    def run(arm: str) -> PretrainConfig:
        return cell_config(cfg, Cell(arm, 0), vocab_size, settings)

    return {arm: real_differences(run(other), run(arm)) for arm, other in cfg.comparisons}
