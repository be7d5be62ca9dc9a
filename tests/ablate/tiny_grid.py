"""An ablation small enough to train in seconds, and the command that does."""

from __future__ import annotations

from pathlib import Path

RECIPE = """
from bertjax.config import *


def get_config():
    return AblationConfig(
        question="Does next-sentence prediction help?",
        base=PretrainConfig(
            model=ModelConfig(
                hidden_size=32, num_layers=1, num_heads=2, intermediate_size=64, max_positions=32,
                hidden_dropout=0.0, attention_dropout=0.0,
            ),
            data=DataConfig(format="segment_pair+nsp", phases=(Phase(32, 16),)),
            optim=OptimConfig(learning_rate=1e-2, warmup_fraction=0.1, bias_correction=True),
            train=TrainConfig(
                log_every=20, eval_every=20, eval_rows=32, checkpoint_every=25, keep_checkpoints=1
            ),
        ),
        arms=(Arm("nsp"), Arm("off", ("data.format=segment_pair+nsp_rows",))),
        control="off",
        budget=BudgetConfig(tokens=60 * 16 * 32),
        seeds=2,
    )
"""


def argv(ablation: Path, workdir: Path, corpus: Path, pairs: Path, *more: str) -> list[str]:
    place = ["ablate", "--config", str(ablation), "--workdir", str(workdir)]
    return [*place, f"data.corpus={corpus}", f"probes.pairs={pairs}", *more]
