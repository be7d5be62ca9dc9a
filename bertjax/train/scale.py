"""How much a run is before it begins: tokens, passes over the text, FLOPs, what to expect."""

from __future__ import annotations

from collections.abc import Mapping

from bertjax.config import PretrainConfig
from bertjax.data.corpus import Corpus
from bertjax.flops import training_flops
from bertjax.model import networks
from bertjax.model.parameters import parameter_count
from bertjax.objectives.choice import objective_of
from bertjax.review.reference import reference_of
from bertjax.terminal import count
from bertjax.text.special import SpecialIds

_ANY = SpecialIds(pad=0, unk=1, cls=2, sep=3, mask=4)  # which ids they are costs nothing


def length(cfg: PretrainConfig) -> str:
    """When a run ends."""
    if cfg.train.minutes:
        return f"{cfg.train.minutes:g} minutes, then evaluation and saving"
    return f"at the pace of {cfg.train.pace}" if cfg.train.pace else f"{cfg.train.steps:,} steps"


def tokens_a_step(cfg: PretrainConfig) -> float:
    """Places in the rows of a step, padding included; the mean over the phases."""
    return sum(p.fraction * p.batch_size * p.seq_len for p in cfg.data.phases)


def flops_a_step(cfg: PretrainConfig) -> float:
    """FLOPs of the model in a step whose rows are full; the mean over the phases."""
    total = 0.0
    for i, phase in enumerate(cfg.data.phases):
        rows, length = phase.batch_size, phase.seq_len
        predicted = objective_of(cfg, _ANY, phase=i).predictions(length)
        trained = cfg.in_phase(phase).networks
        work = training_flops(trained, rows * length, rows * length**2, rows * predicted)
        total += phase.fraction * work
    return total


def describe(cfg: PretrainConfig, train: Mapping[str, Corpus]) -> str:
    """Say how much a run on these corpora is; nothing where only the clock ends it."""
    if cfg.train.minutes or cfg.train.pace:
        return ""
    steps, text = cfg.train.steps, sum(len(corpus.tokens) for corpus in train.values())
    tokens = steps * tokens_a_step(cfg)
    parameters = parameter_count(cfg.model, networks.model_of(networks.abstract_params(cfg)))
    said = (
        f"at most {count(tokens)} tokens, {tokens / text:.2g} times the text, "
        f"{tokens / parameters:.2g} a parameter; {steps * flops_a_step(cfg):.1e} FLOPs"
    )
    found = reference_of(cfg)
    if found and (band := found.band(tokens)):
        low, high = (f"{nats:.2f}" for nats in band)
        said += f"; recipe {found.recipe} ended {low} to {high} nats under the unigram entropy"
    return said
