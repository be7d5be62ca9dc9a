"""A model whose tokenizer was given words, in transformers: old text has the old ids and logits."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import jax
import pytest
import tokenizer_kinds
import torch
import transformers

from bertjax import huggingface, model
from bertjax.adapt.grow import with_rows
from bertjax.cli.export import check_lines
from bertjax.config import ModelConfig
from bertjax.text.tokenizer import load_tokenizer

KINDS = {"wordpiece": "bert", "bert vocab.txt": "bert", "unigram": "bert", "roberta": "roberta"}
DOMAIN = "An electrode by the electrode, carousel and carousel. " * 2


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_old_text_has_its_ids_and_logits(kind, tmp_path):
    tokenizer_kinds.KINDS[kind](tmp_path / "kind")
    old = load_tokenizer(tmp_path / "kind")
    found = old.costly_words(Counter(old.words_of(DOMAIN)))
    words = [word for word in found if word.piece.strip("Ġ") in ("electrode", "carousel")]
    new = old.with_words([word.piece for word in words])
    cfg = ModelConfig(
        family=KINDS[kind],
        vocab_size=old.vocab_size,
        hidden_size=32,
        num_layers=1,
        num_heads=2,
        intermediate_size=64,
        max_positions=64,
        position_offset=2 if KINDS[kind] == "roberta" else 0,
        initializer_range=0.2,
        next_sentence_head=False,
    )
    params = model.init(cfg, jax.random.key(0))
    grown = with_rows(cfg, params, old.vocab_size, [word.old for word in words])
    logits = {}
    for name, (architecture, weights), tokenizer in (
        ("old", (cfg, params), old),
        ("new", grown, new),
    ):
        out = tmp_path / name
        facts = huggingface.CardFacts("tiny", "", "{}", {}, 0, "", 0, {})
        huggingface.export_model(architecture, weights, tokenizer, out, facts, check_lines())
        logits[name] = _logits(out, tokenizer_kinds.TEXTS[:9])
    for (old_ids, before), (new_ids, after) in zip(logits["old"], logits["new"], strict=True):
        assert old_ids == new_ids
        difference = (after[..., : old.vocab_size] - before).abs().max()
        assert difference <= 1e-6
    (ids, _), *_ = _logits(tmp_path / "new", [DOMAIN])
    assert len([i for i in ids if i >= old.vocab_size]) >= 4


def _logits(directory: Path, lines: list[str]) -> list[tuple[list[int], torch.Tensor]]:
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    theirs = transformers.AutoModelForMaskedLM.from_pretrained(directory).eval()
    made = []
    with torch.no_grad():
        for line in lines:
            batch = tokenizer(line, return_tensors="pt", truncation=True, max_length=60)
            made.append((batch["input_ids"][0].tolist(), theirs(**batch).logits))
    return made
