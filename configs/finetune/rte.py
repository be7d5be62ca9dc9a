"""RTE: whether a sentence follows from another.

    bertjax finetune --config rte --init HF_DIR --workdir ft/rte \
        data.train=RTE/train.tsv data.dev=RTE/dev.tsv

Source: MosaicBERT's table, `bertjax.recipes.finetuning.glue_task`.
Published for BERT-base: 64.8 ± 1.0 accuracy on dev (cased, 5 seeds, transformers examples/flax
README); 66.4 on test. 81.4 for MosaicBERT starts from an MNLI model, as `--init ft/mnli` does
(convention mnli-init): the two are not to be compared.
TFDS: data.train=tfds:glue/rte:train data.dev=tfds:glue/rte:validation.
"""

from bertjax.config import ExamplesConfig, FinetuneConfig, TaskConfig
from bertjax.recipes.finetuning import glue_task


def get_config() -> FinetuneConfig:
    return glue_task(
        TaskConfig(name="rte"),
        ExamplesConfig(text="sentence1", text_pair="sentence2"),
    )
