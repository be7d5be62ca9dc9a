"""Targets: configs and overrides."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fuzz_target import Target

from bertjax.config import (
    AblationConfig,
    AdaptConfig,
    Arm,
    FinetuneConfig,
    ModelConfig,
    PretrainConfig,
    TaskConfig,
)
from bertjax.errors import UserError
from bertjax.overrides import apply_overrides, to_json
from bertjax.recipes.files import load_config

_MODEL = ModelConfig(
    vocab_size=100, hidden_size=8, num_layers=1, num_heads=2, intermediate_size=8,
    max_positions=128,
)  # fmt: skip
PRETRAIN = PretrainConfig(model=_MODEL)
FINETUNE = FinetuneConfig(model=_MODEL, task=TaskConfig(labels=("no", "yes")))
ABLATION = AblationConfig(
    arms=(Arm("a"), Arm("b", search=("optim.learning_rate=1e-3", "optim.learning_rate=2e-3"))),
    control="a", question="Which rate?", base=PRETRAIN, seeds=2,
)  # fmt: skip
CONFIGS = {
    "pretrain": PRETRAIN, "finetune": FINETUNE, "ablate": ABLATION, "adapt": AdaptConfig()
}  # fmt: skip


def config_targets() -> Iterator[Target]:
    """`--config` of each verb, and overrides as they are typed, one a line."""
    for verb, cfg in CONFIGS.items():
        yield Target(
            f"config/{verb}", "config.json",
            lambda folder, cfg=cfg: load_config(folder / "config.json", type(cfg)),
            lambda cfg=cfg: [to_json(cfg).encode()],
        )  # fmt: skip
    typed = b'train.steps=10\ndata.phases=[{"seq_len": 32}]\ntrain.mesh.data=1\noptim.average=0.1'
    yield Target("overrides", "typed.txt", _override, lambda: [typed])


def _override(folder: Path) -> None:
    items = (folder / "typed.txt").read_text(errors="surrogateescape").split("\n")
    try:
        apply_overrides(PRETRAIN, items)
    except UserError as error:
        raise UserError(f"{folder}: {error}") from None  # which names an option, not a file
