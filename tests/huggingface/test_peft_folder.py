"""Low-rank updates in `peft`: the folder's card is run as it stands, and the logits are ours."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_heads as heads
from family import FAMILY
from few_folders import compare, random_params, run_card, write_both
from safetensors.numpy import load_file

from bertjax import huggingface
from bertjax.config import LoraConfig
from bertjax.model.task import abstract_task_params, apply_task
from bertjax.model.tuning.lora import Lora
from bertjax.tree import flatten

pytest.importorskip("peft")
# 2026-11: peft 0.21 reads a property that transformers 5.23 has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")
TWO = LoraConfig(rank=2, alpha=3.0)
ALL = LoraConfig(rank=3, alpha=4.0, dropout=0.1, targets=("all",))
CASES = [("bert", family, TWO) for family in heads.SHAPES]
CASES += [("roberta", "classification", ALL), ("pre-norm", "tagging", ALL)]
CASES += [(kind, "classification", ALL) for kind in sorted(FAMILY)]
CASES += [("modernbert", "tagging", TWO), ("openai-gpt", "classification", TWO)]  # partly targeted


def write(kind: str, family: str, lora: LoraConfig, folder: Path, **options):
    def export(cfg, head, shape, *rest):
        return huggingface.export_lora(cfg, head, shape, lora, *rest)

    return write_both(kind, family, Lora(lora), export, folder, **options)


@pytest.mark.parametrize(("kind", "family", "lora"), CASES, ids=str)
def test_peft_gives_our_logits(kind, family, lora, tmp_path):
    base, folder, shape, batch, ours = write(kind, family, lora, tmp_path)
    model = run_card(folder, base)["model"].double()
    compare(model, shape, batch, ours)
    merged = model.merge_and_unload()
    compare(merged, shape, batch, ours)


def test_a_pooler_that_the_encoder_lacked_is_in_the_folder(tmp_path):
    base, folder, shape, batch, ours = write("bert", "classification", TWO, tmp_path, pooler=False)
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["modules_to_save"] == ["classifier", "pooler"]
    compare(run_card(folder, base)["model"].double(), shape, batch, ours)


def test_names_are_those_of_peft_itself(tmp_path):
    """What peft saves of the same model is the same file, and its config says the same."""
    base, folder, *_ = write("bert", "classification", TWO, tmp_path)
    model = run_card(folder, base)["model"]
    model.save_pretrained(tmp_path / "theirs")
    ours, theirs = (
        load_file(path / "adapter_model.safetensors") for path in (folder, tmp_path / "theirs")
    )
    assert ours.keys() == theirs.keys()
    assert all(ours[name].tobytes() == theirs[name].tobytes() for name in ours)
    said, found = (
        json.loads((path / "adapter_config.json").read_text())
        for path in (folder, tmp_path / "theirs")
    )
    assert sorted(found["target_modules"]) == said["target_modules"] == ["query", "value"]
    for name in said.keys() - {"target_modules", "modules_to_save"}:
        assert found[name] == said[name], name


def test_merged_is_unmerged_and_back():
    cfg = replace(heads.encoder("bert"), hidden_size=24, num_heads=2)
    shape, _ = heads.SHAPES["classification"]
    method = Lora(ALL)
    params = random_params(cfg, heads.HEAD, shape, method)
    batch = heads.task_batch(cfg, shape)
    merged = method.merged(params)
    assert flatten(merged).keys() == flatten(abstract_task_params(cfg, heads.HEAD, shape)).keys()
    a = apply_task(cfg, heads.HEAD, shape, params, batch, method=method)["logits"]
    b = apply_task(cfg, heads.HEAD, shape, merged, batch)["logits"]
    np.testing.assert_allclose(a, b, atol=1e-6)
    leaves, whole = flatten(params), flatten(merged)
    for path in whole:
        if f"{path.removesuffix('/kernel')}/update/a" in leaves:
            update = path.removesuffix("kernel") + "update/"
            product = leaves[f"{update}a"].astype(float) @ leaves[f"{update}b"].astype(float)
            np.testing.assert_allclose(whole[path] - 4 / 3 * product, leaves[path], atol=1e-6)
