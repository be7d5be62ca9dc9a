"""Any number of labels for each of your own texts.

    bertjax finetune --config multi_label --init HF_DIR --workdir ft/mine \
        data.train=my.jsonl \
        data.text=abstract data.label=topics

Source: Devlin et al. 2019, A.3, `bertjax.recipes.finetuning.devlin_2019`.
Published: none, it is your file. A tenth of it is held out as dev where data.dev names no other.
The label column holds `sports,politics`, in JSON also ["sports", "politics"]; blank: no label.
"""

from bertjax.config import ExamplesConfig, FinetuneConfig, TaskConfig
from bertjax.recipes.finetuning import devlin_2019


def get_config() -> FinetuneConfig:
    return devlin_2019(
        TaskConfig(family="multi_label", name="multi_label"),
        ExamplesConfig(),
    )
