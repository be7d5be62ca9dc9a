"""What paths say: the depth of every parameter there is, and how many there are."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import pytest
from tiny_model import MODEL

from bertjax import model
from bertjax.config import HeadConfig
from bertjax.model.parameters import parameter_count
from bertjax.model.task import TaskShape, describe_task

HEADS = [
    (HeadConfig(), TaskShape("classification", 3)),
    (HeadConfig(fusion="scalar_mix", fusion_layers=2), TaskShape("span_qa", 2)),
    (HeadConfig(crf=True, sequence="bilstm", sequence_size=8), TaskShape("tagging", 3)),
]


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_every_parameter_has_a_depth(norm):
    cfg = replace(MODEL, norm=norm, num_layers=11)
    for facts in [model.describe(cfg), *(describe_task(cfg, *head) for head in HEADS)]:
        at = {path: one.depth for path, one in facts.items()}
        for i in range(11):
            layer = {path for path, found in at.items() if found == i + 1}
            assert layer == {path for path in at if path.startswith(f"layer_{i}/")}
        above = {path.partition("/")[0] for path, found in at.items() if found == 12}
        assert above <= {"pooler", "final_norm"} and ("final_norm" in above) == (norm == "pre")
        heads = {path.partition("/")[0] for path, found in at.items() if found is None}
        assert heads in ({"head"}, {"masked_lm", "next_sentence"})


def test_shared_weights_are_as_high_as_the_last_layer_that_has_them():
    facts = model.describe(replace(MODEL, num_layers=6, layer_groups=2))
    at = {path.partition("/")[0]: one.depth for path, one in facts.items()}
    assert at["layer_0"] == 3 and at["layer_1"] == 6 and "layer_2" not in at


def test_it_is_what_is_left_without_the_rows_that_are_zero():
    params = model.init(MODEL, jax.random.key(0))
    words = params["embeddings"]["word_embeddings"]["embedding"]
    padding = int(np.sum(~np.any(words, axis=1)))
    assert padding == MODEL.padded_vocab_size - MODEL.vocab_size > 0
    everything = sum(leaf.size for leaf in jax.tree.leaves(params))
    counted = parameter_count(MODEL, params)
    assert counted == everything - padding * (MODEL.hidden_size + 1)  # and those of the bias
