"""MobileBERT: 24 layers × 512, 128 wide inside, 4 heads, 4 feed-forwards a layer, words of 128.

    bertjax pretrain --config configs/mobilebert.py --workdir runs/x data.corpus=data/mycorpus

Source: Sun et al. 2020 (arXiv 2004.02984), table 1 and section 4.1; google-research/google-research
mobilebert/README.md and config/uncased_L-24_H-128_B-512_A-4_F-4_OPT.json.
Departures: no teacher. The published one was first taught an IB-BERT-large's layers, one by one,
for 240k steps, and then half its words for 500k; here it learns those from text alone.
Token budget: 500k steps × 2,048 rows of 512 tokens = 524 G tokens.
Published: 25.3M parameters without the head's table of 11.7M; GLUE test 77.7 with the teacher.
"""

from bertjax.config import (
    DataConfig,
    ModelConfig,
    OptimConfig,
    Phase,
    PretrainConfig,
    TrainConfig,
)


def get_config() -> PretrainConfig:
    return PretrainConfig(
        model=ModelConfig(
            family="mobilebert",
            hidden_size=512,
            num_layers=24,
            num_heads=4,
            intermediate_size=512,
            bottleneck_size=128,
            feed_forwards=4,
            embedding_size=128,
            trigram=True,
            activation="relu",
            norm_kind="affine",
            wide_head=True,
            pooler="none",
            hidden_dropout=0.0,
        ),
        data=DataConfig(phases=(Phase(512, 2048),)),
        optim=OptimConfig(optimizer="lamb", learning_rate=1.5e-3, warmup_fraction=0.02),
        train=TrainConfig(
            steps=500_000,
            log_every=50,
            eval_every=5_000,
            eval_rows=4096,
            checkpoint_every=1_000,
        ),
    )
