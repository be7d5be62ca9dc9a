"""Published masking variants by name, each with its source and where ours departs from it.

Departures common to all: masks are drawn on the device and keyed by (seed, epoch, row); a row
holds at most K prediction slots; padding is never touched. "Whole word" means the word starts
stored in the corpus (`##`, `▁`, `Ġ`, or jieba for Chinese).
"""

from __future__ import annotations

from bertjax.config import MaskingConfig

# google-research/bert create_pretraining_data.py. Ten fixed masks a row: dupe_factor 10.
GOOGLE_STATIC = MaskingConfig(random_ids="vocabulary", static_copies=10)

# The same with --do_whole_word_mask: budget in pieces, share drawn per piece.
GOOGLE_WWM = MaskingConfig(unit="word", random_ids="vocabulary", static_copies=10)

# ymcui/Chinese-BERT-wwm issue 13: Google's code over words of a segmenter. The original used LTP;
# ours are whatever segmented the corpus (jieba).
HFL_ZH = GOOGLE_WWM

# huggingface/transformers DataCollatorForLanguageModeling: independent draws, count may be 0.
HF = MaskingConfig(count="bernoulli", random_ids="vocabulary")

# AnswerDotAI/ModernBERT sequence_packer.py: 30 %, special tokens not protected, random ids up to
# the largest present. Ours takes the largest of the row, theirs of the whole batch.
MODERNBERT = MaskingConfig(
    rate=0.3, count="bernoulli", mask_specials=True, random_ids="row_max", count_specials=True
)

# JonasGeiping/cramming: exactly round(rate·T) of any positions, shares as exact counts.
CRAMMING = MaskingConfig(rate=0.25, exact_shares=True, mask_specials=True, random_ids="vocabulary")

# google-research/electra pretrain_helpers.py: with replacement, 85 % [MASK], never random. Theirs
# draws the share for each duplicate of a position, ours once for the position.
ELECTRA = MaskingConfig(mask_share=0.85, random_share=0.0, with_replacement=True)

# facebookresearch/fairseq mask_tokens_dataset.py (RoBERTa), which chooses among all tokens of a
# row, <s> and </s> too, and its --mask-whole-words, of which each special token is a word, which
# counts words and draws the share per word.
FAIRSEQ = MaskingConfig(count="fairseq", mask_specials=True, random_ids="non_special")
FAIRSEQ_WWM = MaskingConfig(
    unit="word",
    count="fairseq",
    count_unit="unit",
    share_unit="unit",
    mask_specials=True,
    random_ids="non_special",
)

# chandar-lab/NeoBERT: 20 %, every chosen token becomes [MASK].
NEOBERT = MaskingConfig(rate=0.2, count="bernoulli", mask_share=1.0, random_share=0.0)

# google-research flax_models/bert: floor(.15·n), every chosen token becomes [MASK].
FLAX_MODELS = MaskingConfig(count="floor", mask_share=1.0, random_share=0.0)

# PaddlePaddle/ERNIE 1.0 batching.py: a word is chosen by one draw, shares drawn per token. The
# original masks a share of its files by character instead; that is a property of a corpus here.
ERNIE1 = MaskingConfig(unit="word", count="bernoulli", random_ids="vocabulary")

# google-research/albert create_pretraining_data.py: up to three words, p(n) ∝ 1/n, dupe_factor 40.
ALBERT_NGRAM = MaskingConfig(unit="ngram", max_ngram=3, random_ids="vocabulary", static_copies=40)

# Joshi et al. 2020 (SpanBERT) section 3.1: Geometric(.2) up to ten words, one draw per span. Ours
# passes over a span that meets another and never cuts a word; facebookresearch/SpanBERT
# pretraining/fairseq/data/masking.py joins such spans and cuts where the budget ends.
SPANBERT = MaskingConfig(unit="span", span_p=0.2, span_max=10, share_unit="unit")

# zihangdai/xlnet data_utils.py: n ≤ 5, p(n) ∝ 1/n, exact number of predictions. Ours takes
# n-grams in random order; theirs walks left to right, leaving a context of 6·n tokens around
# each, and counts pieces where it means words (their PR 16).
XLNET_SPAN = MaskingConfig(unit="ngram", max_ngram=5, mask_share=1.0, random_share=0.0)

PRESETS = {
    "google_static": GOOGLE_STATIC,
    "google_wwm": GOOGLE_WWM,
    "hfl_zh": HFL_ZH,
    "hf": HF,
    "modernbert": MODERNBERT,
    "cramming": CRAMMING,
    "electra": ELECTRA,
    "fairseq": FAIRSEQ,
    "fairseq_wwm": FAIRSEQ_WWM,
    "neobert": NEOBERT,
    "flax_models": FLAX_MODELS,
    "ernie1": ERNIE1,
    "albert_ngram": ALBERT_NGRAM,
    "spanbert": SPANBERT,
    "xlnet_span": XLNET_SPAN,
}
