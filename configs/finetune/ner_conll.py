"""Named entities in columns, CoNLL-2003 and files like it.

    bertjax finetune --config ner_conll --init HF_DIR --workdir ft/ner_conll \
        data.train=eng.train data.dev=eng.testa data.test=eng.testb

Source: Devlin et al. 2019, section 5.3: first pieces of words are tagged, A.3 for the rest.
Published for BERT-base, cased: F1 96.4 on dev, 92.4 on test, with the document as context, which
this lacks (Devlin et al. 2019, table 7).
The original files are in IOB1; most copies and other sets are in IOB2: task.scheme=IOB2.
"""

from bertjax.config import ExamplesConfig, FinetuneConfig, TaskConfig
from bertjax.recipes.finetuning import devlin_2019


def get_config() -> FinetuneConfig:
    return devlin_2019(
        TaskConfig(family="tagging", name="ner_conll", scheme="IOB1", train_scheme="IOB2"),
        ExamplesConfig(layout="conll", text="1", label="-1", max_length=256),
        learning_rate=5e-5,
    )
