"""The same numbers as transformers, forwards and backwards, exporting and importing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import oracle_transformers as oracle
import pytest
import torch
import transformers
from family import FAMILY

from bertjax import huggingface, model
from bertjax.huggingface.export import to_hub_tensors
from bertjax.huggingface.names import architecture_of, hub_names
from bertjax.tree import flatten

ROBERTA = {"family": "roberta", "next_sentence_head": False}
PRE_NORM = {"norm": "pre", "next_sentence_head": False}
KINDS = {  # (fields, id of [PAD])
    "pretraining-erf": ({}, 0),
    "pretraining-tanh": ({"activation": "gelu_tanh", "vocab_size": 128}, 0),
    "pretraining-relu": ({"activation": "relu", "type_vocab_size": 3}, 2),
    "masked-lm": ({"next_sentence_head": False, "type_vocab_size": 1, "vocab_size": 129}, 0),
    "roberta": (ROBERTA | {"position_offset": 2, "type_vocab_size": 1}, 1),
    "roberta-tanh": (ROBERTA | {"activation": "gelu_tanh", "head_activation": "gelu"}, 1),
    "bert-pre-norm": (PRE_NORM, 0),
    "bert-pre-norm-tanh": (PRE_NORM | {"activation": "gelu_tanh", "head_activation": "gelu"}, 0),
    "roberta-pre-norm": (ROBERTA | PRE_NORM | {"position_offset": 2}, 1),
} | {name: (fields, 0) for name, fields in FAMILY.items()}
# Tables whose first position is not in the row where the other side looks for it.
OFFSETS = {
    "bert-2": ({"position_offset": 2}, 0),
    "roberta-0": (ROBERTA | {"position_offset": 0}, 1),
    "roberta-5": (ROBERTA | {"position_offset": 5}, 1),
    "roberta-pad-0": (ROBERTA | {"position_offset": 2}, 0),
}
CLASSES = {
    "bert": (transformers.BertConfig, transformers.BertForMaskedLM),
    "bert-next": (transformers.BertConfig, transformers.BertForPreTraining),
    "roberta": (transformers.RobertaConfig, transformers.RobertaForMaskedLM),
    "roberta-pre": (
        transformers.RobertaPreLayerNormConfig,
        transformers.RobertaPreLayerNormForMaskedLM,
    ),
}


def random_case(fields: dict, pad: int, seed: int, scratch: Path) -> tuple:
    """A config, parameters, a batch and a tokenizer that belong together."""
    cfg = oracle.random_config(seed, **fields)
    return (
        cfg,
        oracle.random_params(cfg, seed),
        oracle.random_batch(cfg, pad, seed),
        oracle.tiny_tokenizer(cfg.vocab_size, pad, scratch),
    )


@pytest.mark.parametrize("kind", OFFSETS)
def test_positions_line_up(kind, tmp_path) -> None:
    cfg, params, batch, tokenizer = random_case(*OFFSETS[kind], seed=len(kind), scratch=tmp_path)
    reference = oracle.load(oracle.export(cfg, params, tokenizer, tmp_path / "hf"))
    logits = oracle.our_logits(cfg, params, batch)
    oracle.assert_same_logits(logits, oracle.their_logits(reference, batch), batch, 1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_exported_model_gives_the_same_logits_and_gradients(kind, tmp_path) -> None:
    seed = list(KINDS).index(kind)
    cfg, params, batch, tokenizer = random_case(*KINDS[kind], seed=seed, scratch=tmp_path)
    reference = oracle.load(oracle.export(cfg, params, tokenizer, tmp_path / "hf"))

    logits, gradients = oracle.our_gradients(cfg, params, batch)
    oracle.assert_same_logits(logits, oracle.their_logits(reference, batch), batch, 1e-5)

    oracle.their_loss(reference, batch).backward()
    parameters = dict(reference.named_parameters())
    theirs = {name: p.grad.numpy() for name, p in parameters.items() if p.grad is not None}
    found = to_hub_tensors(cfg, gradients, tokenizer.special)
    constants = {name for name in parameters if "embed_positions" in name}  # RoFormer's angles
    ours = {name: gradient for name, gradient in found.items() if name not in constants}
    assert ours.keys() == theirs.keys()
    largest = max(np.abs(gradient).max() for gradient in theirs.values())
    for name, gradient in theirs.items():
        # A bias on keys adds one number to all scores of a query: its true gradient is zero.
        scale = largest if name.endswith(("key.bias", "k_lin.bias")) else np.abs(gradient).max()
        np.testing.assert_allclose(ours[name], gradient, 0, 1e-4 * scale, err_msg=name)

    reference.save_pretrained(tmp_path / "theirs")
    ours, again = (huggingface.import_model(tmp_path / name) for name in ("hf", "theirs"))
    assert again.fresh == again.ignored == [] and again.cfg == ours.cfg
    assert oracle.same_bits(again.params, ours.params)


@pytest.mark.parametrize("kind", ["pretraining-erf", "ernie", "mobilebert"])
def test_the_class_for_pairs_alone_gives_the_same_and_is_read(kind, tmp_path) -> None:
    """Of BERT, ERNIE and MobileBERT; there is no class for sentence order alone."""
    cfg, params, batch, tokenizer = random_case(*KINDS[kind], seed=2, scratch=tmp_path)
    out = oracle.export(cfg, params, tokenizer, tmp_path / "hf")
    whole = transformers.AutoConfig.from_pretrained(out).architectures[0]
    alone = getattr(transformers, whole.replace("ForPreTraining", "ForNextSentencePrediction"))
    reference = alone.from_pretrained(out)
    with torch.no_grad():
        theirs = oracle.their_outputs(reference, batch).logits.numpy()
    ours = oracle.our_logits(cfg, params, batch)["next_sentence"]
    np.testing.assert_allclose(ours, theirs, 0, 1e-5)

    reference.save_pretrained(tmp_path / "alone")
    again = huggingface.import_model(tmp_path / "alone")
    assert again.cfg == cfg and {name.split("/")[0] for name in again.fresh} == {"masked_lm"}
    kept, given = flatten(again.params), flatten(params)
    for name in set(given) - set(again.fresh):
        np.testing.assert_array_equal(kept[name], given[name], err_msg=name)


def test_a_padded_row_is_what_it_is_alone(tmp_path) -> None:
    """Neighbours end where a row does, whatever [PAD] is; transformers has that without padding."""
    cfg, params, batch, tokenizer = random_case(*KINDS["mobilebert"], seed=1, scratch=tmp_path)
    params["embeddings"]["word_embeddings"]["embedding"][0] = 1.0
    reference = oracle.load(oracle.export(cfg, params, tokenizer, tmp_path / "hf"))
    ours = oracle.our_logits(cfg, params, batch)["masked_lm"]
    for row, length in enumerate(batch["segments"].sum(1)):
        alone = {
            name: values[row : row + 1, :length]
            for name, values in batch.items()
            if name in ("tokens", "token_types", "segments")
        }
        theirs = oracle.their_logits(reference, alone)["masked_lm"]
        np.testing.assert_allclose(ours[row, :length], theirs[0], 0, 1e-5)


@pytest.mark.parametrize(
    ("kind", "activation"),
    [
        ("bert", "gelu"),
        ("bert", "gelu_pytorch_tanh"),
        ("bert-next", "gelu_new"),
        ("bert-next", "relu"),
        ("roberta", "gelu"),
        ("roberta", "relu"),
        ("roberta-pre", "gelu"),
        ("roberta-pre", "gelu_new"),
    ],
)
def test_imported_model_gives_the_same_logits(kind, activation, tmp_path) -> None:
    config_class, model_class = CLASSES[kind]
    torch.manual_seed(len(kind))
    reference = model_class(
        config_class(
            vocab_size=157,
            hidden_size=24,
            num_hidden_layers=2,
            num_attention_heads=3,
            intermediate_size=20,
            max_position_embeddings=30,
            hidden_act=activation,
            hidden_dropout_prob=0.25,
            layer_norm_eps=1e-6,
        )
    )
    with torch.no_grad():
        for parameter in reference.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    reference.save_pretrained(tmp_path)

    imported = huggingface.import_model(tmp_path)
    assert imported.tokenizer is None and imported.fresh == [] and imported.ignored == []
    assert imported.cfg.hidden_dropout == 0.25 and imported.cfg.max_positions <= 30
    batch = oracle.random_batch(imported.cfg, reference.config.pad_token_id, 0)
    logits = oracle.our_logits(imported.cfg, imported.params, batch)
    oracle.assert_same_logits(logits, oracle.their_logits(reference, batch), batch, 1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_has_one_name(kind) -> None:
    cfg = oracle.random_config(0, **KINDS[kind][0])
    names = hub_names(cfg, architecture_of(cfg))
    assert names.keys() == flatten(model.abstract_params(cfg)).keys()
    joined = {name for name in names.values() if "Wqkv" in name or "Wi" in name or "c_attn" in name}
    apart = [name for name in names.values() if name not in joined]
    assert len(set(apart)) == len(apart)
