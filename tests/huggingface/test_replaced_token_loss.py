"""A step of replaced-token detection beside transformers' two ELECTRA models and a plain loop."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import jax
import numpy as np
import pytest
import tiny_model
import torch
import transformers
from tiny_model import MODEL, RUN, SPECIAL, VOCAB

from bertjax import model
from bertjax.config import ReplacedTokensConfig
from bertjax.model import networks
from bertjax.objectives.choice import objective_of
from bertjax.objectives.presets import ELECTRA
from bertjax.objectives.replaced_tokens import key_of_draws
from bertjax.tree import flatten

PAIR = replace(
    RUN,
    model=replace(MODEL, embedding_size=16),
    data=RUN.data.without_pair_loss,
    masking=ELECTRA,
    replaced_tokens=ReplacedTokensConfig(weight=50.0, generator_size=0.5),
).with_trained_heads()

_ENCODER = {
    "embeddings/projection": "electra.embeddings_project",
    "embeddings/norm": "electra.embeddings.LayerNorm",
    "attention/query": "attention.self.query",
    "attention/key": "attention.self.key",
    "attention/value": "attention.self.value",
    "attention/output": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "feed_forward/intermediate": "intermediate.dense",
    "feed_forward/output": "output.dense",
    "feed_forward_norm": "output.LayerNorm",
    "masked_lm/transform": "generator_predictions.dense",
    "masked_lm/norm": "generator_predictions.LayerNorm",
    "masked_lm": "generator_lm_head",
    "replaced_token/dense": "discriminator_predictions.dense",
    "replaced_token/output": "discriminator_predictions.dense_prediction",
}


def their_name(path: str) -> str:
    module, _, leaf = path.rpartition("/")
    if leaf == "embedding":
        return f"electra.{module.replace('/', '.')}.weight"
    leaf = "bias" if leaf == "bias" else "weight"
    if module.startswith("layer_"):
        layer, _, rest = module.partition("/")
        return f"electra.encoder.layer.{layer[6:]}.{_ENCODER[rest]}.{leaf}"
    return f"{_ENCODER[module]}.{leaf}"


def theirs(cls, cfg, params):
    config = transformers.ElectraConfig(
        vocab_size=VOCAB,
        embedding_size=cfg.table_size,
        hidden_size=cfg.hidden_size,
        num_hidden_layers=cfg.num_layers,
        num_attention_heads=cfg.num_heads,
        intermediate_size=cfg.intermediate_size,
        max_position_embeddings=cfg.max_positions,
        layer_norm_eps=cfg.layer_norm_eps,
    )
    built = cls(config).double().eval()
    tensors = {}
    for path, array in flatten(params).items():
        padded = array.shape[:1] == (cfg.padded_vocab_size,)
        array = array[:VOCAB] if padded else array
        tensors[their_name(path)] = torch.tensor(array.T if path.endswith("kernel") else array)
    missing, unexpected = built.load_state_dict(tensors, strict=False)
    assert not unexpected
    assert all(name == "generator_lm_head.weight" for name in missing), missing
    return built


@pytest.fixture(scope="module")
def params():
    made = jax.jit(networks.init, static_argnums=0)(PAIR, jax.random.key(0))
    draw = np.random.default_rng(0)
    noisy = jax.tree.map(lambda x: np.asarray(x) + draw.normal(0, 0.1, x.shape), made)
    return jax.tree.map(np.float32, noisy)


def test_losses_and_scores_are_those_of_two_models_of_transformers(params):
    objective = objective_of(PAIR, SPECIAL)
    text = tiny_model.source().batch(0)
    masked = jax.device_get(jax.jit(objective.corrupt)(text, PAIR.seed))
    sums = jax.jit(objective.sums, static_argnums=(2, 3))(params, masked, model.Compute(), None)
    ours = {name: float(mean.value()) for name, mean in jax.device_get(sums).items()}

    generator = theirs(transformers.ElectraForMaskedLM, *networks.generator_of(PAIR, params))
    seen = {
        "attention_mask": torch.tensor(text["segments"] != 0).long(),
        "token_type_ids": torch.tensor(text["token_types"]).long(),
        "position_ids": torch.tensor(text["positions"]).long(),
    }
    labels = torch.full(text["tokens"].shape, -100)
    with torch.no_grad():
        tokens = torch.tensor(masked["tokens"]).long()
        logits = generator(input_ids=tokens, **seen).logits.numpy()
    drawn = text["tokens"].copy()
    for row, (key, places, weights) in enumerate(
        zip(
            jax.vmap(partial(key_of_draws, PAIR.seed))(text["example_ids"]),
            masked["predict_positions"],
            masked["predict_weights"],
            strict=True,
        )
    ):
        noise = np.asarray(jax.random.gumbel(key, (len(places), VOCAB)))
        for slot, place in enumerate(places):
            if weights[slot]:
                labels[row, place] = int(text["tokens"][row, place])
                drawn[row, place] = np.argmax(logits[row, place] + noise[slot])
    is_replaced = torch.tensor(drawn != text["tokens"])
    assert 5 < is_replaced.sum() < (labels >= 0).sum() + 1

    detector = theirs(transformers.ElectraForPreTraining, PAIR.model, networks.model_of(params))
    with torch.no_grad():
        masked_lm = generator(input_ids=tokens, labels=labels, **seen).loss.item()
        drawn = torch.tensor(drawn).long()
        found = detector(input_ids=drawn, labels=is_replaced.double(), **seen)
    assert ours["masked_lm_loss"] == pytest.approx(masked_lm, abs=1e-5)
    assert ours["replaced_token_loss"] == pytest.approx(found.loss.item(), abs=1e-5)
    says = found.logits > 0
    real = seen["attention_mask"] == 1
    right = (says & is_replaced & real).sum().item()
    assert ours["replaced_token_precision"] == pytest.approx(right / (says & real).sum().item())
    assert ours["replaced_token_recall"] == pytest.approx(right / is_replaced.sum().item())
