"""QQP: whether two questions of Quora ask the same.

    bertjax finetune --config qqp --init HF_DIR --workdir ft/qqp \
        data.train=QQP/train.tsv data.dev=QQP/dev.tsv

Source: MosaicBERT's table, `bertjax.recipes.finetuning.glue_task`.
Published for BERT-base: 90.76 ± 0.05 accuracy on dev (cased, 5 seeds, transformers examples/flax
README; convention dev-acc); F1 71.2, accuracy 89.2 on test (convention test-F1).
TFDS: data.train=tfds:glue/qqp:train data.label=label task.labels='["not_duplicate", "duplicate"]':
F1 is of the second label.
"""

from bertjax.config import ExamplesConfig, FinetuneConfig, TaskConfig
from bertjax.recipes.finetuning import glue_task


def get_config() -> FinetuneConfig:
    return glue_task(
        TaskConfig(name="qqp", labels=("0", "1")),
        ExamplesConfig(
            text="question1",
            text_pair="question2",
            label="is_duplicate",
            skip_bad_rows=True,  # some rows of the official train.tsv are broken in two
        ),
    )
