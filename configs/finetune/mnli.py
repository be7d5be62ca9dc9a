"""MNLI: whether a sentence follows from another, contradicts it, or neither.

    bertjax finetune --config mnli --init HF_DIR --workdir ft/mnli \
        data.train=MNLI/train.tsv data.dev=MNLI/dev_matched.tsv data.test=MNLI/dev_mismatched.tsv

Source: MosaicBERT's table, `bertjax.recipes.finetuning.glue_task`.
Published for BERT-base: 83.8 ± 0.2 accuracy on dev, matched (cased, 5 seeds, transformers
examples/flax README); 84.6 matched, 83.4 mismatched on test.
TFDS: data.train=tfds:glue/mnli:train data.text=premise data.text_pair=hypothesis data.label=label.
"""

from bertjax.config import ExamplesConfig, FinetuneConfig, TaskConfig
from bertjax.recipes.finetuning import glue_task


def get_config() -> FinetuneConfig:
    return glue_task(
        TaskConfig(name="mnli", labels=("contradiction", "entailment", "neutral")),
        ExamplesConfig(text="sentence1", text_pair="sentence2", label="gold_label"),
    )
