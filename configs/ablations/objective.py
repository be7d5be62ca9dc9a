"""Masked LM, replaced tokens, or the next token before masked LM, at equal FLOPs.

    bertjax ablate --config objective --workdir ab/objective \
        data.corpus=data/mycorpus

Source: Clark et al. 2020 (ELECTRA), section 3.4; Charpentier and Samuel 2024 (GPT-BERT) for a model
that has learnt the next token as well.
Budget: 6e13 FLOPs a run.
Control: masked_lm, and small_masked_lm of the generator's own size: masks of replaced_tokens are
filled by its generator, so a lower loss than that of small_masked_lm is what the shared embeddings
are worth. What the detector has learnt shows in the probe `words` and in fine-tuning.
"""

from bertjax.config import AblationConfig, Arm, BudgetConfig
from bertjax.recipes.ablations import small_base

HALF = '"seq_len": 128, "batch_size": 32, "fraction": 0.5'
CAUSAL_FIRST = f'data.phases=[{{{HALF}, "attention": "causal"}}, {{{HALF}}}]'


def get_config() -> AblationConfig:
    return AblationConfig(
        question="Which objective, at equal FLOPs?",
        base=small_base(),
        arms=(
            Arm("masked_lm"),
            Arm("causal_then_masked", (CAUSAL_FIRST,)),
            Arm(
                "replaced_tokens",
                ("replaced_tokens.weight=50", "replaced_tokens.generator_size=0.5"),
                against="small_masked_lm",
            ),
            Arm(
                "small_masked_lm",
                ("model.hidden_size=64", "model.num_heads=1", "model.intermediate_size=256"),
            ),
        ),
        control="masked_lm",
        budget=BudgetConfig(flops=6e13),
    )
