"""A model with more rows than its tokenizer has pieces is trained further like any other."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import pytest
import tiny_model
from hypothesis import given, settings
from hypothesis import strategies as st

from bertjax.cli.fields import check_architecture
from bertjax.config import MaskingConfig, ModelConfig
from bertjax.errors import UserError
from bertjax.objectives.choice import objective_of
from bertjax.train.data import settle_vocabulary


@settings(max_examples=30)
@given(st.integers(0, 200), st.integers(6, 200))
def test_rows_are_the_pieces_or_more(rows: int, pieces: int) -> None:
    cfg = ModelConfig(vocab_size=rows)
    if 0 < rows < pieces:
        with pytest.raises(UserError, match=f"model.vocab_size={rows} but .* has {pieces} pieces"):
            settle_vocabulary(cfg, pieces, "c")
    else:
        assert settle_vocabulary(cfg, pieces, "c").vocab_size == max(rows, pieces)


@pytest.mark.parametrize("ids", ["vocabulary", "non_special"])
def test_rows_beyond_the_pieces_are_never_drawn(ids: str) -> None:
    cfg = replace(
        tiny_model.RUN,
        model=replace(tiny_model.MODEL, vocab_size=4 * tiny_model.VOCAB),
        masking=MaskingConfig(rate=0.9, mask_share=0.0, random_share=1.0, random_ids=ids),
    )
    batch = tiny_model.source().batch(0)
    drawn, anything = (
        jax.jit(objective_of(cfg, tiny_model.SPECIAL, pieces).corrupt)(batch, 0)["tokens"]
        for pieces in (tiny_model.VOCAB, 0)
    )
    assert np.max(drawn) < tiny_model.VOCAB <= np.max(anything)


def test_zero_takes_what_the_weights_have() -> None:
    given_ = ModelConfig(vocab_size=112)
    check_architecture(["model.vocab_size=0"], ModelConfig(vocab_size=0), given_, "m")
    with pytest.raises(UserError, match=r"model\.vocab_size=104, but the model of m has 112"):
        check_architecture(["model.vocab_size=104"], ModelConfig(vocab_size=104), given_, "m")
