"""RoBERTa-base: 12 layers × 768, 12 heads, no token types, positions offset by two.

    bertjax pretrain --config roberta_base --workdir runs/roberta_base \
        data.corpus=data/mycorpus

Source: Liu et al. 2019 (arXiv 1907.11692) section 4 and table 9;
`bertjax.recipes.published.roberta_2019`.
Token budget: 500k steps × 8,192 rows × 512 tokens = 2.1 T tokens. The original vocabulary is
50,265 byte-level BPE pieces; here it is the corpus's tokenizer, whatever that is.
Published: GLUE dev average 86.4 (convention dev-acc; fairseq's README, the average second-hand).
"""

from bertjax.config import ModelConfig, PretrainConfig
from bertjax.recipes.published import roberta_2019


def get_config() -> PretrainConfig:
    return roberta_2019(
        ModelConfig(
            family="roberta",
            position_offset=2,
            type_vocab_size=1,
            layer_norm_eps=1e-5,
        )
    )
