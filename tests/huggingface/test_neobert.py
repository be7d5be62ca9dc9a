"""NeoBERT's own files: the network of EuroBERT's class, its rows in another order, and a bias."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import oracle_transformers as oracle
import pytest
import torch
import transformers
from safetensors.numpy import save_file

from bertjax import huggingface
from bertjax.errors import UserError

D, N, L, F, V = 24, 3, 2, 16, 96
H = D // N
CONTENT = {
    "model_type": "neobert",
    "architectures": ["NeoBERTLMHead"],
    "auto_map": {"AutoModel": "model.NeoBERTLMHead"},
    "hidden_size": D,
    "num_hidden_layers": L,
    "num_attention_heads": N,
    "intermediate_size": 24,  # of which a gated layer has two thirds
    "norm_eps": 1e-5,
    "max_length": 32,
    "vocab_size": V,
    "pad_token_id": 0,
}


def twin() -> transformers.EuroBertForMaskedLM:
    """The same network by a class of transformers, at random, without the bias at the end."""
    torch.manual_seed(0)
    rotation = {"rope_type": "default", "rope_theta": 10_000.0}
    config = transformers.EuroBertConfig(
        vocab_size=V,
        hidden_size=D,
        num_hidden_layers=L,
        num_attention_heads=N,
        intermediate_size=F,
        max_position_embeddings=32,
        rope_parameters=rotation,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        mask_token_id=3,
    )
    made = transformers.EuroBertForMaskedLM(config)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return made.eval()


def adjacent(rows: np.ndarray) -> np.ndarray:
    """A head's rows with pairs m and m + H/2 as neighbours 2m and 2m + 1, one row after another."""
    moved = np.empty_like(rows)
    for m in range(H // 2):
        moved[2 * m], moved[2 * m + 1] = rows[m], rows[m + H // 2]
    return moved


def write(directory: Path, reference: transformers.EuroBertForMaskedLM, bias: np.ndarray) -> Path:
    """A directory as NeoBERT's: tensors by its names, queries, keys and values head by head."""
    theirs = {name: tensor.numpy() for name, tensor in reference.state_dict().items()}
    found = {
        "model.encoder.weight": theirs["model.embed_tokens.weight"],
        "model.layer_norm.weight": theirs["model.norm.weight"],
        "decoder.weight": theirs["lm_head.weight"],
        "decoder.bias": bias,
    }
    for i in range(L):
        ours, layer = f"model.transformer_encoder.{i}", f"model.layers.{i}"
        q, k, v = (theirs[f"{layer}.self_attn.{name}_proj.weight"] for name in "qkv")
        heads = [slice(n * H, (n + 1) * H) for n in range(N)]
        parts = [part for at in heads for part in (adjacent(q[at]), adjacent(k[at]), v[at])]
        gates = [theirs[f"{layer}.mlp.{name}_proj.weight"] for name in ("gate", "up")]
        found |= {
            f"{ours}.qkv.weight": np.concatenate(parts),
            f"{ours}.wo.weight": theirs[f"{layer}.self_attn.o_proj.weight"],
            f"{ours}.attention_norm.weight": theirs[f"{layer}.input_layernorm.weight"],
            f"{ours}.ffn_norm.weight": theirs[f"{layer}.post_attention_layernorm.weight"],
            f"{ours}.ffn.w12.weight": np.concatenate(gates),
            f"{ours}.ffn.w3.weight": theirs[f"{layer}.mlp.down_proj.weight"],
        }
    directory.mkdir()
    save_file(
        {name: np.ascontiguousarray(x) for name, x in found.items()},
        directory / "model.safetensors",
    )
    (directory / "config.json").write_text(json.dumps(CONTENT))
    return directory


def test_its_own_files_are_read_without_its_code_and_written_as_eurobert(tmp_path) -> None:
    reference, bias = twin(), np.random.default_rng(0).normal(0, 1, V).astype(np.float32)
    found = huggingface.import_model(write(tmp_path / "theirs", reference, bias))
    assert found.fresh == found.ignored == [] and found.cfg.family == "eurobert"
    batch = oracle.random_batch(found.cfg, 0, 1)
    ours = oracle.our_logits(found.cfg, found.params, batch)
    theirs = {"masked_lm": oracle.their_logits(reference, batch)["masked_lm"] + bias}
    oracle.assert_same_logits(ours, theirs, batch, 1e-5)

    tokenizer = oracle.tiny_tokenizer(V, 0, tmp_path)
    out = oracle.export(found.cfg, found.params, tokenizer, tmp_path / "hf")
    oracle.assert_same_logits(ours, oracle.their_logits(oracle.load(out), batch), batch, 1e-5)
    again = huggingface.import_model(out)
    assert again.cfg == found.cfg and oracle.same_bits(again.params, found.params)


def test_biases_of_layers_are_refused_where_they_are_not_zero(tmp_path) -> None:
    found = huggingface.import_model(write(tmp_path / "theirs", twin(), np.ones(V, np.float32)))
    tokenizer = oracle.tiny_tokenizer(V, 0, tmp_path)
    reference = oracle.load(oracle.export(found.cfg, found.params, tokenizer, tmp_path / "hf"))
    with torch.no_grad():
        reference.model.layers[1].mlp.up_proj.bias += 0.1
    reference.save_pretrained(tmp_path / "biased")
    with pytest.raises(UserError, match=r"layers\.1\.mlp\.up_proj\.bias is not what it is"):
        huggingface.import_model(tmp_path / "biased")
