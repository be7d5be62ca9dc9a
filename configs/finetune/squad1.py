"""SQuAD 1.1: the span of a paragraph that answers a question.

    bertjax finetune --config squad1 --init HF_DIR --workdir ft/squad1 \
        data.train=train-v1.1.json data.dev=dev-v1.1.json

Source: google-research/bert README and run_squad.py: batches of 12, rate 3e-5, 2 epochs, windows of
384 tokens every 128, questions of 64, answers of 30.
Published for BERT-base, uncased: F1 88.4, EM 81.3 on dev (the same README). Seeds: sd 0.16 F1.
"""

from bertjax.config import ExamplesConfig, FinetuneConfig, TaskConfig
from bertjax.recipes.finetuning import devlin_2019


def get_config() -> FinetuneConfig:
    return devlin_2019(
        TaskConfig(family="span_qa", name="squad1"),
        ExamplesConfig(
            layout="squad",
            max_length=384,
            window_step=128,
        ),
        epochs=2,
        batch_size=12,
    )
