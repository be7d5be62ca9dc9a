"""New masks in each epoch, or a few fixed ones in turn.

    bertjax ablate --config static_dynamic --workdir ab/static \
        data.corpus=data/mycorpus

Source: Liu et al. 2019 (RoBERTa), section 4.1 and table 1; Devlin et al. 2019 had ten fixed masks a
row (dupe_factor).
Token budget: 8 M tokens a run.
Control: static10, BERT's. The arms differ from the second epoch of the corpus on (static1) and from
the eleventh (static10): a budget that ends before has nothing to compare.
"""

from bertjax.config import AblationConfig, Arm
from bertjax.recipes.ablations import SMALL_BUDGET, small_base


def get_config() -> AblationConfig:
    return AblationConfig(
        question="Do masks that are new in each epoch help?",
        base=small_base(),
        arms=(
            Arm("static10", ("masking.static_copies=10",)),
            Arm("static1", ("masking.static_copies=1",)),
            Arm("dynamic"),
        ),
        control="static10",
        budget=SMALL_BUDGET,
    )
