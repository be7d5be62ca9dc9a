"""AdamW, LAMB or Muon, each at the best of its own rates.

    bertjax ablate --config optimizer --workdir ab/optimizer \
        data.corpus=data/mycorpus

Source: You et al. 2020 (LAMB); Liu et al. 2025 (Muon).
Token budget: 8 M tokens a run.
Control: adamw. A rate that suits one of them is the cheapest other explanation, so each has a
search of its own, of equal size, on a seed that is compared nowhere; the report has the search.
"""

from bertjax.config import AblationConfig, Arm
from bertjax.recipes.ablations import SMALL_BUDGET, small_base

RATES = {
    "adamw": ("5e-4", "1e-3", "2e-3", "4e-3"),
    "lamb": ("2e-3", "4e-3", "8e-3", "1.6e-2"),
    "muon": ("1e-3", "2e-3", "4e-3", "8e-3"),
}


def get_config() -> AblationConfig:
    return AblationConfig(
        question="Which optimizer, each at its own rate?",
        base=small_base(),
        arms=tuple(
            Arm(
                name,
                (f"optim.optimizer={name}",),
                search=tuple(f"optim.learning_rate={rate}" for rate in rates),
            )
            for name, rates in RATES.items()
        ),
        control="adamw",
        budget=SMALL_BUDGET,
    )
