"""all-MiniLM-L6-v2, a published BERT, imported and run beside transformers on real sentences."""

from __future__ import annotations

import lzma
from functools import partial

import jax
import numpy as np
import pytest
import torch
import transformers
import xla_flags

from bertjax import huggingface, model

B, T = 20, 64


@pytest.fixture(scope="module")
def sentences(shared_data) -> list[str]:
    """100 questions from the whole range of lengths."""
    with lzma.open(shared_data / "quora_devtest" / "dev.tsv.xz", "rt", encoding="utf-8") as lines:
        questions = sorted({field for line in lines for field in line.split("\t")[:2]}, key=len)
    picked = [questions[i] for i in np.linspace(0, len(questions) - 1, 100).astype(int)]
    return [picked[i] for i in np.random.default_rng(0).permutation(100)]


def test_token_embeddings_equal_those_of_transformers(checkpoint, sentences) -> None:
    imported = huggingface.import_model(checkpoint)
    assert imported.cfg.num_layers == 6 and imported.cfg.hidden_size == 384
    assert imported.ignored == []
    assert {path.split("/")[0] for path in imported.fresh} == {"masked_lm", "next_sentence"}
    loaded = sum(leaf.size for leaf in jax.tree.leaves(imported.params["pooler"]))
    loaded += sum(
        leaf.size
        for name in ("embeddings", *(f"layer_{i}" for i in range(6)))
        for leaf in jax.tree.leaves(imported.params[name])
    )
    padding = (imported.cfg.padded_vocab_size - imported.cfg.vocab_size) * 384
    assert loaded - padding == 22_713_216

    tokenizer = imported.tokenizer
    assert tokenizer is not None
    theirs = transformers.AutoTokenizer.from_pretrained(checkpoint)
    reference = transformers.BertModel.from_pretrained(checkpoint).eval()
    hidden = jax.jit(partial(_hidden, imported.cfg), compiler_options=xla_flags.OPTIMIZED)
    lengths = []
    for start in range(0, 100, B):
        texts = sentences[start : start + B]
        ids = tokenizer.encode_batch(texts)
        rows = [[tokenizer.special.cls, *row[: T - 2], tokenizer.special.sep] for row in ids]
        tokens = np.full((B, T), tokenizer.special.pad, np.int32)
        for i, row in enumerate(rows):
            tokens[i, : len(row)] = row
        encoded = theirs(
            texts, padding="max_length", truncation=True, max_length=T, return_tensors="pt"
        )
        np.testing.assert_array_equal(tokens, encoded["input_ids"].numpy())
        with torch.no_grad():
            expected = reference(**encoded).last_hidden_state.numpy()
        real_BT = encoded["attention_mask"].numpy() > 0
        ours = np.asarray(hidden(imported.params, tokens, real_BT))
        np.testing.assert_allclose(ours[real_BT], expected[real_BT], 0, 1e-4)
        lengths += real_BT.sum(1).tolist()
    assert min(lengths) < 8 and max(lengths) == T  # short ones, and one that was cut


def _hidden(cfg, params, tokens, real_BT):
    batch = {
        "tokens": tokens,
        "token_types": np.zeros((B, T), np.int32),
        "positions": np.tile(np.arange(T, dtype=np.int32), (B, 1)),
        "segments": real_BT.astype(np.int32),
        "cls_positions": np.zeros((B, 1), np.int32),
    }
    return model.apply(cfg, params, batch)["hidden"]
