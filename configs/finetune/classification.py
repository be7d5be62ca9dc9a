"""Classification of your own texts or pairs of texts.

    bertjax finetune --config classification --init HF_DIR --workdir ft/mine \
        data.train=my.tsv \
        data.text=review data.label=stars

Source: Devlin et al. 2019, A.3, `bertjax.recipes.finetuning.devlin_2019`.
Published: none, it is your file. A tenth of it is held out as dev where data.dev names no other.
Pairs: data.text_pair=COLUMN. A file without a header: data.header=false data.text=1 data.label=-1.
Long texts: data.max_length=512, and data.truncation=middle or data.window_step=256.
"""

from bertjax.config import ExamplesConfig, FinetuneConfig, TaskConfig
from bertjax.recipes.finetuning import devlin_2019


def get_config() -> FinetuneConfig:
    return devlin_2019(
        TaskConfig(name="classification"),
        ExamplesConfig(),
    )
