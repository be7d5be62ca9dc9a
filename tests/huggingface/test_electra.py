"""Both networks of a trained pair as the files that transformers reads, and back."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import oracle_transformers as oracle
import torch
from tiny_model import MODEL, RUN

from bertjax import huggingface, model
from bertjax.config import Phase, ReplacedTokensConfig
from bertjax.model import networks

PAIR = replace(
    RUN,
    model=replace(
        MODEL,
        vocab_size=150,
        family="electra",
        embedding_size=16,
        max_positions=oracle.T,
        pooler="gelu",
    ),
    data=replace(RUN.data, format="full_sentences", phases=(Phase(oracle.T, 16),)),
    replaced_tokens=ReplacedTokensConfig(weight=50.0, generator_size=0.5),
).with_trained_heads()


def test_both_networks_are_exported_and_read_back(tmp_path):
    tokenizer = oracle.tiny_tokenizer(150, 0, tmp_path)
    draw = np.random.default_rng(0)
    params = jax.jit(networks.init, static_argnums=0)(PAIR, jax.random.key(0))
    params = jax.tree.map(lambda x: np.array(x + draw.normal(0, 0.1, x.shape), np.float32), params)
    params["embeddings"]["word_embeddings"]["embedding"][150:] = 0
    params["generator"]["masked_lm"]["bias"][150:] = 0
    nets = {"ElectraForPreTraining": (PAIR.model, networks.model_of(params))}
    nets["ElectraForMaskedLM"] = networks.generator_of(PAIR, params)
    for name, (cfg, own) in nets.items():
        reference = oracle.load(oracle.export(cfg, own, tokenizer, tmp_path / name))
        assert type(reference).__name__ == name
        batch = oracle.random_batch(cfg, 0, 1)
        with torch.no_grad():
            theirs = oracle.their_outputs(reference, batch).logits.numpy()
        outputs = jax.jit(model.apply, static_argnums=0)(cfg, own, batch)
        kinds = ("replaced_token_logits", "masked_lm_logits")
        (ours,) = (np.asarray(outputs[kind]) for kind in kinds if kind in outputs)
        real = batch["segments"] > 0
        ours = ours[..., : theirs.shape[-1]]
        np.testing.assert_allclose(ours[real], theirs[real], 0, 1e-5)
        again = huggingface.import_model(tmp_path / name)
        assert again.cfg == cfg and oracle.same_bits(again.params, own)
        assert again.fresh == again.ignored == []
