"""SWAG: which of four sentences comes next.

    bertjax finetune --config swag --init HF_DIR --workdir ft/swag \
        data.train=swag/train.csv data.dev=swag/val.csv

Source: Devlin et al. 2019, section 4.4: batches of 16, rate 2e-5, 3 epochs.
Published for BERT-base: 81.6 accuracy on dev (Devlin et al. 2019, table 4).
"""

from bertjax.config import ExamplesConfig, FinetuneConfig, TaskConfig
from bertjax.recipes.finetuning import devlin_2019


def get_config() -> FinetuneConfig:
    return devlin_2019(
        TaskConfig(family="multiple_choice", name="swag"),
        ExamplesConfig(
            text="sent1",
            text_pair="sent2",  # how every ending begins
            choices=("ending0", "ending1", "ending2", "ending3"),
        ),
        learning_rate=2e-5,
        batch_size=16,
    )
