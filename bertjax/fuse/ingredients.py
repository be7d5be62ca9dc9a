"""The models that a soup is made of: whether they mix, and what their averages score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bertjax import model
from bertjax.config import LoraConfig
from bertjax.finetuning.member import Member
from bertjax.finetuning.same_run import WEIGHTS, origin_of
from bertjax.finetuning.saved import SavedRun
from bertjax.finetuning.settle import method_of
from bertjax.fuse.soup import average
from bertjax.fuse.voices import Voice
from bertjax.model.tuning.bottleneck import Adapters
from bertjax.runs.directory import RunDirectory
from bertjax.tasks.task import Example, Scores


@dataclass(frozen=True)
class Ingredient:
    """One model of a soup."""

    name: str
    run: SavedRun
    member: Member


@dataclass
class Pot:
    """Ingredients, and what the averages of some of them say of examples; each is made once."""

    ingredients: list[Ingredient]
    examples: list[Example]
    known: dict[tuple[int, ...], list[Scores]] = field(default_factory=dict)

    def params(self, chosen: Sequence[int]) -> model.Params:
        """The average of some ingredients, as a plain model without few weights beside it."""
        taken = (self.ingredients[i] for i in chosen)
        return average(each.run.plain(each.member) for each in taken)

    def scores(self, chosen: tuple[int, ...]) -> list[Scores]:
        """What that average says of the examples; numbers of ingredients ascend."""
        if chosen not in self.known:
            run = whole(self.ingredients[0])
            (self.known[chosen],) = run.scores_of([self.params(chosen)], 1, self.examples)
        return self.known[chosen]


def ingredients_of(voices: Sequence[Voice]) -> list[Ingredient]:
    """Every model of the voices."""
    found = []
    for voice in voices:
        names = [f"{voice.name.rpartition('/')[0]}/{member.name}" for member in voice.members]
        pairs = zip(names, voice.members, strict=True)
        found += [Ingredient(name, voice.run, member) for name, member in pairs]
    return found


def why_not(ingredients: Sequence[Ingredient]) -> str:
    """Why models make no soup; empty if they do."""
    first = ingredients[0]
    if len(ingredients) < 2:
        return f"{first.name} is the only model: give two or more"
    for each in ingredients:
        if isinstance(method_of(each.run.cfg), Adapters):
            return f"{each.name} has adapters, whose averages are no average of what they compute"
        for what, value in _began(each).items():
            if value != _began(first)[what]:
                return (
                    f"{each.name} and {first.name} have unlike {what}: models of a soup differ in "
                    "how they were trained (optim.learning_rate, tune.epochs, folds), not in where "
                    "they began and on what; use another --method"
                )
    return ""


def whole(ingredient: Ingredient) -> SavedRun:
    """The run of an ingredient as a run of one model that holds all of its weights."""
    run, seed = ingredient.run, ingredient.member.seed
    tune = replace(run.cfg.tune, method="full", seeds=(seed,), folds=0)
    return replace(run, cfg=replace(run.cfg, tune=tune, lora=LoraConfig()))


def _began(ingredient: Ingredient) -> dict[str, Any]:
    """What decides where a model began and what it saw, by what a person calls it.

    The head, and all else that is random at first, is drawn by the seed. A soup is a run, whose
    examples are those of its first model.
    """
    cfg, origin = ingredient.run.cfg, origin_of(RunDirectory(ingredient.run.path))
    return {
        "tokenizers": ingredient.run.tokenizer.fingerprint,
        "architectures": replace(cfg.model, hidden_dropout=0.0, attention_dropout=0.0),
        "heads": replace(cfg.head, dropout=0.0),
        "weights to begin with (--init)": origin.get(WEIGHTS),
        "training examples": origin.get("train examples"),
        "tune.reinit_layers": cfg.tune.reinit_layers,
        "seeds (tune.seeds), by which the head began": ingredient.member.seed,
    }
