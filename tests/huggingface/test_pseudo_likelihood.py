"""Likelihoods of sentences against a loop over transformers that takes one piece at a time."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import oracle_transformers as oracle
import pytest
import torch
import transformers

from bertjax.errors import UserError
from bertjax.probe.minimal_pairs import read_pairs
from bertjax.probe.pseudo_likelihood import pseudo_log_likelihoods
from bertjax.text.tokenizer import load_tokenizer

SENTENCES = ["ab", "ab cd9, w3 w5 zq", "", "naïve 东京 ef", "a " * 20, "the [MASK] of w7", "ab"]


def masked(reference, tokenizer, sentence: str, words: bool) -> float:
    """With `words` the rest of the piece's word is masked along, as transformers splits words."""
    encoded = tokenizer(sentence)
    ids, word_of, copies = torch.tensor(encoded["input_ids"]), encoded.word_ids(), []
    places = range(1, len(ids) - 1)
    for place in places:
        hidden = ids.clone()
        hidden[place] = tokenizer.mask_token_id
        for later in range(place + 1, len(ids)):
            if words and word_of[later] is not None and word_of[later] == word_of[place]:
                hidden[later] = tokenizer.mask_token_id
        copies.append(hidden)
    if not copies:
        return 0.0
    with torch.no_grad():
        logits = reference(torch.stack(copies)).logits
    return sum(logits[i, p].log_softmax(-1)[ids[p]].item() for i, p in enumerate(places))


def left_to_right(reference, tokenizer, sentence: str) -> float:
    ids = torch.tensor(tokenizer(sentence)["input_ids"])
    with torch.no_grad():
        logits = reference(ids[None]).logits[0].log_softmax(-1)
    return sum(logits[i - 1, ids[i]].item() for i in range(1, len(ids) - 1))


@cache
def opened(directory: Path, kind: str = "AutoModelForMaskedLM"):
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    return getattr(transformers, kind).from_pretrained(directory).eval(), tokenizer


@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("tokens_at_once", [16, 16_384])
def test_scores_are_those_of_a_slow_loop(norm, tokens_at_once, tmp_path):
    cfg = oracle.random_config(3, norm=norm, next_sentence_head=False, max_positions=24)
    params = oracle.random_params(cfg, 3)
    tokenizer = oracle.tiny_tokenizer(cfg.vocab_size, 1, tmp_path)
    theirs = opened(oracle.export(cfg, params, tokenizer, tmp_path / "hf"))

    def ours(score: str) -> np.ndarray:
        return pseudo_log_likelihoods(
            cfg, params, tokenizer, SENTENCES, score=score, tokens_at_once=tokens_at_once
        )

    found = ours("pll")
    np.testing.assert_allclose(found, [masked(*theirs, s, False) for s in SENTENCES], atol=1e-4)
    assert found[0] == pytest.approx(found[-1], abs=1e-6) and found[2] == 0
    of_words = [masked(*theirs, s, True) for s in SENTENCES]
    np.testing.assert_allclose(ours("pll-word"), of_words, atol=1e-4)
    assert abs(of_words[1] - found[1]) > 1e-3  # ten times the tolerance: the masks do differ
    pieces = np.array([len(tokenizer.encode_batch([s], parse_special=True)[0]) for s in SENTENCES])
    np.testing.assert_allclose(ours("slln"), found / np.sqrt(np.maximum(pieces, 1)), rtol=1e-5)


def test_a_causal_model_scores_from_left_to_right(tmp_path):
    from family import FAMILY

    cfg = oracle.random_config(4, max_positions=24, **FAMILY["openai-gpt"])
    params = oracle.random_params(cfg, 4)
    tokenizer = oracle.tiny_tokenizer(cfg.vocab_size, 1, tmp_path)
    theirs = opened(oracle.export(cfg, params, tokenizer, tmp_path / "hf"), "AutoModelForCausalLM")
    expected = [left_to_right(*theirs, s) for s in SENTENCES]
    found = pseudo_log_likelihoods(cfg, params, tokenizer, SENTENCES)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    with pytest.raises(UserError, match="causal model, which has no masks"):
        pseudo_log_likelihoods(cfg, params, tokenizer, SENTENCES, score="pll-word")


REAL = [("blimp", "bert-base-uncased-vocab.txt"), ("zhoblimp", "bert-base-chinese-vocab.txt")]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "vocabulary"), REAL)
def test_real_pairs_score_as_in_a_slow_loop(name, vocabulary, shared_data, tmp_path):
    """200 pairs spread over the file, in both languages; whole words too."""
    pairs = read_pairs(str(shared_data / name / f"{name}.jsonl.xz"))
    sentences = [s for pair in pairs[:: len(pairs) // 200][:200] for s in (pair.good, pair.bad)]
    tokenizer = load_tokenizer(shared_data / "vocab" / vocabulary)
    sizes = {"hidden_size": 12, "num_heads": 2, "num_layers": 2, "intermediate_size": 16}
    fixed = {"vocab_size": tokenizer.vocab_size, "max_positions": 64, "next_sentence_head": False}
    cfg = oracle.random_config(0, **sizes, **fixed)
    params = oracle.random_params(cfg, 0)
    theirs = opened(oracle.export(cfg, params, tokenizer, tmp_path / "hf"))
    for score in ("pll", "pll-word"):
        found = pseudo_log_likelihoods(cfg, params, tokenizer, sentences, score=score)
        expected = [masked(*theirs, s, score == "pll-word") for s in sentences]
        assert np.abs(found - expected).max() < 1e-4


def test_a_sentence_longer_than_a_row_is_refused(tmp_path):
    cfg = oracle.random_config(3, max_positions=24)
    tokenizer = oracle.tiny_tokenizer(cfg.vocab_size, 1, tmp_path)
    with pytest.raises(UserError, match="has 25 tokens, the model 24 positions"):
        pseudo_log_likelihoods(cfg, oracle.random_params(cfg, 3), tokenizer, ["a", "a " * 23])
