"""A number for your own texts or pairs of texts.

    bertjax finetune --config regression --init HF_DIR --workdir ft/mine \
        data.train=my.csv \
        data.text=review data.label=stars

Source: Devlin et al. 2019, A.3, `bertjax.recipes.finetuning.devlin_2019`.
Published: none, it is your file. A tenth of it is held out as dev where data.dev names no other.
Numbers far from 0 and 1 in size train slowly: scale the column first.
"""

from bertjax.config import ExamplesConfig, FinetuneConfig, TaskConfig
from bertjax.recipes.finetuning import devlin_2019


def get_config() -> FinetuneConfig:
    return devlin_2019(
        TaskConfig(family="regression", name="regression"),
        ExamplesConfig(),
    )
