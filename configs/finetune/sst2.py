"""SST-2: the sentiment of a sentence.

    bertjax finetune --config sst2 --init HF_DIR --workdir ft/sst2 \
        data.train=SST-2/train.tsv data.dev=SST-2/dev.tsv

Source: MosaicBERT's table, `bertjax.recipes.finetuning.glue_task`.
Published for BERT-base: 92.2 ± 0.6 accuracy on dev (cased, 5 seeds, transformers examples/flax
README; convention dev-acc); 93.5 on test (convention test-F1). Without pretraining: 79.9 on dev.
TFDS: data.train=tfds:glue/sst2:train data.dev=tfds:glue/sst2:validation.
"""

from bertjax.config import ExamplesConfig, FinetuneConfig, TaskConfig
from bertjax.recipes.finetuning import glue_task


def get_config() -> FinetuneConfig:
    return glue_task(
        TaskConfig(name="sst2"),
        ExamplesConfig(text="sentence"),
    )
