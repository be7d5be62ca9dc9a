"""MRPC: whether two sentences paraphrase each other.

    bertjax finetune --config mrpc --init HF_DIR --workdir ft/mrpc \
        data.train=MRPC/train.tsv data.dev=MRPC/dev.tsv

Source: MosaicBERT's table, `bertjax.recipes.finetuning.glue_task`.
Published for BERT-base: 84.4 ± 1.1 accuracy on dev (cased, 5 seeds, transformers examples/flax
README; convention dev-acc); F1 88.9, accuracy 84.8 on test (convention test-F1). 90.0 for
MosaicBERT starts from an MNLI model, as `--init ft/mnli` does (convention mnli-init). Seeds differ
much.
TFDS: data.train=tfds:glue/mrpc:train data.text=sentence1 data.text_pair=sentence2 data.label=label
task.labels='["not_equivalent", "equivalent"]': F1 is of the second label.
"""

from bertjax.config import ExamplesConfig, FinetuneConfig, TaskConfig
from bertjax.recipes.finetuning import glue_task


def get_config() -> FinetuneConfig:
    return glue_task(
        TaskConfig(name="mrpc", labels=("0", "1"), metric="f1"),
        ExamplesConfig(text="#1 String", text_pair="#2 String", label="Quality"),
    )
