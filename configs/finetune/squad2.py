"""SQuAD 2.0: the span of a paragraph that answers a question, or that there is none.

    bertjax finetune --config squad2 --init HF_DIR --workdir ft/squad2 \
        data.train=train-v2.0.json data.dev=dev-v2.0.json

Source: google-research/bert README and run_squad.py: batches of 24, rate 3e-5, 2 epochs, windows of
384 tokens every 128, questions of 64, answers of 30.
Published: no score of BERT-base was checked at its source; RoBERTa-large has F1 89.4, EM 86.5 on
dev. The threshold for no answer is tuned on dev, as theirs are.
"""

from bertjax.config import ExamplesConfig, FinetuneConfig, TaskConfig
from bertjax.recipes.finetuning import devlin_2019


def get_config() -> FinetuneConfig:
    return devlin_2019(
        TaskConfig(family="span_qa", name="squad2", no_answer=True),
        ExamplesConfig(
            layout="squad",
            max_length=384,
            window_step=128,
        ),
        epochs=2,
        batch_size=24,
    )
