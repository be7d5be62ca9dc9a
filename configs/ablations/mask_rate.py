"""How much is hidden: 15, 30 or 40 % of the pieces, or 30 % falling to 15.

    bertjax ablate --config mask_rate --workdir ab/rate \
        data.corpus=data/mycorpus

Source: Wettig et al. 2023, "Should You Mask 15% in Masked Language Modeling?"; Yang et al. 2023 for
the rate that falls, which is compared with the rate it begins with.
Token budget: 8 M tokens a run.
Control: rate15. Held-out text is masked at 15 % for all arms, as the control was trained, so that a
higher rate that is better is so in spite of it.
"""

from bertjax.config import AblationConfig, Arm
from bertjax.recipes.ablations import SMALL_BUDGET, small_base


def get_config() -> AblationConfig:
    return AblationConfig(
        question="Should more than 15 % be masked?",
        base=small_base(),
        arms=(
            *(Arm(f"rate{share}", (f"masking.rate={share / 100}",)) for share in (15, 30, 40)),
            Arm("rate30_to_15", ("data.phases.0.mask_rate=0.3,0.15",), against="rate30"),
        ),
        control="rate15",
        budget=SMALL_BUDGET,
    )
