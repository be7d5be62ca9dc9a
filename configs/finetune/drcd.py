"""DRCD: the span of a paragraph in traditional Chinese that answers a question.

    bertjax finetune --config drcd --init HF_DIR --workdir ft/drcd \
        data.train=DRCD_training.json data.dev=DRCD_dev.json data.test=DRCD_test.json

Source: google-research/bert README and run_squad.py: batches of 12, rate 3e-5, 2 epochs, windows of
384 tokens every 128, questions of 64, answers of 30.
Published for BERT-base: EM 83.1 (mean of ten seeds 82.7), F1 89.9 (89.6) on dev; 82.2 (81.6) and
89.2 (88.8) on test (ymcui/Chinese-BERT-wwm README; the batch of theirs is not this one).
"""

from bertjax.config import ExamplesConfig, FinetuneConfig, TaskConfig
from bertjax.recipes.finetuning import devlin_2019


def get_config() -> FinetuneConfig:
    return devlin_2019(
        TaskConfig(family="span_qa", name="drcd", scoring="cmrc"),
        ExamplesConfig(
            layout="squad",
            max_length=384,
            window_step=128,
        ),
        epochs=2,
        batch_size=12,
    )
