"""Guesses at masks and vectors of texts are computed as their guide says: in whole float32."""

from __future__ import annotations

import re

import jax
import pytest

from bertjax import model, predict
from bertjax.config import ModelConfig
from bertjax.text.tokenizer_training import train_tokenizer

TOKENIZER = train_tokenizer("wordpiece", ["the old river opened the quiet city ."] * 9, 60)
CFG = ModelConfig(
    vocab_size=TOKENIZER.vocab_size,
    hidden_size=16,
    num_layers=1,
    num_heads=2,
    intermediate_size=32,
    max_positions=16,
)


@pytest.mark.parametrize("name", ["_probabilities", "_pooled"])
def test_products_are_of_whole_operands(name, monkeypatch):
    """As the program asks for it: a CPU computes so in any case, and a GPU does not."""
    program, programs = getattr(predict, name), []

    def spied(*args):
        programs.append(program.lower(*args).as_text())
        return program(*args)

    monkeypatch.setattr(predict, name, spied)
    params = model.init(CFG, jax.random.key(0))
    if name == "_pooled":
        predict.encode(CFG, params, TOKENIZER, ["the old river"])
    else:
        predict.fill_mask(CFG, params, TOKENIZER, "the [MASK] river")
    (text,) = programs
    asked = re.findall(r"dot_general.*?precision = \[(\w+), (\w+)\]", text)
    assert len(asked) == text.count("dot_general") >= 6
    assert set(asked) == {("HIGHEST", "HIGHEST")}
