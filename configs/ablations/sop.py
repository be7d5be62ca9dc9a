"""What the label of two segments is: none, the next one or a random one, or which comes first.

    bertjax ablate --config configs/ablations/sop.py --workdir ab/sop data.corpus=data/mycorpus

Source: Lan et al. 2020 (ALBERT), section 3.1 and table 5; google-research/albert
create_pretraining_data.py, whose `sop` has random partners in documents of one sentence.
Control: off, two segments in order and no loss. The rows of NSP are half of them of two documents,
so nsp is compared with the same rows without its loss.
"""

from bertjax.ablation_recipes import SMALL_BUDGET, small_base
from bertjax.config import AblationConfig, Arm

PAIRS = ("data.format=segment_pair", "data.max_packed=4")
OFF = "train.next_sentence_loss=false"


def get_config() -> AblationConfig:
    return AblationConfig(
        question="Does a loss on pairs of segments help, and which?",
        base=small_base(),
        arms=(
            Arm("off", (*PAIRS, "data.pairs=sop_strict", OFF)),
            Arm("nsp_rows_off", (*PAIRS, "data.pairs=nsp", OFF)),
            Arm("nsp", (*PAIRS, "data.pairs=nsp"), against="nsp_rows_off"),
            Arm("sop", (*PAIRS, "data.pairs=sop")),
            Arm("sop_strict", (*PAIRS, "data.pairs=sop_strict")),
        ),
        control="off",
        budget=SMALL_BUDGET,
    )
