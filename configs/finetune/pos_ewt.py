"""Universal part-of-speech tags of English, UD_English-EWT.

    bertjax finetune --config pos_ewt --init HF_DIR --workdir ft/pos_ewt \
        data.train=en_ewt-ud-train.conllu data.dev=en_ewt-ud-dev.conllu \
        data.test=en_ewt-ud-test.conllu

Source: Devlin et al. 2019, A.3, `bertjax.recipes.finetuning.devlin_2019`.
Published: no score of BERT-base was checked at its source.
XPOS instead of UPOS: data.label=5.
"""

from bertjax.config import ExamplesConfig, FinetuneConfig, TaskConfig
from bertjax.recipes.finetuning import devlin_2019


def get_config() -> FinetuneConfig:
    return devlin_2019(
        TaskConfig(family="tagging", name="pos_ewt"),
        ExamplesConfig(layout="conllu", text="2", label="4", max_length=256),
        learning_rate=5e-5,
    )
