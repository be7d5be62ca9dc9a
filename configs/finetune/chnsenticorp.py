"""ChnSentiCorp: the sentiment of a Chinese review.

    bertjax finetune --config chnsenticorp --init HF_DIR --workdir ft/chn \
        data.train=chnsenticorp/train.tsv data.dev=chnsenticorp/dev.tsv

Source: Devlin et al. 2019, A.3, `bertjax.recipes.finetuning.devlin_2019`.
Published: no score of BERT-base was checked at its source.
The files have no header, but test.tsv does: predict `tail -n +2 test.tsv | cut -f 2 > test.txt`.
"""

from bertjax.config import ExamplesConfig, FinetuneConfig, TaskConfig
from bertjax.recipes.finetuning import devlin_2019


def get_config() -> FinetuneConfig:
    return devlin_2019(
        TaskConfig(name="chnsenticorp"),
        ExamplesConfig(header=False, text="1", label="2", max_length=256),
        learning_rate=2e-5,
    )
