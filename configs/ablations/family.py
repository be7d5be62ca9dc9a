"""Members of the family at equal minutes, judged by what their frozen states say of words.

    bertjax ablate --config family --workdir ab/family \
        data.corpus=data/mycorpus probes.tagged=train.conllu probes.tagged_test=test.conllu

Source: our own; the members are those of `architecture.py` and `objective.py`. Rows of 64 teach a
small model faster than longer ones (docs/LOG.md).
Budget: 10 minutes a run, compiling included. Nothing else should run meanwhile.
Control: bert. All members have its rates, which were chosen for it and searched for none.
"""

from dataclasses import replace

from bertjax.config import AblationConfig, Arm, BudgetConfig, Phase
from bertjax.recipes.ablations import ALBERT_LAYERS, MODERN_LAYERS, small_base

ROWS = '"seq_len": 64, "batch_size": 16'
CAUSAL_FIRST = (
    f'data.phases=[{{{ROWS}, "fraction": 0.3, "attention": "causal"}}, {{{ROWS}, "fraction": 0.7}}]'
)


def get_config() -> AblationConfig:
    base = small_base()
    rows = replace(base.data, phases=(Phase(seq_len=64, batch_size=16),))
    return AblationConfig(
        question="Which member of the family, at equal minutes?",
        base=replace(base, data=rows),
        arms=(
            Arm("bert"),
            Arm("electra", ("replaced_tokens.weight=50", "replaced_tokens.generator_size=0.5")),
            Arm("modernbert", MODERN_LAYERS),
            Arm("albert", ALBERT_LAYERS),
            Arm("causal_then_masked", (CAUSAL_FIRST,)),
        ),
        control="bert",
        budget=BudgetConfig(minutes=10),
        seeds=3,
        decides="words",
    )
