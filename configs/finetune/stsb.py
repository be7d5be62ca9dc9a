"""STS-B: how similar two sentences are, from 0 to 5.

    bertjax finetune --config stsb --init HF_DIR --workdir ft/stsb \
        data.train=STS-B/train.tsv data.dev=STS-B/dev.tsv

Source: MosaicBERT's table, `bertjax.recipes.finetuning.glue_task`.
Published for BERT-base: Pearson 88.9 ± 0.1 on dev (cased, 5 seeds, transformers examples/flax
README); Spearman 85.8, Pearson 87.1 on test. 89.3 for MosaicBERT starts from an MNLI model, as
`--init ft/mnli` does (convention mnli-init).
TFDS: data.train=tfds:glue/stsb:train data.label=label.
"""

from bertjax.config import ExamplesConfig, FinetuneConfig, TaskConfig
from bertjax.recipes.finetuning import glue_task


def get_config() -> FinetuneConfig:
    return glue_task(
        TaskConfig(family="regression", name="stsb"),
        ExamplesConfig(text="sentence1", text_pair="sentence2", label="score"),
    )
