"""Heads of tasks: what each part computes, that padding counts for nothing, and parameter paths."""

from __future__ import annotations

import zlib
from dataclasses import replace
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from tiny_model import MODEL, VOCAB, by_path

from bertjax import model
from bertjax.config import FinetuneConfig, HeadConfig, ModelConfig
from bertjax.errors import UserError
from bertjax.model.sequence import CNN, FILTER_WIDTHS, BiLSTM
from bertjax.model.task import (
    TaskShape,
    abstract_task_params,
    apply_task,
    describe_task,
    encoder_states,
    has_pooler,
    init_task,
)
from bertjax.tree import path_name

B, T, C = 4, 8, 3
LENGTHS = (8, 5, 2, 0)  # the last row only fills the batch
REAL = np.arange(T) < np.array(LENGTHS)[:, None]
SMALL = replace(MODEL, hidden_size=12, num_heads=2, intermediate_size=16, max_positions=T)

CLASSES = TaskShape("classification", C)
TAGGING = TaskShape("tagging", C)
SPANS = TaskShape("span_qa", 2)
CHOICE = TaskShape("multiple_choice", 2)


def batch(seed: int = 0) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(seed)
    words = np.full((B, T), -1)
    words[0, :4], words[1, :2], words[2, :1] = (1, 2, 5, 6), (1, 3), 1
    return {
        "tokens": np.where(REAL, draw.integers(5, VOCAB, (B, T)), 0).astype(np.int32),
        "token_types": (draw.integers(0, 2, (B, T)) * REAL).astype(np.int32),
        "positions": np.tile(np.arange(T, dtype=np.int32), (B, 1)),
        "segments": REAL.astype(np.int32),
        "word_positions": words.astype(np.int32),
    }


@cache
def params(cfg: ModelConfig, head: HeadConfig, shape: TaskShape) -> model.Params:
    """Random, the same encoder under every head."""

    def leaf(path, like):
        draw = np.random.default_rng(zlib.crc32(path_name(path).encode()))
        values = draw.normal(0, 0.3, like.shape) + (path[-1].key == "scale")
        return values.astype(np.float32)

    return jax.tree_util.tree_map_with_path(leaf, abstract_task_params(cfg, head, shape))


@cache
def forward(cfg: ModelConfig, head: HeadConfig, shape: TaskShape):
    return jax.jit(partial(apply_task, cfg, head, shape))


def logits(cfg: ModelConfig, head: HeadConfig, shape: TaskShape, rows=None) -> np.ndarray:
    rows = batch() if rows is None else rows
    return np.asarray(forward(cfg, head, shape)(params(cfg, head, shape), rows)["logits"])


@cache
def encoded(cfg: ModelConfig) -> dict:
    """Hidden states of the same encoder by the other door, in float64."""
    cfg = replace(cfg, next_sentence_head=False)
    given = model.abstract_params(cfg) | params(cfg, HeadConfig(), SPANS)
    given = {name: leaf for name, leaf in given.items() if name != "head"}
    given["masked_lm"] = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), given["masked_lm"])
    found = jax.jit(partial(model.apply, cfg))(given, batch())
    return jax.tree.map(lambda x: np.asarray(x, np.float64), found)


def classified(given: model.Params, x: np.ndarray) -> np.ndarray:
    last = given["head"]["classifier"]
    return x @ np.asarray(last["kernel"], np.float64) + np.asarray(last["bias"], np.float64)


def same(found: np.ndarray, expected: np.ndarray, where=...) -> None:
    np.testing.assert_allclose(found[where], expected[where], atol=2e-5)


@pytest.mark.parametrize("shape", [CLASSES, CHOICE], ids=lambda s: s.family)
def test_pooled_cls_is_berts(shape) -> None:
    head = HeadConfig()
    given = params(SMALL, head, shape)
    dense = given["pooler"]["dense"]
    first = encoded(SMALL)["hidden"][:, 0]
    expected = classified(given, np.tanh(first @ dense["kernel"] + dense["bias"]))
    found = logits(SMALL, head, shape)
    assert found.shape == (B, shape.outputs) and found.dtype == np.float32
    same(found, expected, slice(0, 3))


def test_mean_pooling_is_over_real_tokens() -> None:
    head = HeadConfig(pooling="mean")
    hidden = encoded(SMALL)["hidden"]
    expected = np.stack(
        [row[:n].sum(0) / max(n, 1) for row, n in zip(hidden, LENGTHS, strict=True)]
    )
    same(logits(SMALL, head, CLASSES), classified(params(SMALL, head, CLASSES), expected))


def test_the_last_token_is_the_last_real_one() -> None:
    head = HeadConfig(pooling="last", bias=False)
    given = params(SMALL, head, CLASSES)
    assert given["head"]["classifier"].keys() == {"kernel"}
    last = np.stack(
        [row[max(n - 1, 0)] for row, n in zip(encoded(SMALL)["hidden"], LENGTHS, strict=True)]
    )
    same(logits(SMALL, head, CLASSES), last @ given["head"]["classifier"]["kernel"], slice(0, 3))


def test_a_causal_model_has_no_first_token_to_look_at() -> None:
    causal = replace(SMALL, attention="causal", max_positions=128)
    with pytest.raises(UserError, match=r"first token sees no other; use head\.pooling=last"):
        FinetuneConfig(model=causal)
    FinetuneConfig(model=causal, head=HeadConfig(pooling="last"))


@pytest.mark.parametrize(
    ("fusion", "norm"), [("concat", "post"), ("mean", "pre"), ("scalar_mix", "pre")]
)
def test_fusion_of_the_last_layers(fusion, norm) -> None:
    cfg, head = replace(SMALL, norm=norm), HeadConfig(fusion=fusion, fusion_layers=2)
    given, states = params(cfg, head, TAGGING), encoded(cfg)["hidden_states"][-2:]
    if norm == "pre":  # the norm that the last state gets anyway

        def finish(x):
            centred = x - x.mean(-1, keepdims=True)
            spread = np.sqrt((centred**2).mean(-1, keepdims=True) + cfg.layer_norm_eps)
            return centred / spread * given["final_norm"]["scale"] + given["final_norm"]["bias"]

        states = [finish(state) for state in states]
        same(states[-1], encoded(cfg)["hidden"], REAL)
    if fusion == "concat":
        fused = np.concatenate(states, -1)
    elif fusion == "mean":
        fused = (states[0] + states[1]) / 2
    else:
        mix = given["head"]["mix"]
        share = np.exp(mix["weights"]) / np.exp(mix["weights"]).sum()
        fused = float(mix["gamma"]) * (share[0] * states[0] + share[1] * states[1])
    found = logits(cfg, head, TAGGING)
    for row, words in enumerate(batch()["word_positions"]):
        places = words[words >= 0]
        same(found[row, : len(places)], classified(given, fused[row, places]))


def test_span_head_sees_every_token() -> None:
    hidden = encoded(SMALL)["hidden"]
    found = logits(SMALL, HeadConfig(), SPANS)
    assert found.shape == (B, T, 2)
    same(found, classified(params(SMALL, HeadConfig(), SPANS), hidden), REAL)


def test_lstm_equals_torchs_on_packed_rows() -> None:
    torch = pytest.importorskip("torch")
    D, G = 5, 4
    module = BiLSTM(D, 2 * G, jnp.float32, nnx.Rngs(0))
    reference = torch.nn.LSTM(D, G, batch_first=True, bidirectional=True)
    with torch.no_grad():
        for way, suffix in ((module.forward, "_l0"), (module.backward, "_l0_reverse")):
            for name, leaf in (("ih", way.input.kernel), ("hh", way.recurrent.kernel)):
                weight = torch.tensor(np.asarray(leaf[...]).T.copy())
                getattr(reference, f"weight_{name}{suffix}").copy_(weight)
            bias = torch.tensor(np.asarray(way.input.bias[...]))
            getattr(reference, f"bias_ih{suffix}").copy_(bias)
            getattr(reference, f"bias_hh{suffix}").zero_()
            assert (bias[G : 2 * G] == 1).all()
    x = np.random.default_rng(0).normal(size=(B, T, D)).astype(np.float32)
    lengths = [n for n in LENGTHS if n]
    packed = torch.nn.utils.rnn.pack_padded_sequence(torch.tensor(x[:3]), lengths, True)
    expected, _ = torch.nn.utils.rnn.pad_packed_sequence(reference(packed)[0], True)
    found = np.asarray(module(jnp.asarray(x), REAL))
    np.testing.assert_allclose(found[:3], expected.detach().numpy(), atol=1e-5)
    assert not found[~REAL].any()


def test_cnn_equals_a_plain_loop() -> None:
    D, S = 5, 6
    module = CNN(D, S, jnp.float32, nnx.Rngs(0))
    x = np.random.default_rng(0).normal(size=(B, T, D)).astype(np.float32)
    expected = np.zeros((B, T, S))
    for row, length in enumerate(LENGTHS):
        for t in range(length):
            for n, width in enumerate(FILTER_WIDTHS):
                filters = getattr(module, f"width_{width}")
                total = np.asarray(filters.bias[...], np.float64)
                for i in range(width):
                    place = t + i - width // 2
                    if 0 <= place < length:
                        kernel = np.asarray(filters.kernel[...])[i * D : (i + 1) * D]
                        total = total + x[row, place] @ kernel
                expected[row, t, 2 * n : 2 * n + 2] = np.maximum(total, 0)
    np.testing.assert_allclose(module(jnp.asarray(x), REAL), expected, atol=1e-5)


HEADS = [
    (HeadConfig(sequence="bilstm", sequence_size=12), CLASSES),
    (HeadConfig(sequence="cnn", sequence_size=12, pooling="mean"), CLASSES),
    (HeadConfig(fusion="scalar_mix", fusion_layers=2, sequence="bilstm", sequence_size=6), SPANS),
    (HeadConfig(fusion="concat", fusion_layers=2, sequence="cnn", sequence_size=6), TAGGING),
]


@pytest.mark.parametrize(("head", "shape"), HEADS, ids=str)
def test_padding_changes_nothing(head, shape) -> None:
    rows = batch()
    noise = rows | {"tokens": np.where(REAL, rows["tokens"], 7).astype(np.int32)}
    before = logits(SMALL, head, shape)
    assert np.isfinite(before).all()
    real = {"span_qa": REAL, "tagging": rows["word_positions"] >= 0}.get(shape.family, REAL.any(1))
    np.testing.assert_array_equal(before[real], logits(SMALL, head, shape, noise)[real])


@pytest.mark.parametrize(("head", "shape"), [*HEADS, (HeadConfig(), CLASSES)], ids=str)
def test_rows_that_share_lines_are_what_they_are_alone(head, shape) -> None:
    rows, width = batch(), 16
    line, begin = (0, 0, 1, 1), (0, 8, 5, 0)  # of 8, 5, 2 and no tokens
    places = np.full((B, T), -1, np.int32)
    for row, length in enumerate(LENGTHS):
        places[row, :length] = line[row] * width + begin[row] + np.arange(length)
    shared = {"places": places, "word_positions": rows["word_positions"]}
    for name in ("tokens", "token_types", "positions", "segments"):
        number = np.arange(1, B + 1)[:, None] if name == "segments" else 1
        shared[name] = np.zeros((2, width), np.int32)
        shared[name].flat[places[REAL]] = (rows[name] * number)[REAL]
    found, alone = logits(SMALL, head, shape, shared), logits(SMALL, head, shape)
    real = {"span_qa": REAL, "tagging": rows["word_positions"] >= 0}.get(shape.family, REAL.any(1))
    same(found, alone, real)
    states = jax.jit(partial(encoder_states, SMALL, head, shape))
    known = shared | {"states": states(params(SMALL, head, shape), shared)}
    same(logits(SMALL, head, shape, known), alone, real)


@pytest.mark.parametrize(("head", "shape"), [*HEADS, (HeadConfig(crf=True), TAGGING)], ids=str)
def test_parameters_have_names_places_and_groups(head, shape) -> None:
    shapes = abstract_task_params(SMALL, head, shape)
    found = {path_name(p): x.shape for p, x in jax.tree_util.tree_leaves_with_path(shapes)}
    encoder = model.abstract_params(replace(SMALL, next_sentence_head=True))
    known = {path_name(p): x.shape for p, x in jax.tree_util.tree_leaves_with_path(encoder)}
    new = {path for path in found if path not in known}
    assert all(path.startswith("head/") for path in new)
    assert all(found[path] == known[path] for path in found if path in known)
    assert "head/classifier/kernel" in new
    assert ("pooler/dense/kernel" in found) == has_pooler(SMALL, head, shape)
    facts = describe_task(SMALL, head, shape)
    assert facts.keys() == found.keys()
    assert {path for path in new if facts[path].group == "matrix"} == {
        path for path in new if path.endswith("/kernel")
    }
    assert {facts[path].group for path in new} == {"matrix", "vector"}


def test_encoder_starts_as_in_pretraining() -> None:
    cfg, key = replace(SMALL, num_layers=1), jax.random.key(3)
    ours = by_path(jax.jit(partial(init_task, cfg, HeadConfig(), CLASSES))(key))
    theirs = by_path(jax.jit(partial(model.init, cfg))(key))
    shared = [path for path in ours if path.startswith(("embeddings/", "layer_"))]
    assert len(shared) == 5 + 16 * cfg.num_layers
    for path in shared:
        np.testing.assert_array_equal(ours[path], theirs[path])


def test_dropout_before_the_last_layer_follows_its_key() -> None:
    head = HeadConfig(dropout=0.5)
    given = params(SMALL, head, CLASSES)  # this encoder itself drops nothing out
    run = jax.jit(lambda key: apply_task(SMALL, head, CLASSES, given, batch(), key=key)["logits"])
    first, again, other = (run(jax.random.key(i)) for i in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    plain = logits(SMALL, head, CLASSES)
    assert np.abs(first - plain).max() > 1e-3 and np.abs(first - other).max() > 1e-3


def test_bfloat16_is_close_and_logits_stay_float32() -> None:
    head, shape = HEADS[2]
    exact = logits(SMALL, head, shape)
    run = jax.jit(partial(apply_task, SMALL, head, shape, compute=model.Compute("bfloat16")))
    rounded = run(params(SMALL, head, shape), batch())["logits"]
    assert rounded.dtype == jnp.float32
    difference = np.abs(exact - rounded)[REAL]
    assert 0 < difference.max() < 0.1 * np.abs(exact[REAL]).max()


@pytest.mark.parametrize("shape", [("regression", 1, (1.0,)), ("tagging", 3, (1.0, 2.0))])
def test_weights_that_fit_no_classes_are_refused(shape) -> None:
    with pytest.raises(UserError, match=r"task\.class_weights"):
        TaskShape(*shape)
