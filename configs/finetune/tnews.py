"""TNEWS: which of 15 topics a Chinese headline has.

    bertjax finetune --config tnews --init HF_DIR --workdir ft/tnews \
        data.train=tnews/train.tsv data.dev=tnews/dev.tsv

Source: CLUEbenchmark/CLUE README: rows of 128 tokens, batches of 32, 3 epochs; the rate is ours.
Published for BERT-base: 55.6 accuracy on test (the same; of the filtered set, version 1, which the
files of 53,360 and 10,000 rows are).
"""

from bertjax.config import ExamplesConfig, FinetuneConfig, TaskConfig
from bertjax.recipes.finetuning import devlin_2019


def get_config() -> FinetuneConfig:
    return devlin_2019(
        TaskConfig(name="tnews"),
        ExamplesConfig(header=False, text="1", label="2"),
        learning_rate=2e-5,
    )
