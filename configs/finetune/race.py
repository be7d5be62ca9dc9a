"""RACE: which of four answers to a question about an article is right.

    bertjax finetune --config race --init HF_DIR --workdir ft/race \
        data.train=RACE/train data.dev=RACE/dev data.test=RACE/test

Source: Devlin et al. 2019, A.3, with rows of 512 tokens: articles are long.
Published: no score of BERT-base was checked at its source.
The directories are as distributed. Your own table: data.text=COLUMN, data.text_pair=COLUMN of the
question.
"""

from bertjax.config import ExamplesConfig, FinetuneConfig, TaskConfig
from bertjax.recipes.finetuning import devlin_2019


def get_config() -> FinetuneConfig:
    return devlin_2019(
        TaskConfig(family="multiple_choice", name="race"),
        ExamplesConfig(choices=("A", "B", "C", "D"), max_length=512),
        learning_rate=2e-5,
        batch_size=16,
    )
