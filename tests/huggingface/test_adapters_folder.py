"""Bottlenecks in the library `adapters`, which needs an older transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from few_folders import compare, run_card, write_both

from bertjax import huggingface
from bertjax.config import AdapterConfig
from bertjax.model.tuning.bottleneck import Adapters
from bertjax.model.tuning.houlsby import Houlsby
from bertjax.model.tuning.pfeiffer import Pfeiffer

pytestmark = pytest.mark.extra
library: Any = pytest.importorskip("adapters", reason="needs the extra: make test-adapters")
HALF = AdapterConfig(reduction=2.0)
CASES = [
    (kind, family, made)
    for kind, family in (
        ("bert", "classification"),
        ("bert", "tagging"),
        ("roberta", "classification"),
        ("electra", "classification"),
        ("distilbert", "classification"),
    )
    for made in (Houlsby, Pfeiffer)
]
CASES.append(("albert", "classification", Pfeiffer))


def write(kind: str, family: str, method: Adapters, folder: Path):
    what = huggingface.Bottlenecks(method.name, method.settled)

    def export(cfg, head, shape, *rest):
        return huggingface.export_adapters(cfg, head, shape, what, *rest)

    return write_both(kind, family, method, export, folder)


@pytest.mark.parametrize(("kind", "family", "made"), CASES)
def test_adapters_gives_our_logits(kind, family, made, tmp_path):
    base, folder, shape, batch, ours = write(kind, family, made(HALF), tmp_path)
    compare(run_card(folder, base)["base"].double(), shape, batch, ours)


@pytest.mark.parametrize(("made", "theirs"), [(Houlsby, "double_seq_bn"), (Pfeiffer, "seq_bn")])
def test_a_way_is_what_the_library_calls_so(made, theirs, tmp_path):
    """Its own config of that name, but for what is chosen here and the start of the weights."""
    chosen = AdapterConfig(reduction=2.0, activation="silu" if made is Houlsby else "relu")
    _, folder, *_ = write("bert", "classification", made(chosen), tmp_path)
    said = json.loads((folder / "adapter_config.json").read_text())["config"]
    expected = library.AdapterConfig.load(theirs, reduction_factor=2.0).to_dict()
    assert {name: expected[name] for name in said} == said
