"""CLUENER: ten kinds of Chinese entities, by character.

    bertjax finetune --config cluener --init HF_DIR --workdir ft/cluener \
        data.train=cluener/train.jsonl data.dev=cluener/dev.jsonl

Source: Devlin et al. 2019, A.3, `bertjax.recipes.finetuning.devlin_2019`.
Published for BERT-base: 64.7 on test, the mean F1 of the ten kinds (CLUEbenchmark/CLUENER2020
README): a macro average, not the F1 over all entities.
"""

from bertjax.config import ExamplesConfig, FinetuneConfig, TaskConfig
from bertjax.recipes.finetuning import devlin_2019


def get_config() -> FinetuneConfig:
    return devlin_2019(
        TaskConfig(family="tagging", name="cluener", scheme="IOB2"),
        ExamplesConfig(layout="cluener"),
        learning_rate=5e-5,
    )
