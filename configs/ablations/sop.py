"""What the label of two segments is: none, the next one or a random one, or which comes first.

    bertjax ablate --config sop --workdir ab/sop data.corpus=data/mycorpus

Source: Lan et al. 2020 (ALBERT), section 3.1 and table 5; google-research/albert
create_pretraining_data.py, whose `sop` has random partners in documents of one sentence.
Token budget: 8 M tokens a run.
Control: off, two segments of one document in either order, and no loss. The rows of NSP are half of
them of two documents, so nsp is compared with the same rows without its loss.
"""

from bertjax.config import AblationConfig, Arm
from bertjax.recipes.ablations import SMALL_BUDGET, small_base

PACKED = "data.max_packed=4"


def get_config() -> AblationConfig:
    return AblationConfig(
        question="Does a loss on pairs of segments help, and which?",
        base=small_base(),
        arms=(
            Arm("off", ("data.format=segment_pair+sop_strict_rows", PACKED)),
            Arm("nsp_rows_off", ("data.format=segment_pair+nsp_rows", PACKED)),
            Arm("nsp", ("data.format=segment_pair+nsp", PACKED), against="nsp_rows_off"),
            Arm("sop", ("data.format=segment_pair+sop", PACKED)),
            Arm("sop_strict", ("data.format=segment_pair+sop_strict", PACKED)),
        ),
        control="off",
        budget=SMALL_BUDGET,
    )
