"""Heads of tasks against transformers' classes, both ways, and the pipelines people would call."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import oracle_transformers as oracle
import pytest
import torch
import transformers
from family import FAMILY
from tiny_heads import (
    CLASSES,
    HEAD,
    PAD,
    SHAPES,
    B,
    T,
    encoder,
    export,
    head_of,
    random_params,
    task_batch,
    their_logits,
)

from bertjax import huggingface
from bertjax.config import HeadConfig
from bertjax.errors import UserError
from bertjax.huggingface.config_json import obstacle_to_export
from bertjax.huggingface.export import to_hub_tensors
from bertjax.huggingface.names import hub_names, task_architecture
from bertjax.huggingface.systems import SYSTEMS
from bertjax.huggingface.task_config import from_task_fields
from bertjax.model.task import TaskShape, abstract_task_params, apply_task
from bertjax.objectives import task_losses
from bertjax.tree import flatten


@oracle.jit_for_config
def our_loss_and_gradients(static: tuple, params: dict, batch: dict) -> tuple:
    def mean(params):
        outputs = apply_task(*static, params, batch)
        total, weight = task_losses.loss(static[2], outputs, batch)
        return total / weight, outputs["logits"]

    gradients, logits = jax.grad(mean, has_aux=True)(params)
    return logits, gradients


def their_outputs(reference: Any, shape: TaskShape, batch: dict, *, grouped: bool) -> Any:
    """Outputs with the loss, or without it where ours differs from theirs on purpose."""
    names = {"tokens": "input_ids", "segments": "attention_mask"}
    if getattr(reference.config, "type_vocab_size", 0):
        names["token_types"] = "token_type_ids"
    given = {theirs: torch.tensor(np.asarray(batch[ours])).long() for ours, theirs in names.items()}
    if grouped:  # one group of B endings
        given = {name: array[None] for name, array in given.items()}
        given["labels"] = torch.tensor([1])
    elif shape.family == "tagging":
        given["labels"] = torch.tensor(np.where(batch["tags"] < 0, -100, batch["tags"])).long()
    elif shape.family != "span_qa":
        label = torch.tensor(batch["label"])
        given["labels"] = label.double() if shape.family != "classification" else label.long()
    return reference.eval()(**given)


def span_loss(logits: Any, batch: dict) -> Any:
    """Cross-entropies of start and end over the real tokens, which transformers does not mask."""
    real = torch.tensor(batch["segments"] > 0)
    masked = torch.where(real[..., None], logits, -torch.inf)
    spans = torch.tensor(batch["span"]).long()
    losses = [torch.nn.functional.cross_entropy(masked[..., i], spans[:, i]) for i in (0, 1)]
    return sum(losses) / 2


def again_type(directory: Path) -> str:
    return json.loads((directory / "config.json").read_text())["model_type"]


CASES = [("bert", family) for family in SHAPES]
# The other encoders where their heads are not those of BERT.
CASES += [("roberta", family) for family in ("classification", "span_qa", "multiple_choice")]
CASES += [("pre-norm", family) for family in ("regression", "tagging")]
CASES += [("eurobert-late", "classification"), ("eurobert-mean", "regression")]
FAMILIES = ("classification", "tagging", "span_qa", "multiple_choice")
CASES += [
    (kind, family)
    for kind in FAMILY
    for family in FAMILIES
    if family in SYSTEMS[str(FAMILY[kind]["family"])].heads
]


@pytest.mark.parametrize(("kind", "family"), CASES)
def test_exported_head_gives_the_same_logits_gradients_and_comes_back(
    kind, family, tmp_path
) -> None:
    (shape, labels), cfg = SHAPES[family], encoder(kind)
    head = head_of(kind)
    params, batch = random_params(cfg, head, shape), task_batch(cfg, shape)
    out = export(cfg, head, shape, labels, params, tmp_path / "hf")
    with oracle.complaints() as complaints:
        reference = oracle.load(out).double()  # so that only our own rounding is seen
    assert complaints == []

    logits, gradients = our_loss_and_gradients((cfg, head, shape), params, batch)
    outputs = their_outputs(reference, shape, batch, grouped=family == "multiple_choice")
    theirs = their_logits(outputs, shape)
    real = batch["segments"] > 0 if logits.ndim == 3 else np.ones(B, bool)
    np.testing.assert_allclose(np.asarray(logits)[real], theirs.detach().numpy()[real], atol=1e-5)

    (span_loss(theirs, batch) if family == "span_qa" else outputs.loss).backward()
    found = {name: p.grad for name, p in reference.named_parameters() if p.grad is not None}
    special = oracle.tiny_tokenizer(cfg.vocab_size, PAD, tmp_path).special
    ours = to_hub_tensors(cfg, gradients, special, task_architecture(cfg, head, shape))
    ours = {name: gradient for name, gradient in ours.items() if "embed_positions" not in name}
    assert found.keys() == ours.keys()
    largest = max(gradient.abs().max().item() for gradient in found.values())
    for name, gradient in found.items():
        # Some true gradients are zero: of keys' biases, and of one added to all of a softmax.
        scale = max(gradient.abs().max().item(), 1e-2 * largest)
        np.testing.assert_allclose(ours[name], gradient, 0, 1e-4 * scale, err_msg=name)

    again = huggingface.import_task_model(out)
    kept = SYSTEMS[again_type(out)].heads[family].dropout
    expected = head if kept else replace(head, dropout=0.0)
    assert (again.cfg, again.head, again.shape, again.labels) == (cfg, expected, shape, labels)
    assert oracle.same_bits(again.params, params)
    assert again.tokenizer is not None and again.tokenizer.vocab_size == cfg.vocab_size


@pytest.mark.parametrize(
    ("config", "expected"),
    [(transformers.EuroBertConfig(), "late"), (transformers.ModernBertConfig(), "cls")],
    ids=["eurobert", "modernbert"],
)
def test_a_pooling_that_a_file_leaves_out_is_its_class_s(config, expected):
    class_name = type(config).__name__.replace("Config", "ForSequenceClassification")
    content = {"model_type": config.model_type, "architectures": [class_name]}
    assert from_task_fields(content, Path("config.json"))[0].pooling == expected
    assert config.classifier_pooling == expected
    with pytest.raises(UserError, match="classifier_pooling='max' is not known: use "):
        from_task_fields(content | {"classifier_pooling": "max"}, Path("config.json"))


def test_roformer_s_classifier_has_the_curve_of_the_layers(tmp_path) -> None:
    cfg = encoder("roformer", activation="silu", pooler="silu")
    params, batch = random_params(cfg, HEAD, CLASSES), task_batch(cfg, CLASSES)
    out = export(cfg, HEAD, CLASSES, SHAPES["classification"][1], params, tmp_path / "hf")
    with torch.no_grad():
        theirs = their_outputs(oracle.load(out), CLASSES, batch, grouped=False).logits.numpy()
    ours = oracle.jit_for_config(lambda s, p, b: apply_task(*s, p, b)["logits"])(
        (cfg, HEAD, CLASSES), params, batch
    )
    np.testing.assert_allclose(ours, theirs, 0, 1e-5)
    assert huggingface.import_task_model(out).cfg == cfg
    other = obstacle_to_export(encoder("roformer", activation="silu"), HEAD, "classification")
    assert other.startswith("model.pooler=gelu: ") and "has silu: train with that" in other


THEIRS = [
    (transformers.BertForSequenceClassification, "classification", {"num_labels": 3}),
    (transformers.BertForTokenClassification, "tagging", {"num_labels": 5}),
    (transformers.BertForQuestionAnswering, "span_qa", {}),
    (transformers.BertForMultipleChoice, "multiple_choice", {}),
    (transformers.RobertaForSequenceClassification, "regression", {"num_labels": 1}),
    (
        transformers.RobertaForSequenceClassification,
        "multi_label",
        {"num_labels": 4, "problem_type": "multi_label_classification"},
    ),
    (transformers.RobertaForMultipleChoice, "multiple_choice", {}),
    (transformers.RobertaPreLayerNormForTokenClassification, "tagging", {"num_labels": 2}),
]


@pytest.mark.parametrize(
    ("made", "family", "fields"), THEIRS, ids=lambda x: getattr(x, "__name__", "")
)
def test_imported_head_gives_the_same_logits(made, family, fields, tmp_path) -> None:
    torch.manual_seed(0)
    reference = made(
        made.config_class(
            vocab_size=157,
            hidden_size=24,
            num_hidden_layers=1,
            num_attention_heads=3,
            intermediate_size=20,
            max_position_embeddings=30,
            pad_token_id=PAD,
            classifier_dropout=0.2,
            **fields,
        )
    )
    with torch.no_grad():
        for parameter in reference.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    reference.save_pretrained(tmp_path)
    imported = huggingface.import_task_model(tmp_path)
    shape = imported.shape
    assert shape.family == family and imported.tokenizer is None
    assert imported.head.dropout == (0.0 if family == "span_qa" else 0.2)
    count = fields.get("num_labels", 0)
    assert imported.labels == tuple(f"LABEL_{i}" for i in range(count))
    batch = oracle.random_batch(imported.cfg, PAD, 2)
    batch["word_positions"] = np.where(batch["segments"] > 0, np.arange(T), -1).astype(np.int32)
    found = oracle.jit_for_config(lambda s, p, b: apply_task(*s, p, b)["logits"])(
        (imported.cfg, imported.head, shape), imported.params, batch
    )
    with torch.no_grad():
        outputs = reference.eval()(
            **{
                name: torch.tensor(batch[ours]).long()[None if family == "multiple_choice" else ...]
                for name, ours in (
                    ("input_ids", "tokens"),
                    ("attention_mask", "segments"),
                    ("token_type_ids", "token_types"),
                )
            }
        )
    theirs = their_logits(outputs, shape).numpy()
    real = batch["segments"] > 0 if found.ndim == 3 else np.ones(B, bool)
    np.testing.assert_allclose(np.asarray(found)[real], theirs[real], atol=1e-5)


def rows_of(tokenizer: Any, texts: list[str]) -> dict[str, np.ndarray]:
    special, rows = tokenizer.special, tokenizer.encode_batch(texts)
    tokens = np.full((len(texts), 16), special.pad, np.int32)
    for row, ids in zip(tokens, rows, strict=True):
        row[: len(ids) + 2] = [special.cls, *ids, special.sep]
    return {
        "tokens": tokens,
        "token_types": np.zeros_like(tokens),
        "positions": np.tile(np.arange(16, dtype=np.int32), (len(texts), 1)),
        "segments": (tokens != special.pad).astype(np.int32),
        "word_positions": np.tile(np.arange(16, dtype=np.int32), (len(texts), 1)),
    }


@pytest.mark.parametrize("family", ["classification", "multi_label", "tagging"])
def test_pipelines_give_our_answers(family, tmp_path) -> None:
    (shape, labels), cfg = SHAPES[family], encoder("bert", max_positions=16)
    params = random_params(cfg, HEAD, shape)
    out = export(cfg, HEAD, shape, labels, params, tmp_path / "hf")
    tokenizer = huggingface.import_task_model(out).tokenizer
    assert tokenizer is not None
    texts = ["a b c d", "e f", "3, a."]
    batch = rows_of(tokenizer, texts)
    outputs = apply_task(cfg, HEAD, shape, params, batch)
    ours = np.asarray(task_losses.probabilities(shape, outputs, batch)["probabilities"])
    with oracle.complaints() as complaints:
        if family == "tagging":
            tag = transformers.pipeline("token-classification", model=str(out), ignore_labels=[])
            for row, said in enumerate(tag(texts)):
                assert len(said) == batch["segments"][row].sum() - 2
                for word in said:
                    shares = ours[row, word["index"]]
                    assert word["entity"] == labels[shares.argmax()]
                    assert word["score"] == pytest.approx(shares.max(), abs=1e-5)
        else:
            judge = transformers.pipeline("text-classification", model=str(out), top_k=None)
            for row, said in enumerate(judge(texts)):
                scores = {item["label"]: item["score"] for item in said}
                assert scores == pytest.approx(dict(zip(labels, ours[row], strict=True)), abs=1e-5)
    assert complaints == []


@pytest.mark.parametrize(
    ("head", "family"),
    [
        (HeadConfig(pooling="mean"), "classification"),
        (HeadConfig(fusion="mean", fusion_layers=1), "regression"),
        (HeadConfig(sequence="bilstm"), "span_qa"),
        (HeadConfig(crf=True), "tagging"),
    ],
    ids=str,
)
def test_head_that_transformers_lacks_is_refused_and_its_encoder_is_not(
    head, family, tmp_path
) -> None:
    (shape, labels), cfg = SHAPES[family], encoder("roberta")
    params = random_params(cfg, head, shape)
    out = tmp_path / "hf"
    with pytest.raises(UserError, match=r"head\.\w+=\w+: RobertaFor.* export the encoder alone"):
        export(cfg, head, shape, labels, params, out)
    assert not out.exists()
    tokenizer = oracle.tiny_tokenizer(cfg.vocab_size, PAD, tmp_path)
    huggingface.export_encoder(cfg, params, tokenizer, out, oracle.CARD, oracle.LINES)
    _, info = transformers.AutoModel.from_pretrained(out, output_loading_info=True)
    assert not info["unexpected_keys"] and not info["mismatched_keys"]
    pooler = {"pooler.dense.weight", "pooler.dense.bias"}
    assert set(info["missing_keys"]) == (set() if "pooler" in params else pooler)


@pytest.mark.parametrize("kind", ["bert", "roberta", "pre-norm", "ernie-tasks", "albert-groups"])
def test_exported_encoder_loads_silently_and_computes_the_same(kind, tmp_path) -> None:
    cfg, out = encoder(kind), tmp_path / "hf"
    params = random_params(cfg, HEAD, CLASSES)
    tokenizer = oracle.tiny_tokenizer(cfg.vocab_size, PAD, tmp_path)
    report = huggingface.export_encoder(cfg, params, tokenizer, out, oracle.CARD, oracle.LINES)
    with oracle.complaints() as complaints:
        reference, info = transformers.AutoModel.from_pretrained(out, output_loading_info=True)
    assert complaints == [] and not any(info.values())
    assert report.architecture == type(reference).__name__
    batch = oracle.random_batch(cfg, PAD, 2)
    with torch.no_grad():
        theirs = reference.eval()(
            input_ids=torch.tensor(batch["tokens"]).long(),
            attention_mask=torch.tensor(batch["segments"]).long(),
            token_type_ids=torch.tensor(batch["token_types"]).long(),
        )
    pooled = theirs.pooler_output.numpy()
    last = params["head"]["classifier"]
    found = apply_task(cfg, HEAD, CLASSES, params, batch)["logits"]
    np.testing.assert_allclose(found, pooled @ last["kernel"] + last["bias"], atol=1e-5)


@pytest.mark.parametrize(("kind", "family"), CASES)
def test_every_parameter_has_a_name(kind, family) -> None:
    cfg, (shape, _) = encoder(kind), SHAPES[family]
    head = head_of(kind)
    names = hub_names(cfg, task_architecture(cfg, head, shape))
    assert names.keys() == flatten(abstract_task_params(cfg, head, shape)).keys()
