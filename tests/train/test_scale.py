"""How much a run is, said before it begins."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

from bertjax.config import PretrainConfig
from bertjax.recipes.shipped import load_recipe
from bertjax.review.reference import references
from bertjax.terminal import count
from bertjax.train.scale import describe, flops_a_step

TEXT = {"a": SimpleNamespace(tokens=range(1000)), "b": SimpleNamespace(tokens=range(4000))}


def of_steps(recipe: str, steps: int, **model) -> PretrainConfig:
    cfg = load_recipe(recipe, PretrainConfig)
    return replace(
        cfg,
        model=replace(cfg.model, vocab_size=4096, **model),
        train=replace(cfg.train, steps=steps, minutes=0.0),
    )


def test_tokens_passes_and_flops():
    cfg = of_steps("bert_mini", 50)
    tokens = 50 * sum(p.fraction * p.batch_size * p.seq_len for p in cfg.data.phases)
    said = describe(cfg, TEXT)
    assert said.startswith(f"at most {count(tokens)} tokens, {tokens / 5000:.2g} times the text, ")
    assert said.endswith(f"; {50 * flops_a_step(cfg):.1e} FLOPs")


def test_bert_base_sees_what_its_paper_says():
    """Rows of 256, 900k steps of 128 tokens and 100k of 512 (Devlin et al. 2019, A.2)."""
    assert "at most 42.6G tokens" in describe(of_steps("bert_base", 10**6), TEXT)


def test_a_recipe_with_a_curve_says_what_it_came_to():
    (curve,) = (one for one in references() if one.recipe == "quickstart")
    cfg = of_steps("quickstart", 1)
    a_step = sum(p.fraction * p.batch_size * p.seq_len for p in cfg.data.phases)
    cfg = of_steps("quickstart", round(curve.tokens[-1] / a_step) - 1)
    assert "; recipe quickstart ended 1.0" in describe(cfg, TEXT)
    assert "recipe" not in describe(of_steps("quickstart", 10**6), TEXT)  # beyond the curve


def test_the_clock_says_nothing_beforehand():
    cfg = of_steps("quickstart", 9)
    assert not describe(replace(cfg, train=replace(cfg.train, minutes=3.0)), TEXT)
