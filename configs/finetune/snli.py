"""SNLI: whether a sentence follows from another, contradicts it, or neither.

    bertjax finetune --config snli --init HF_DIR --workdir ft/snli \
        data.train=SNLI/train.tsv data.dev=SNLI/dev.tsv data.test=SNLI/test.tsv

Source: MosaicBERT's table, `bertjax.recipes.finetuning.glue_task` with MNLI's setting: theirs has
no SNLI.
Published: no score of BERT-base was checked at its source.
TFDS: data.train=tfds:snli:train data.text=premise data.text_pair=hypothesis data.label=label.
"""

from bertjax.config import ExamplesConfig, FinetuneConfig, TaskConfig
from bertjax.recipes.finetuning import glue_task


def get_config() -> FinetuneConfig:
    return glue_task(
        TaskConfig(name="snli", labels=("contradiction", "entailment", "neutral")),
        ExamplesConfig(
            text="sentence1",
            text_pair="sentence2",
            label="gold_label",
            skip_bad_rows=True,  # annotators did not agree: gold_label is "-"
        ),
        like="mnli",
    )
