"""Graphs for onnxruntime against transformers: heads of every member, of tasks, and encoders."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import oracle_transformers as oracle
import pytest
import torch
import transformers
from family import FAMILY
from test_task_heads import random_params
from tiny_heads import ENCODERS, PAD, POOLINGS, SHAPES, head_of, task_batch
from tiny_heads import encoder as with_head

from bertjax import huggingface
from bertjax.errors import UserError
from bertjax.huggingface import onnx_graph

onnx = pytest.importorskip("onnx", reason="needs the extra onnx")
pytest.importorskip("jax2onnx", reason="needs jax2onnx, installed without its dependencies")
onnxruntime = pytest.importorskip("onnxruntime")

ROBERTA = {"family": "roberta", "position_offset": PAD + 1, "next_sentence_head": False}
MEMBERS = {"bert": {}, "roberta": ROBERTA, "pre-norm": ROBERTA | {"norm": "pre"}} | FAMILY
DETECTOR = FAMILY["electra"] | {"replaced_token_head": True}
MEMBERS |= {"electra-detector": DETECTOR}
NAMES = {"input_ids": "tokens", "attention_mask": "segments", "token_type_ids": "token_types"}


def is_one(kind: str) -> bool:
    """Whether it is a member or a pooling of its own, not another shape of a member."""
    return "-" not in kind or kind in POOLINGS


def run(directory: Path, batch: dict, *, grouped: bool = False) -> dict[str, np.ndarray]:
    """What the graph of a directory gives for a batch, by the names of its outputs."""
    session = onnxruntime.InferenceSession(str(directory / onnx_graph.FILE))
    feed = {one.name: batch[NAMES[one.name]].astype(np.int64) for one in session.get_inputs()}
    feed = {name: array[None] for name, array in feed.items()} if grouped else feed
    names = [one.name for one in session.get_outputs()]
    return dict(zip(names, session.run(names, feed), strict=True))


def assert_alike(ours: np.ndarray, theirs: torch.Tensor, batch: dict) -> None:
    """Within 1e-5 of the scale, where tokens are."""
    expected, real = theirs.detach().numpy(), batch["segments"] > 0
    if expected.shape[:2] == real.shape:
        ours, expected = ours[real], expected[real]
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(ours, expected, 0, 1e-5 * scale)


def their_outputs(directory: Path, batch: dict):
    with torch.no_grad():
        return oracle.their_outputs(oracle.load(directory), batch)


@pytest.mark.slow
@pytest.mark.parametrize("member", sorted(MEMBERS))
def test_the_graph_of_every_member_gives_their_logits(member, tmp_path):
    cfg = oracle.random_config(3, **MEMBERS[member])
    params, batch = oracle.random_params(cfg, 2), oracle.random_batch(cfg, PAD, 1)
    tokenizer = oracle.tiny_tokenizer(cfg.vocab_size, PAD, tmp_path)
    out = tmp_path / "hf"
    report = huggingface.export_model(
        cfg, params, tokenizer, out, oracle.CARD, oracle.LINES, onnx=True
    )
    assert report.graph
    found, theirs = run(out, batch), their_outputs(out, batch)
    words = "prediction_logits" if cfg.next_sentence_head else "logits"
    assert_alike(found.pop("logits"), theirs[words], batch)
    if cfg.next_sentence_head:
        pairs = "sop_logits" if "sop_logits" in theirs else "seq_relationship_logits"
        assert_alike(found.pop("seq_relationship_logits"), theirs[pairs], batch)
    assert not found
    one = {name: batch[name][:1] for name in NAMES.values()}  # another number of rows and tokens
    longer = {name: np.tile(array, (1, 2))[:, : cfg.max_positions] for name, array in one.items()}
    assert run(out, longer)["logits"].shape[:2] == longer["tokens"].shape


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "family"),
    [("bert", family) for family in sorted(SHAPES)]
    + [(kind, "classification") for kind in sorted(ENCODERS) if kind != "bert" and is_one(kind)],
)
def test_the_graph_of_a_head_gives_their_logits(kind, family, tmp_path):
    """Every head of BERT, and every member with that of a class."""
    (shape, labels), cfg, head = SHAPES[family], with_head(kind), head_of(kind)
    params = random_params(cfg, head, shape)
    batch, out = task_batch(cfg, shape), tmp_path / "hf"
    huggingface.export_task_model(
        cfg,
        head,
        shape,
        labels,
        params,
        oracle.tiny_tokenizer(cfg.vocab_size, PAD, tmp_path),
        out,
        oracle.CARD,
        oracle.LINES,
        onnx=True,
    )
    grouped = family == "multiple_choice"
    found = run(out, batch, grouped=grouped)
    given = {name: array[None] for name, array in batch.items()} if grouped else batch
    theirs = their_outputs(out, given)
    for name, values in found.items():
        assert_alike(values, theirs[name], batch)
    assert sorted(found) == sorted(name for name in theirs if name.endswith("logits"))


@pytest.mark.parametrize("pooler", [True, False])
def test_the_graph_of_an_encoder_gives_their_states(pooler, tmp_path):
    cfg = oracle.random_config(3, next_sentence_head=pooler)
    params, batch = oracle.random_params(cfg, 2), oracle.random_batch(cfg, PAD, 1)
    tokenizer = oracle.tiny_tokenizer(cfg.vocab_size, PAD, tmp_path)
    out = tmp_path / "hf"
    huggingface.export_encoder(cfg, params, tokenizer, out, oracle.CARD, oracle.LINES, onnx=True)
    found = run(out, batch)
    assert set(found) == {"last_hidden_state", *(["pooler_output"] if pooler else [])}
    reference = transformers.BertModel.from_pretrained(out, add_pooling_layer=pooler)
    with torch.no_grad():
        theirs = oracle.their_outputs(reference, batch)
    for name, values in found.items():
        assert_alike(values, theirs[name], batch)
    graph = onnx.load(out / onnx_graph.FILE, load_external_data=False).graph
    assert "Einsum" not in {node.op_type for node in graph.node}
    assert [one.type.tensor_type.elem_type for one in graph.input] == [onnx.TensorProto.INT64] * 3


def test_a_graph_that_computes_something_else_is_refused(tmp_path, monkeypatch):
    """Of weights that lie beside the graph, too."""
    cfg = oracle.random_config(3, next_sentence_head=False)
    params = oracle.random_params(cfg, 2)
    tokenizer = oracle.tiny_tokenizer(cfg.vocab_size, PAD, tmp_path)
    arguments = (cfg, params, tokenizer, tmp_path / "hf", oracle.CARD, oracle.LINES)
    convert, monkeyed = onnx_graph._converted, []

    def damaged(traced, names):
        model = convert(traced, names)
        largest = max(model.graph.initializer, key=lambda one: one.ByteSize())
        values = onnx.numpy_helper.to_array(largest) + 0.01
        largest.CopyFrom(onnx.numpy_helper.from_array(values, largest.name))
        monkeyed.append(largest.name)
        return model

    monkeypatch.setattr(onnx_graph, "_LARGEST", 0)
    monkeypatch.setattr(onnx_graph, "_converted", damaged)
    with pytest.raises(UserError, match=r"onnx/model\.onnx: logits differs by .* from JAX"):
        huggingface.export_model(*arguments, onnx=True)
    assert monkeyed and not (tmp_path / "hf").exists()
    monkeypatch.setattr(onnx_graph, "_converted", convert)
    huggingface.export_model(*arguments, onnx=True)
    assert (tmp_path / "hf" / "onnx" / "model.onnx_data").stat().st_size > 1000
    assert json.loads((tmp_path / "hf" / "config.json").read_text())["model_type"] == "bert"


def test_what_is_missing_is_said(monkeypatch):
    monkeypatch.setattr(onnx_graph, "_PACKAGES", ("onnx", "no_such_package"))
    with pytest.raises(UserError, match=r"--onnx needs no_such_package: pip install 'bertjax\[onn"):
        onnx_graph.require_onnx()
