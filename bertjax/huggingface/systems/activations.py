"""Activations by the names of transformers activations.py, both ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bertjax.huggingface.systems.system import short

# Google's tanh form is written as `gelu_new`; the other names that are read are the same functions.
ACTIVATIONS = {"gelu": "gelu", "gelu_tanh": "gelu_new", "relu": "relu", "silu": "silu"}
_READ = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_python_tanh": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}


def activation_of(content: Mapping[str, Any], key: str, default: str) -> str:
    """Our name of the activation that a config.json has under a key; ValueError for another."""
    name = content.get(key, default)
    if name not in tuple(_READ):
        raise ValueError(f"{key}={short(name)} is not supported: bertjax has {', '.join(_READ)}")
    return _READ[name]
