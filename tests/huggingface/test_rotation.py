"""What transformers' classes turn by, under every word that a config.json has for rotation."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import pytest
import transformers

from bertjax.errors import UserError
from bertjax.huggingface.config_json import from_hub_config

CLASSES = {"eurobert": transformers.EuroBertConfig, "modernbert": transformers.ModernBertConfig}
KINDS = ("full_attention", "sliding_attention")
EITHER = {
    "nothing": {},
    "null": {"rope_scaling": None},
    "older": {"rope_theta": 250_000.0, "rope_scaling": None},
    "older of two": {"global_rope_theta": 5000.0, "local_rope_theta": 100.0},
    "scaling": {"rope_scaling": {"rope_type": "default", "rope_theta": 50.0}},
    "of before": {"rope_scaling": {"type": "default", "rope_theta": 50.0}},
}
ONE = {"rope_type": "default", "rope_theta": 70.0}
OWN = {
    "eurobert": {"parameters": ONE, "and scaling": ONE},
    "modernbert": {"parameters": {KINDS[0]: ONE}, "and scaling": {KINDS[0]: ONE, KINDS[1]: {}}},
}
CASES = [(kind, name) for kind in sorted(CLASSES) for name in [*EITHER, *OWN[kind]]]


@pytest.mark.parametrize(("model_type", "name"), CASES)
def test_a_base_is_the_one_that_transformers_takes(model_type, name) -> None:
    content = {"model_type": model_type, "vocab_size": 100, "num_hidden_layers": 2}
    content |= EITHER[name] if name in EITHER else {"rope_parameters": OWN[model_type][name]}
    if name == "and scaling":
        content["rope_scaling"] = {"rope_theta": 50.0}
    theirs = CLASSES[model_type](**deepcopy(content)).rope_parameters
    whole, local = (theirs.get(kind, theirs)["rope_theta"] for kind in KINDS)
    ours = from_hub_config(content, Path("config.json"))
    assert ours.rotary_base == whole
    assert model_type == "eurobert" or ours.local_rotary_base == local


@pytest.mark.parametrize("model_type", sorted(CLASSES))
@pytest.mark.parametrize("word", ["rope_type", "type"])
@pytest.mark.parametrize("place", ["rope_scaling", "rope_parameters"])
def test_a_rotation_that_is_not_plain_is_refused(model_type, word, place) -> None:
    scaled = {word: "linear", "factor": 4.0}
    nested = place == "rope_parameters" and model_type == "modernbert"
    content = {place: {KINDS[1]: scaled} if nested else scaled}
    content |= {"model_type": model_type, "vocab_size": 100}
    at = KINDS[1] if nested else place
    with pytest.raises(UserError, match=f"{word}='linear': of {at} only plain rotation"):
        from_hub_config(content, Path("config.json"))
