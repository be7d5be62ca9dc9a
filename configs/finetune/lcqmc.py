"""LCQMC: whether two Chinese questions ask the same.

    bertjax finetune --config lcqmc --init HF_DIR --workdir ft/lcqmc \
        data.train=lcqmc/train.tsv data.dev=lcqmc/dev.tsv data.test=lcqmc/test.tsv

Source: CLUEbenchmark/CLUE README: rows of 128 tokens, batches of 64, 3 epochs; the rate is ours.
Published for BERT-base: accuracy 89.4 (mean of ten seeds 88.4) on dev, 86.9 (86.4) on test
(ymcui/Chinese-BERT-wwm README).
"""

from bertjax.config import ExamplesConfig, FinetuneConfig, TaskConfig
from bertjax.recipes.finetuning import devlin_2019


def get_config() -> FinetuneConfig:
    return devlin_2019(
        TaskConfig(name="lcqmc"),
        ExamplesConfig(header=False, text="1", text_pair="2", label="3"),
        learning_rate=2e-5,
        batch_size=64,
    )
