"""Configs that earlier versions wrote are read as what they meant."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import pytest

from bertjax.config import AblationConfig, FinetuneConfig, Phase, PretrainConfig
from bertjax.errors import UserError
from bertjax.overrides import apply_overrides, from_json, to_json
from bertjax.recipes.files import load_config

ABLATIONS = Path(__file__).parents[1] / "configs" / "ablations"
LABELS = ("nsp", "sop", "sop_strict")

# The arms of configs/ablations/sop.py and nsp.py as a grid of 2026-11-26 holds them.
SEGMENTS = ["data.format=segment_pair", "data.max_packed=4"]
SENTENCES = ["data.format=sentence_pair", "data.max_packed=8"]
ON, OFF = "train.next_sentence_loss=true", "train.next_sentence_loss=false"
ARMS = {
    "sop": [
        [*SEGMENTS, "data.pairs=sop_strict", OFF],
        [*SEGMENTS, "data.pairs=nsp", OFF],
        [*SEGMENTS, "data.pairs=nsp"],
        [*SEGMENTS, "data.pairs=sop"],
        [*SEGMENTS, "data.pairs=sop_strict"],
    ],
    "nsp": [
        [*SEGMENTS, ON],
        [*SEGMENTS, OFF],
        [*SENTENCES, ON],
        [*SENTENCES, OFF],
        ["data.format=full_sentences", OFF],
        ["data.format=doc_sentences", "data.max_packed=8", OFF],
    ],
}


def earlier(cfg: PretrainConfig, form: str, pairs: str, loss: bool) -> dict:
    """The JSON of `cfg` as it was written, with these three fields."""
    tree = json.loads(to_json(cfg))
    tree["data"] |= {"format": form, "pairs": pairs}
    tree["train"]["next_sentence_loss"] = loss
    return tree


@pytest.mark.parametrize(
    ("form", "pairs", "loss"),
    list(product(["segment_pair", "sentence_pair"], LABELS, [True, False])),
)
def test_pairs_mean_what_they_meant(form, pairs, loss):
    read = from_json(PretrainConfig, json.dumps(earlier(PretrainConfig(), form, pairs, loss)))
    pairing = read.data.pairing
    assert (pairing.shape, pairing.label, pairing.predicted) == (form, pairs, loss)
    assert read == apply_overrides(PretrainConfig(), [f"data.format={read.data.format}"])


def test_labels_of_rows_that_were_no_pairs_meant_nothing():
    cfg = apply_overrides(PretrainConfig(), ["data.format=full_sentences"])
    for pairs, loss in product(("none", *LABELS), (True, False)):
        tree = earlier(cfg, "full_sentences", pairs, loss)
        assert from_json(PretrainConfig, json.dumps(tree)) == cfg


def test_a_loss_that_nothing_had_beside_it_was_none():
    for item in ("replaced_tokens.weight=50", "model.attention=causal"):
        cfg = apply_overrides(PretrainConfig(), [item, "data.format=doc_sentences"])
        tree = earlier(cfg, "segment_pair", "nsp", True)
        assert from_json(PretrainConfig, json.dumps(tree)).data.format == "segment_pair+nsp_rows"
    phases = [Phase(fraction=0.5, attention="causal"), Phase(fraction=0.5)]
    tree = earlier(PretrainConfig(), "segment_pair", "nsp", True)
    tree["data"]["phases"] = [vars(phase) for phase in phases]
    assert from_json(PretrainConfig, json.dumps(tree)).data.format == "segment_pair+nsp"


def test_what_drew_for_dropout_is_left_out():
    for drew in ("threefry2x32", "rbg"):
        tree = json.loads(to_json(PretrainConfig()))
        tree["train"]["dropout_prng"] = drew
        assert from_json(PretrainConfig, json.dumps(tree)) == PretrainConfig()
        assert apply_overrides(PretrainConfig(), [f"train.dropout_prng={drew}"]) == PretrainConfig()
    with pytest.raises(UserError, match="is no option: dropout draws alike"):
        apply_overrides(PretrainConfig(), ["train.dropout_prng=philox"])


def test_two_shapes_of_batches_were_the_most():
    for asked, means in ((1, 1), (2, 2), (8, 2), (64, 2)):
        tree = json.loads(to_json(FinetuneConfig()))
        tree["tune"]["row_lengths"] = asked
        assert from_json(FinetuneConfig, json.dumps(tree)).tune.row_lengths == means
    tree["tune"]["row_lengths"] = 65
    with pytest.raises(UserError, match="row_lengths=65"):
        from_json(FinetuneConfig, json.dumps(tree))


@pytest.mark.parametrize("name", sorted(ARMS))
def test_a_grid_that_was_begun_is_that_of_todays_recipe(name):
    today = load_config(ABLATIONS / f"{name}.py", AblationConfig)
    tree = json.loads(to_json(today))
    tree["base"] = earlier(today.base, "full_sentences", "nsp", True)
    for arm, items in zip(tree["arms"], ARMS[name], strict=True):
        arm["overrides"] = items
    assert from_json(AblationConfig, json.dumps(tree)) == today


@pytest.mark.parametrize(
    ("section", "fields"),
    [("data", {"pairs": 5}), ("train", {"next_sentence_loss": "no"}), ("data", {"pairs": ["nsp"]})],
)
def test_what_no_version_wrote_is_refused(section, fields):
    tree = earlier(PretrainConfig(), "segment_pair", "nsp", True)
    tree[section] |= fields
    with pytest.raises(UserError, match=r"data\.(format|pairs)|next_sentence_loss"):
        from_json(PretrainConfig, json.dumps(tree))
    for data in (5, {"pairs": "x"}, {"pairs": "x", "phases": 5}):
        broken = {"data": data, "train": {"next_sentence_loss": True}}
        with pytest.raises(UserError):
            from_json(PretrainConfig, json.dumps(broken | {"model": [], "seed": "x"}))


@pytest.mark.parametrize(
    "typed",
    [
        ["data.format=full_sentences", "data.pairs=none", OFF],
        [OFF, "data.pairs=nsp", "data.format=doc_sentences", "model.next_sentence_head=false"],
        ["data.pairs=nsp", ON],
        ["data.format=sentence_pair+sop_rows", "data.pairs=sop", OFF],
        ["replaced_tokens.weight=50", "data.format=full_sentences",
         "model.replaced_token_head=true"],
    ],
)  # fmt: skip
def test_what_is_typed_as_before_may_be_what_holds_anyway(typed):
    """Each of them alone would be another run, and is refused."""
    kept = [item for item in typed if item.startswith(("data.format", "replaced"))]
    assert apply_overrides(PretrainConfig(), typed) == apply_overrides(PretrainConfig(), kept)
    for wrong in ("data.pairs=sop_strict", "train.next_sentence_loss=maybe"):
        with pytest.raises(UserError, match=r"is no option: data\.format says"):
            apply_overrides(PretrainConfig(), ["data.format=segment_pair+nsp", wrong])
