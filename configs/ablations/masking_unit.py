"""What is hidden together: pieces, words, runs of up to three words, or spans.

    bertjax ablate --config masking_unit --workdir ab/unit \
        data.corpus=data/mycorpus

Source: Joshi et al. 2020 (SpanBERT), table 6; Levine et al. 2021 (PMI-Masking) for n-grams.
Token budget: 8 M tokens a run.
Control: piece. All arms hide 15 % of the pieces and replace them alike, so that the unit alone
differs: the published variants differ in shares and counts as well (`bertjax.objectives.presets`).
"""

from bertjax.config import AblationConfig, Arm
from bertjax.recipes.ablations import SMALL_BUDGET, small_base


def get_config() -> AblationConfig:
    return AblationConfig(
        question="Does it matter what is masked together?",
        base=small_base(),
        arms=tuple(
            Arm(unit, (f"masking.unit={unit}",)) for unit in ("piece", "word", "ngram", "span")
        ),
        control="piece",
        budget=SMALL_BUDGET,
    )
