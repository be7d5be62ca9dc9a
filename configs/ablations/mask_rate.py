"""How much is hidden: 15, 30 or 40 % of the pieces.

    bertjax ablate --config configs/ablations/mask_rate.py --workdir ab/rate \
        data.corpus=data/mycorpus

Source: Wettig et al. 2023, "Should You Mask 15% in Masked Language Modeling?".
Control: rate15. Held-out text is masked at 15 % for all arms, as the control was trained, so that a
higher rate that is better is so in spite of it.
"""

from bertjax.ablation_recipes import SMALL_BUDGET, small_base
from bertjax.config import AblationConfig, Arm


def get_config() -> AblationConfig:
    return AblationConfig(
        question="Should more than 15 % be masked?",
        base=small_base(),
        arms=tuple(
            Arm(f"rate{percent}", (f"masking.rate={percent / 100}",)) for percent in (15, 30, 40)
        ),
        control="rate15",
        budget=SMALL_BUDGET,
    )
