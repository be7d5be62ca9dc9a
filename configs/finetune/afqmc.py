"""AFQMC: whether two questions of Chinese customers ask the same.

    bertjax finetune --config afqmc --init HF_DIR --workdir ft/afqmc \
        data.train=afqmc/train.tsv data.dev=afqmc/dev.tsv

Source: Devlin et al. 2019, A.3, `bertjax.recipes.finetuning.devlin_2019`.
Published: no score of BERT-base was checked at its source. 69 % of dev have label 0.
"""

from bertjax.config import ExamplesConfig, FinetuneConfig, TaskConfig
from bertjax.recipes.finetuning import devlin_2019


def get_config() -> FinetuneConfig:
    return devlin_2019(
        TaskConfig(name="afqmc"),
        ExamplesConfig(header=False, text="1", text_pair="2", label="3"),
        learning_rate=2e-5,
    )
