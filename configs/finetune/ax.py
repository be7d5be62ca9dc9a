"""AX, the diagnostic set of GLUE: MNLI's question on sentences made to probe phenomena.

    bertjax finetune --config ax --init HF_DIR --workdir ft/ax \
        data.train=MNLI/train.tsv data.dev=MNLI/dev_matched.tsv
    bertjax predict ft/ax --input diagnostic.tsv --out ax.jsonl --submission AX.tsv

It has no training set: this is mnli.py, chosen by the Matthews correlation that AX is scored by. An
MNLI model that is there already predicts it as well.
Published for BERT-base: 34.2 on test.
"""

from bertjax.config import ExamplesConfig, FinetuneConfig, TaskConfig
from bertjax.recipes.finetuning import glue_task


def get_config() -> FinetuneConfig:
    return glue_task(
        TaskConfig(name="ax", labels=("contradiction", "entailment", "neutral"), metric="mcc"),
        ExamplesConfig(text="sentence1", text_pair="sentence2", label="gold_label"),
        like="mnli",
    )
