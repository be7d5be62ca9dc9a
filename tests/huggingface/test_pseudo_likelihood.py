"""Pseudo-log-likelihoods against a loop over transformers that masks one piece at a time."""

from __future__ import annotations

import numpy as np
import oracle_transformers as oracle
import pytest
import torch
import transformers

from bertjax.errors import UserError
from bertjax.probe.pseudo_likelihood import pseudo_log_likelihoods

SENTENCES = ["ab", "ab cd9, w3 w5 zq", "", "naïve 东京 ef", "a " * 20, "the [MASK] of w7", "ab"]


def slow(directory, sentences: list[str]) -> list[float]:
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    reference = transformers.AutoModelForMaskedLM.from_pretrained(directory).eval()
    found = []
    for sentence in sentences:
        ids = torch.tensor(tokenizer(sentence)["input_ids"])
        total = 0.0
        for place in range(1, len(ids) - 1):
            masked = ids.clone()
            masked[place] = tokenizer.mask_token_id
            with torch.no_grad():
                logits = reference(masked[None]).logits[0, place]
            total += logits.log_softmax(-1)[ids[place]].item()
        found.append(total)
    return found


@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("tokens_at_once", [16, 16_384])
def test_scores_are_those_of_a_slow_loop(norm, tokens_at_once, tmp_path):
    cfg = oracle.random_config(3, norm=norm, next_sentence_head=False, max_positions=24)
    params = oracle.random_params(cfg, 3)
    tokenizer = oracle.tiny_tokenizer(cfg.vocab_size, 1, tmp_path)
    directory = oracle.export(cfg, params, tokenizer, tmp_path / "hf")
    found = pseudo_log_likelihoods(cfg, params, tokenizer, SENTENCES, tokens_at_once)
    np.testing.assert_allclose(found, slow(directory, SENTENCES), atol=1e-4)
    assert found[0] == pytest.approx(found[-1], abs=1e-6) and found[2] == 0


def test_a_sentence_longer_than_a_row_is_refused(tmp_path):
    cfg = oracle.random_config(3, max_positions=24)
    tokenizer = oracle.tiny_tokenizer(cfg.vocab_size, 1, tmp_path)
    with pytest.raises(UserError, match="has 25 tokens, the model 24 positions"):
        pseudo_log_likelihoods(cfg, oracle.random_params(cfg, 3), tokenizer, ["a", "a " * 23])
