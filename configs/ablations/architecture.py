"""BERT's layers, ModernBERT's, or ALBERT's: 4 layers × 128, at equal FLOPs.

    bertjax ablate --config architecture --workdir ab/architecture \
        data.corpus=data/mycorpus

Source: Lan et al. 2020 (ALBERT), section 3.1; Warner et al. 2024 (ModernBERT), section 2.1.
Budget: 6e13 FLOPs a run.
Control: bert. Norms before the branches alone are the cheapest other explanation of what
modernbert's rotary positions, gated layers and missing biases do, so bert_pre_norm is an arm.
"""

from bertjax.config import AblationConfig, Arm, BudgetConfig
from bertjax.recipes.ablations import ALBERT_LAYERS, MODERN_LAYERS, small_base


def get_config() -> AblationConfig:
    return AblationConfig(
        question="Which layers, at equal FLOPs?",
        base=small_base(),
        arms=(
            Arm("bert"),
            Arm("bert_pre_norm", ("model.norm=pre",)),
            Arm("modernbert", MODERN_LAYERS, against="bert_pre_norm"),
            Arm("albert", ALBERT_LAYERS),
        ),
        control="bert",
        budget=BudgetConfig(flops=6e13),
    )
