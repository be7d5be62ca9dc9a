"""Every option, as frozen dataclasses that validate themselves.

These files are the schema and nothing else: no files are read and no JAX is imported. A recipe in
`configs/` returns a `PretrainConfig`, a `FinetuneConfig` or an `AblationConfig`;
`bertjax.overrides` changes single fields from the command line and turns a config into JSON and
back.

Shapes are written with these letters everywhere in the package: B rows in a batch, T tokens in a
row, D hidden size, N attention heads, H size of one head, F feed-forward size, V vocabulary,
K prediction slots in a row, M examples packed in a row, C classes, W words in a row.
"""

from bertjax.config.ablation import (
    HELD_OUT,
    MOST_SEEDS,
    AblationConfig,
    Arm,
    BudgetConfig,
    ProbesConfig,
    crossed,
)
from bertjax.config.adapt import AdaptConfig, ComparedConfig, NewWordsConfig, ReplayConfig
from bertjax.config.data import DataConfig, Phase, PhaseSchedule, WeightedCorpus
from bertjax.config.few_weights import LORA_TARGETS, METHODS, AdapterConfig, LoraConfig
from bertjax.config.finetune import (
    POOLED,
    SENTENCE_FAMILIES,
    ExamplesConfig,
    FinetuneConfig,
    HeadConfig,
    TaskConfig,
)
from bertjax.config.model import MAX_FEED_FORWARDS, LayerSpec, ModelConfig
from bertjax.config.optim import OptimConfig
from bertjax.config.pretrain import (
    MaskingConfig,
    MeshConfig,
    PretrainConfig,
    ReplacedTokensConfig,
    TrainConfig,
)
from bertjax.config.transfer import TransferConfig
from bertjax.config.tune import TuneConfig

__all__ = [
    "HELD_OUT",
    "LORA_TARGETS",
    "MAX_FEED_FORWARDS",
    "METHODS",
    "MOST_SEEDS",
    "POOLED",
    "SENTENCE_FAMILIES",
    "AblationConfig",
    "AdaptConfig",
    "AdapterConfig",
    "Arm",
    "BudgetConfig",
    "ComparedConfig",
    "DataConfig",
    "ExamplesConfig",
    "FinetuneConfig",
    "HeadConfig",
    "LayerSpec",
    "LoraConfig",
    "MaskingConfig",
    "MeshConfig",
    "ModelConfig",
    "NewWordsConfig",
    "OptimConfig",
    "Phase",
    "PhaseSchedule",
    "PretrainConfig",
    "ProbesConfig",
    "ReplacedTokensConfig",
    "ReplayConfig",
    "TaskConfig",
    "TrainConfig",
    "TransferConfig",
    "TuneConfig",
    "WeightedCorpus",
    "crossed",
]
