"""NSP or no NSP: four ways to make rows, and the loss on and off where rows are pairs.

    bertjax ablate --config nsp --workdir ab/nsp data.corpus=data/mycorpus

Source: Liu et al. 2019 (RoBERTa), section 4.2 and table 2, which has no arm with two segments and
without the loss; Devlin et al. 2019, table 5, has.
Token budget: 8 M tokens a run.
Control: full_sentences, rows without pairs. An arm with the loss is compared with the same rows
without it: that two segments in a row help or harm is the cheapest other explanation of what is
said of NSP. Short examples share rows, so that all arms see about as many real tokens.
"""

from bertjax.config import AblationConfig, Arm
from bertjax.recipes.ablations import SMALL_BUDGET, small_base


def get_config() -> AblationConfig:
    return AblationConfig(
        question="Does next-sentence prediction help, and is it the loss or the rows?",
        base=small_base(),
        arms=(
            *_pairs("segment_pair", "data.max_packed=4"),
            *_pairs("sentence_pair", "data.max_packed=8"),
            Arm("full_sentences-off", ("data.format=full_sentences",)),
            Arm("doc_sentences-off", ("data.format=doc_sentences", "data.max_packed=8")),
        ),
        control="full_sentences-off",
        budget=SMALL_BUDGET,
    )


def _pairs(shape: str, packed: str) -> tuple[Arm, Arm]:
    """Rows of two segments with the loss, and the same rows without."""
    off = f"{shape}-off"
    return (
        Arm(f"{shape}-nsp", (f"data.format={shape}+nsp", packed), against=off),
        Arm(off, (f"data.format={shape}+nsp_rows", packed)),
    )
