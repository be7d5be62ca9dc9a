"""QNLI: whether a sentence holds the answer to a question.

    bertjax finetune --config qnli --init HF_DIR --workdir ft/qnli \
        data.train=QNLI/train.tsv data.dev=QNLI/dev.tsv

Source: MosaicBERT's table, `bertjax.recipes.finetuning.glue_task`.
Published for BERT-base: 90.8 ± 0.2 accuracy on dev (cased, 5 seeds, transformers examples/flax
README); 90.5 on test. Without pretraining: 50.0 on dev.
TFDS: data.train=tfds:glue/qnli:train data.dev=tfds:glue/qnli:validation.
"""

from bertjax.config import ExamplesConfig, FinetuneConfig, TaskConfig
from bertjax.recipes.finetuning import glue_task


def get_config() -> FinetuneConfig:
    return glue_task(
        TaskConfig(name="qnli"),
        ExamplesConfig(text="question", text_pair="sentence"),
    )
