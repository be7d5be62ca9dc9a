"""Losses as they were, by backend: a change of the code that is to change no number changes none.

What differs on purpose is written into golden_losses.json by hand, from what a failing test shows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np
import pytest

FILE = Path(__file__).with_name("golden_losses.json")
ROUNDING = 1e-5  # relative: other processors and other versions of XLA add in another order


def require_golden(name: str, found: Mapping[str, object]) -> None:
    """Compare numbers, or lists of them, with those kept under `name` for this backend."""
    kept = json.loads(FILE.read_text()).get(jax.default_backend())
    if kept is None:
        pytest.skip(f"no losses are kept for {jax.default_backend()}")
    shown = json.dumps({name: {k: np.float64(v).round(7).tolist() for k, v in found.items()}})
    assert name in kept, f"add {shown}"
    assert kept[name].keys() == found.keys(), shown
    for key, value in found.items():
        np.testing.assert_allclose(value, kept[name][key], ROUNDING, ROUNDING, err_msg=shown)
