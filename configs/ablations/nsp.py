"""NSP or no NSP: four ways to make rows, and the loss on and off where rows are pairs.

    bertjax ablate --config configs/ablations/nsp.py --workdir ab/nsp data.corpus=data/mycorpus

Source: Liu et al. 2019 (RoBERTa), section 4.2 and table 2, which has no arm with two segments and
without the loss; Devlin et al. 2019, table 5, has.
Control: full_sentences, rows without pairs. An arm with the loss is compared with the same rows
without it: that two segments in a row help or harm is the cheapest other explanation of what is
said of NSP. Short examples share rows, so that all arms see about as many real tokens.
"""

from bertjax.ablation_recipes import SMALL_BUDGET, small_base
from bertjax.config import AblationConfig, crossed

ROWS = {
    "segment_pair": ["data.format=segment_pair", "data.max_packed=4"],
    "sentence_pair": ["data.format=sentence_pair", "data.max_packed=8"],
    "full_sentences": ["data.format=full_sentences"],
    "doc_sentences": ["data.format=doc_sentences", "data.max_packed=8"],
}
LOSS = {"nsp": ["train.next_sentence_loss=true"], "off": ["train.next_sentence_loss=false"]}


def get_config() -> AblationConfig:
    return AblationConfig(
        question="Does next-sentence prediction help, and is it the loss or the rows?",
        base=small_base(),
        arms=crossed(
            ROWS,
            LOSS,
            without=["full_sentences-nsp", "doc_sentences-nsp"],
            against={
                "segment_pair-nsp": "segment_pair-off",
                "sentence_pair-nsp": "sentence_pair-off",
            },
        ),
        control="full_sentences-off",
        budget=SMALL_BUDGET,
    )
