"""Checkpoints as they are found: old, partial and half-precision ones, and damaged or hostile."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import oracle_transformers as oracle
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from bertjax import huggingface
from bertjax.errors import UserError
from bertjax.huggingface.config_json import from_hub_config
from bertjax.huggingface.systems import SYSTEMS
from bertjax.huggingface.weights import open_weights

CFG = oracle.small()
WORDS = "bert.embeddings.word_embeddings.weight"


def change_weights(directory: Path, change: Callable[[dict], Any]) -> None:
    tensors = load_file(directory / "model.safetensors")
    change(tensors)
    save_file(tensors, directory / "model.safetensors")


def change_config(directory: Path, **fields: Any) -> None:
    file = directory / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def refuse(directory: Path, *fragments: str) -> None:
    with pytest.raises(UserError) as caught:
        huggingface.import_model(directory)
    message = str(caught.value)
    assert "\n" not in message
    for fragment in fragments:
        assert fragment in message


def test_old_names_and_copies_are_read(exported, directory) -> None:
    def age(tensors: dict) -> None:
        for name in list(tensors):
            old = name.removeprefix("bert.").replace("LayerNorm.weight", "LayerNorm.gamma")
            tensors[old.replace("LayerNorm.bias", "LayerNorm.beta")] = tensors.pop(name)
        tensors["embeddings.position_ids"] = np.arange(CFG.max_positions)[None]
        tensors["cls.predictions.decoder.weight"] = tensors["embeddings.word_embeddings.weight"]
        tensors["cls.predictions.decoder.bias"] = tensors.pop("cls.predictions.bias")

    change_weights(directory, age)
    old, new = huggingface.import_model(directory), huggingface.import_model(exported)
    assert old.cfg == new.cfg == CFG and old.fresh == [] and old.ignored == []
    assert oracle.same_bits(old.params, new.params)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_in_shards_is_widened(dtype, exported, directory) -> None:
    reference = oracle.load(exported).to(dtype)
    (directory / "model.safetensors").unlink()
    reference.save_pretrained(directory, max_shard_size="4KB")
    assert len(list(directory.glob("*.safetensors"))) > 1
    imported = huggingface.import_model(directory)
    theirs = reference.to(torch.float32).bert.embeddings.word_embeddings.weight.detach().numpy()
    table = imported.params["embeddings"]["word_embeddings"]["embedding"]
    assert table.dtype == np.float32
    np.testing.assert_array_equal(table[: CFG.vocab_size], theirs)


def test_missing_heads_are_fresh_and_named(exported, tmp_path) -> None:
    bare = oracle.load(exported).bert
    bare.save_pretrained(tmp_path)
    imported = huggingface.import_model(tmp_path)
    assert imported.cfg.next_sentence_head
    heads = {path.rsplit("/", 1)[0] for path in imported.fresh}
    assert heads == {
        "masked_lm",
        "masked_lm/transform",
        "masked_lm/norm",
        "next_sentence/classifier",
    }
    assert imported.params["masked_lm"]["transform"]["kernel"].std() > 0
    again, other = (huggingface.import_model(tmp_path, seed) for seed in (0, 1))
    assert oracle.same_bits(imported.params, again.params)
    assert not oracle.same_bits(imported.params, other.params)


def test_heads_of_other_tasks_are_ignored_and_named(exported, tmp_path) -> None:
    config = transformers.RobertaConfig(
        vocab_size=99,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=20,
    )
    transformers.RobertaForSequenceClassification(config).save_pretrained(tmp_path)
    imported = huggingface.import_model(tmp_path)
    assert imported.cfg.family == "roberta" and imported.cfg.max_positions == 18
    assert sorted(imported.ignored) == [
        f"classifier.{module}.{name}"
        for module in ("dense", "out_proj")
        for name in ("bias", "weight")
    ]


CONFIGS = [
    ({"model_type": "gpt2"}, "model_type='gpt2' is not supported: bertjax imports bert, roberta"),
    ({"model_type": ["bert"]}, "is not supported"),
    ({"auto_map": {"AutoModel": "x.Y"}}, "auto_map"),
    ({"trust_remote_code": True}, "code of its own"),
    ({"position_embedding_type": "relative_key"}, "absolute"),
    ({"is_decoder": True}, "only encoders"),
    ({"add_cross_attention": True}, "only encoders"),
    ({"quantization_config": {"bits": 4}}, "quantized"),
    ({"hidden_act": "mish"}, "hidden_act='mish'"),
    ({"hidden_act": {"a": 1}}, "hidden_act"),
    ({"hidden_size": -8}, "model.hidden_size=-8 is out of range"),
    ({"hidden_size": 2**60}, "out of range"),
    ({"hidden_size": "24"}, "hidden_size='24' is no integer"),
    ({"num_attention_heads": 7}, "does not divide"),
    ({"num_attention_heads": True}, "num_attention_heads=True is no integer"),
    ({"layer_norm_eps": float("nan")}, "layer_norm_eps"),
    ({"vocab_size": 0}, "vocab_size=0"),
    ({"vocab_size": None}, "vocab_size=None is no integer"),
    ({"num_hidden_layers": 1000, "hidden_size": 3 * 2**14}, "at most 20,000,000,000 parameters"),
    ({"num_hidden_layers": 2}, "lacks 16 tensors"),
    ({"vocab_size": 131}, f"{WORDS} has shape [130, {CFG.hidden_size}], config.json makes it [131"),
    ({"vocab_size": 129}, "has shape"),
    ({"type_vocab_size": 3}, "bert.embeddings.token_type_embeddings.weight has shape"),
    ({"max_position_embeddings": 512}, "position_embeddings.weight has shape"),
    ({"model_type": "roberta", "pad_token_id": 1}, "lacks"),
]


@pytest.mark.parametrize(("fields", "message"), CONFIGS)
def test_config_is_refused(fields, message, directory) -> None:
    change_config(directory, **fields)
    refuse(directory, message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not valid JSON"),
        (b"[1]", "no JSON object"),
        (b"\xff\xfe", "not valid JSON"),
        (b'{"a":' * 100_000, "not valid JSON"),
        (b'{"vocab_size": ' + b"9" * 5000 + b"}", "not valid JSON"),
        (b" " * (1 << 20) + b"{}", "the limit is 1,048,576"),
    ],
)
def test_config_that_is_no_config_is_refused(content, message, directory) -> None:
    (directory / "config.json").write_bytes(content)
    refuse(directory, "config.json", message)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=3,
)
KEYS = [
    "model_type", "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads",
    "hidden_act", "layer_norm_eps", "max_position_embeddings", "pad_token_id", "auto_map",
    "is_decoder", "position_embedding_type", "pruned_heads", "hidden_dropout_prob",
    "rope_parameters", "rope_theta", "layer_types", "local_attention", "decoder_bias", "norm_bias",
    "global_attn_every_n_layers", "embedding_size", "num_hidden_groups", "inner_group_num",
    "n_embd", "afn", "n_layers", "num_key_value_heads", "use_task_id", "task_type_vocab_size",
    "rotary_value", "tie_word_embeddings", "rope_scaling", "classifier_activation",
]  # fmt: skip


@settings(max_examples=300)
@given(
    st.sampled_from(sorted(SYSTEMS)),
    st.dictionaries(st.sampled_from(KEYS), JSON, max_size=3),
)
def test_any_config_is_read_or_refused(model_type, fields) -> None:
    content = {"model_type": model_type, "vocab_size": 100} | fields
    try:
        cfg = from_hub_config(content, Path("config.json"))
    except UserError as error:
        assert "config.json" in str(error) and "\n" not in str(error)
    else:
        assert cfg.vocab_size == content["vocab_size"]


def header_of(names: dict[str, Any], data: bytes = b"") -> bytes:
    text = names if isinstance(names, bytes) else json.dumps(names).encode()
    return struct.pack("<Q", len(text)) + text + data


ONE = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04 a zip file as torch.save writes it",
        struct.pack("<Q", 1 << 63) + b"{}",
        header_of(b"not json"),
        header_of({"a": ONE}, b"\0\0"),
        header_of({"a": ONE | {"shape": [2]}}, bytes(4)),
        header_of({"a": ONE | {"shape": [2**62, 4]}}, bytes(4)),
        header_of({"a": ONE, "b": ONE}, bytes(4)),
        header_of({"a": ONE}, bytes(5)),
        header_of({"a": ONE | {"dtype": "PICKLE"}}, bytes(4)),
        header_of(b'{"a":%b,"a":%b}' % ((json.dumps(ONE).encode(),) * 2), bytes(4)),
    ],
)
def test_hostile_weights_are_refused(content, directory) -> None:
    (directory / "model.safetensors").write_bytes(content)
    refuse(directory, "model.safetensors is no sound safetensors file")


@settings(max_examples=40)
@given(st.data())
def test_truncated_weights_are_refused(exported, tmp_path_factory, data) -> None:
    whole = (exported / "model.safetensors").read_bytes()
    cut = data.draw(st.integers(0, len(whole) - 1))
    folder = tmp_path_factory.mktemp("cut")
    (folder / "model.safetensors").write_bytes(whole[:cut])
    with pytest.raises(UserError, match="no sound safetensors file"):
        open_weights(folder)


@settings(max_examples=60)
@given(st.data())
def test_changed_header_is_read_or_refused(exported, tmp_path_factory, data) -> None:
    content = bytearray((exported / "model.safetensors").read_bytes())
    length = 8 + int.from_bytes(content[:8], "little")
    for position in data.draw(st.lists(st.integers(0, length - 1), min_size=1, max_size=3)):
        content[position] = data.draw(st.integers(0, 255))
    folder = tmp_path_factory.mktemp("changed")
    (folder / "model.safetensors").write_bytes(content)
    try:
        arrays = [tensor.read() for tensor in open_weights(folder).values()]
    except UserError as error:
        assert "model.safetensors" in str(error) and "\n" not in str(error)
    else:
        assert sum(array.nbytes for array in arrays) <= len(content) - length


def test_weights_that_do_not_fit_are_refused(exported, directory) -> None:
    bias = "bert.encoder.layer.0.output.dense.bias"
    changes: list[tuple[Callable[[dict], Any], str]] = [
        (lambda t: t.pop(bias), f"lacks 1 tensors that its config.json asks for, first {bias}"),
        (lambda t: t.update({bias: np.full_like(t[bias], np.inf)}), f"{bias} has"),
        (lambda t: t.update({bias: t[bias].astype(np.float64)}), f"{bias} is F64"),
        (lambda t: t.update({bias: t[bias][:-1]}), f"{bias} has shape"),
        (lambda t: t.update({bias[5:]: t[bias]}), "two tensors for one parameter"),
        (
            lambda t: t.update({"bert.encoder.layer.1.output.dense.bias": t[bias]}),
            "layer.1.output.dense.bias, which a bert of 1 layers does not have",
        ),
        (
            lambda t: t.update({"cls.predictions.decoder.weight": t[WORDS] + 1}),
            f"cls.predictions.decoder.weight differs from {WORDS}",
        ),
        (
            lambda t: t.update({"cls.predictions.decoder.bias": t["cls.predictions.bias"][1:]}),
            "cls.predictions.decoder.bias differs from cls.predictions.bias",
        ),
    ]  # fmt: skip
    for change, message in changes:
        shutil.copy(exported / "model.safetensors", directory)
        change_weights(directory, change)
        refuse(directory, message)


def test_untied_decoder_that_is_not_there_is_refused(directory) -> None:
    change_config(directory, tie_word_embeddings=False)
    refuse(directory, "tie_word_embeddings")


@pytest.mark.parametrize(
    ("weight_map", "message"),
    [
        ({"a": "../model.safetensors"}, "only names of .safetensors files in the same directory"),
        ({"a": "/etc/x.safetensors"}, "only names"),
        ({"a": "..\\x.safetensors"}, "only names"),
        ({"a": "pytorch_model.bin"}, "only names"),
        ({"a": 3}, "only names"),
        ({"a": "absent.safetensors"}, "absent.safetensors is missing"),
        ({"a": "part.safetensors"}, "does not hold it"),
        ({}, "no weight_map"),
        ([], "no weight_map"),
    ],
)
def test_index_is_refused(weight_map, message, directory) -> None:
    (directory / "model.safetensors").rename(directory / "part.safetensors")
    index = directory / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    refuse(directory, message)


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "a.pt", "m.ckpt", "flax_model.msgpack", "tf_model.h5"]
)
def test_formats_that_can_run_code_are_refused(name, directory) -> None:
    (directory / "model.safetensors").rename(directory / name)
    refuse(directory, name, "safetensors only", "convert it elsewhere")
    refuse(directory / name, "is no directory")


def test_missing_files_are_refused(directory, tmp_path) -> None:
    refuse(tmp_path / "nowhere", "nowhere is no directory")
    (directory / "model.safetensors").unlink()
    refuse(directory, "has no model.safetensors")
    (directory / "config.json").unlink()
    refuse(directory, "config.json is missing")


def test_tokenizer_that_does_not_fit_is_refused(exported, directory) -> None:
    pieces = (exported.parent / "vocab.txt").read_text().splitlines()
    (directory / "tokenizer.json").unlink()
    (directory / "vocab.txt").write_text("\n".join([*pieces, "one", "more"]) + "\n")
    refuse(directory, "132 pieces", "vocab_size=130")
    (directory / "vocab.txt").write_text("\n".join(pieces[:-1]) + "\n")
    change_weights(directory, lambda tensors: None)  # saved again, so bound to no tokenizer
    tokenizer = huggingface.import_model(directory).tokenizer
    assert tokenizer is not None and tokenizer.vocab_size == 129
