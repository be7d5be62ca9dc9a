"""Every option of an ablation: arms that differ in a few fields, compared at one budget."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bertjax.config.checks import require, within
from bertjax.config.pretrain import PretrainConfig
from bertjax.errors import UserError, nearest

HELD_OUT = "held_out"  # the probe that every ablation has: masked loss on held-out documents
MOST_SEEDS = 1000  # of a grid
_NAME = re.compile(r"[A-Za-z0-9][\w.+-]{0,79}")  # a folder of its own on any file system


@dataclass(frozen=True)
class Arm:
    """One way to train: the base recipe with a few of its fields set otherwise."""

    name: str
    overrides: tuple[str, ...] = ()  # fields of the base, as typed: masking.rate=0.4
    against: str = ""  # the arm that it is compared with; empty: the control
    search: tuple[str, ...] = ()  # settings such as optim.learning_rate=1e-3, of which one is taken

    def __post_init__(self) -> None:
        require(
            _NAME.fullmatch(self.name) is not None,
            f"arm name {self.name[:80]!r} cannot be a folder: use letters, digits, _, -, + and .",
        )
        require(
            len(self.search) != 1,
            f"arm {self.name} searches among one setting, {', '.join(self.search)}: move it to its "
            "overrides, or give two",
        )


@dataclass(frozen=True)
class BudgetConfig:
    """What each cell may spend, the same for every arm; one of the three."""

    tokens: int = 0  # places in rows, padding included; turned into steps by the shape of the rows
    flops: float = 0.0  # of the model, by `bertjax.flops`; turned into steps likewise
    minutes: float = 0.0  # by the clock, compiling the step included

    def __post_init__(self) -> None:
        within("budget.tokens", self.tokens, 0, 2**53)
        within("budget.flops", self.flops, 0.0, 1e30)
        within("budget.minutes", self.minutes, 0.0, 1e6)
        given = [name for name in ("tokens", "flops", "minutes") if getattr(self, name)]
        require(
            len(given) == 1,
            f"the budget is {' and '.join(given) or 'empty'}: give one of budget.tokens, "
            "budget.flops and budget.minutes",
        )


@dataclass(frozen=True)
class ProbesConfig:
    """What is measured of each cell after its last step, besides the loss on held-out documents."""

    pairs: tuple[str, ...] = ()  # files of minimal pairs; each is a probe, by the file's name
    per_paradigm: int = 0  # pairs of each paradigm that are scored, the first ones; 0: all
    text: tuple[str, ...] = ()  # files of other text: bits a byte; each is a probe likewise
    tagged: str = ""  # CoNLL-U on which classifiers of frozen states are trained: the probe `words`
    tagged_test: str = ""  # CoNLL-U on which they are scored
    finetune: tuple[str, ...] = ()  # configs of fine-tuning, and fields: "my.py tune.seeds=0,1"

    def __post_init__(self) -> None:
        within("probes.per_paradigm", self.per_paradigm, 0, 10**9)
        require(
            bool(self.tagged) == bool(self.tagged_test),
            "probes.tagged and probes.tagged_test go together: give a file to each",
        )
        require(
            all(item.strip() for item in self.finetune),
            "probes.finetune has an empty entry: give the config of a fine-tuning",
        )


@dataclass(frozen=True)
class AblationConfig:
    """A grid of cells: every arm with every seed."""

    arms: tuple[Arm, ...]
    control: str  # the arm that the others are compared with: the cheapest other explanation
    question: str = ""  # what is asked, for the head of the report
    base: PretrainConfig = field(default_factory=PretrainConfig)
    budget: BudgetConfig = field(default_factory=lambda: BudgetConfig(tokens=20_000_000))
    seeds: int = 5  # from base.seed on; arms of one seed begin alike and see the same documents
    probes: ProbesConfig = field(default_factory=ProbesConfig)
    decides: str = HELD_OUT  # the probe that decides, at 5 % after Holm's correction

    def __post_init__(self) -> None:
        names = [arm.name for arm in self.arms]
        require(len(names) >= 2, f"an ablation of {len(names)} arms: give at least two")
        require(
            len({name.casefold() for name in names}) == len(names),
            f"arms {', '.join(names)}: two have one name; rename one",
        )
        for who, name in [
            ("control", self.control),
            *((f"arm {arm.name}: against", arm.against) for arm in self.arms if arm.against),
        ]:
            require(name in names, f"{who}={name!r} is no arm: {nearest(name, names)}")
        for arm in self.arms:
            require(
                arm.against != arm.name, f"arm {arm.name} is compared with itself: name another"
            )
        require(
            2 <= self.seeds <= MOST_SEEDS,
            f"seeds={self.seeds}: use 2 to {MOST_SEEDS}; one seed says nothing of the noise "
            "between seeds",
        )
        within("base.seed", self.base.seed, 0, 2**32 - 1 - MOST_SEEDS)

    def arm(self, name: str) -> Arm:
        """The arm of that name."""
        return next(arm for arm in self.arms if arm.name == name)

    @property
    def comparisons(self) -> tuple[tuple[str, str], ...]:
        """(arm, arm that it is compared with), in the order of the arms."""
        pairs = [(arm.name, arm.against or self.control) for arm in self.arms]
        return tuple((a, b) for a, b in pairs if a != b)


def crossed(
    *factors: Mapping[str, Sequence[str]],
    without: Sequence[str] = (),
    against: Mapping[str, str] | None = None,
) -> tuple[Arm, ...]:
    """The product of factors, as arms.

    Args:
        factors: level -> its overrides. An arm is named after its levels, with - between them.
        without: arms of the product that do not exist.
        against: arm -> the arm that it is compared with, where that is not the control.

    Raises:
        UserError: `without` or `against` names no arm of the product.
    """
    against = against or {}
    product = {
        "-".join(levels): tuple(
            item for factor, level in zip(factors, levels, strict=True) for item in factor[level]
        )
        for levels in itertools.product(*factors)
    }
    for name in (*without, *against):
        if name not in product:
            raise UserError(f"{name!r} is no arm of the product: {nearest(name, product)}")
    return tuple(
        Arm(name, overrides, against.get(name, ""))
        for name, overrides in product.items()
        if name not in without
    )
