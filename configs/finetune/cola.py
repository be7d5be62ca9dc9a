"""CoLA: whether a sentence is acceptable English.

    bertjax finetune --config cola --init HF_DIR --workdir ft/cola \
        data.train=CoLA/train.tsv data.dev=CoLA/dev.tsv

Source: MosaicBERT's table, `bertjax.recipes.finetuning.glue_task`.
Published for BERT-base: Matthews correlation 59.0 ± 1.1 on dev (cased, 5 seeds, transformers
examples/flax README); 52.1 on test. Small models and models without pretraining collapse to one
class: 0.0.
The files have no header, but test.tsv does: predict `tail -n +2 test.tsv | cut -f 2 > test.txt`.
TFDS: data.train=tfds:glue/cola:train data.text=sentence data.label=label.
"""

from bertjax.config import ExamplesConfig, FinetuneConfig, TaskConfig
from bertjax.recipes.finetuning import glue_task


def get_config() -> FinetuneConfig:
    return glue_task(
        TaskConfig(name="cola", metric="mcc"),
        ExamplesConfig(header=False, text="4", label="2"),
    )
