"""Chunks of English, CoNLL-2000.

    bertjax finetune --config chunking_conll2000 --init HF_DIR \
        --workdir ft/chunking data.train=train.txt data.test=test.txt

Source: Devlin et al. 2019, A.3, `bertjax.recipes.finetuning.devlin_2019`.
Published: no score of BERT-base was checked at its source. There is no dev set: a tenth of train is
held out.
"""

from bertjax.config import ExamplesConfig, FinetuneConfig, TaskConfig
from bertjax.recipes.finetuning import devlin_2019


def get_config() -> FinetuneConfig:
    return devlin_2019(
        TaskConfig(family="tagging", name="chunking_conll2000", scheme="IOB2"),
        ExamplesConfig(layout="conll", text="1", label="-1", max_length=256),
        learning_rate=5e-5,
    )
