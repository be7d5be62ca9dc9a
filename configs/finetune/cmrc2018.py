"""CMRC 2018: the span of a Chinese paragraph that answers a question.

    bertjax finetune --config cmrc2018 --init HF_DIR --workdir ft/cmrc2018 \
        data.train=cmrc2018_train.json data.dev=cmrc2018_dev.json

Source: google-research/bert README and run_squad.py: batches of 12, rate 3e-5, 2 epochs, windows of
384 tokens every 128, questions of 64, answers of 30.
Published for BERT-base: EM 65.5 (mean of ten seeds 64.4), F1 84.5 (84.0) on dev
(ymcui/Chinese-BERT-wwm README; the batch of theirs is not this one).
"""

from bertjax.config import ExamplesConfig, FinetuneConfig, TaskConfig
from bertjax.recipes.finetuning import devlin_2019


def get_config() -> FinetuneConfig:
    return devlin_2019(
        TaskConfig(family="span_qa", name="cmrc2018", scoring="cmrc"),
        ExamplesConfig(
            layout="squad",
            max_length=384,
            window_step=128,
            skip_bad_rows=True,  # answers that do not stand in their context
        ),
        epochs=2,
        batch_size=12,
    )
