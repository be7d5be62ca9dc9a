"""Targets: tokenizers with what stands beside them, and Hugging Face directories."""

from __future__ import annotations

import functools
import io
import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tokenizer_kinds
from fuzz_folders import fill, targets_of
from fuzz_target import Target
from safetensors.numpy import save

from bertjax.config import HeadConfig, ModelConfig
from bertjax.huggingface.config_json import to_hub_config
from bertjax.huggingface.importing import import_model, open_model
from bertjax.huggingface.names import Architecture, architecture_of, hub_tensors, task_architecture
from bertjax.huggingface.own_vectors import declared_vectors
from bertjax.huggingface.systems import SYSTEMS
from bertjax.huggingface.task_config import from_task_fields, to_task_fields
from bertjax.huggingface.task_importing import import_task_model
from bertjax.huggingface.tensors import hub_shape
from bertjax.huggingface.text_vectors import TextVectors, vector_files
from bertjax.huggingface.weights import open_weights
from bertjax.model import Params, abstract_params
from bertjax.model.task import TaskShape, abstract_task_params
from bertjax.text.special import SpecialIds
from bertjax.text.tokenizer import load_tokenizer
from bertjax.tree import flatten

# Tokenizers.

_KINDS = {
    "wordpiece": ("tokenizer.json", "tokenizer_config.json"),
    "unigram": ("tokenizer.json",),
    "roberta": ("tokenizer.json", "tokenizer_config.json"),
    "bert vocab.txt": (
        "vocab.txt", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
        "config.json",
    ),
    "roberta merges.txt": ("vocab.json", "merges.txt", "special_tokens_map.json"),
}  # fmt: skip


@functools.cache
def _files(kind: str) -> dict[str, bytes]:
    """The files of a tokenizer, by name."""
    with tempfile.TemporaryDirectory() as above:
        folder = Path(above) / "of"
        tokenizer_kinds.KINDS[kind](folder)
        return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def _use(folder: Path) -> None:
    """Load a tokenizer and encode with it, as a corpus and as a task do."""
    tokenizer = load_tokenizer(folder)
    for text in ("The old river [E1], naïve 汉字.", "", " x" * 50):
        tokenizer.encode_batch([text])
        ids, _ = tokenizer.encode_with_offsets(text, parse_special=True)
        tokenizer.decode(ids)
        tokenizer.framing.row(ids)
    tokenizer.for_words().encode_batch(["river"])
    _ = tokenizer.separators


def tokenizer_targets() -> Iterator[Target]:
    """Each file of each kind of tokenizer, among the others."""
    for kind, names in _KINDS.items():
        files = functools.partial(_files, kind)
        for name in names:
            yield Target(
                f"tokenizer/{kind}/{name}",
                name,
                _use,
                lambda f=files, n=name: [f()[n]],
                functools.partial(fill, files),
            )
    yield Target("tokenizer/a.model", "a.model", _use, _sentencepiece)


@functools.cache
def _sentencepiece() -> list[bytes]:
    """A unigram and a BPE model."""
    import sentencepiece

    made = []
    for kind in ("unigram", "bpe"):
        file = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(tokenizer_kinds.SENTENCES), model_writer=file, vocab_size=120,
            model_type=kind, hard_vocab_limit=False, minloglevel=2, pad_id=3,
            control_symbols=["[CLS]", "[SEP]", "[MASK]"],
        )  # fmt: skip
        made.append(file.getvalue())
    return made


# Models.

_CFG = ModelConfig(
    vocab_size=120, hidden_size=8, num_layers=1, num_heads=2, intermediate_size=8, max_positions=16
)
_SPECIAL = SpecialIds(0, 1, 2, 3, 4)
_CHECKPOINT = "model.safetensors"
_INDEX = "model.safetensors.index.json"


@functools.cache
def _task_model() -> dict[str, bytes]:
    """A tiny BERT with a head for sentences, and its tokenizer."""
    head, shape = HeadConfig(), TaskShape("classification", 2)
    architecture = task_architecture(_CFG, head, shape)
    fields = to_task_fields(architecture, head, shape, ["no", "yes"])
    return _written(_CFG, architecture, abstract_task_params(_CFG, head, shape), fields)


@functools.cache
def _model() -> dict[str, bytes]:
    """The same with all heads of pretraining: those that are lacking are initialised by XLA."""
    cfg = replace(_CFG, next_sentence_head=True)
    return _written(cfg, architecture_of(cfg, SYSTEMS["bert"]), abstract_params(cfg), {})


def _written(
    cfg: ModelConfig, architecture: Architecture, params: Params, fields: dict[str, Any]
) -> dict[str, bytes]:
    shapes = flatten(params)
    sizes = {path: leaf.shape for path, leaf in shapes.items()}
    tensors = {
        tensor.name: np.zeros(hub_shape(cfg, architecture.system, tensor, sizes), np.float32)
        for tensor in hub_tensors(cfg, architecture, shapes)
    }
    config = to_hub_config(cfg, _SPECIAL, architecture) | fields
    return {
        "config.json": json.dumps(config).encode(),
        _CHECKPOINT: save(tensors, {"format": "pt"}),
        "vocab.txt": "\n".join(tokenizer_kinds.wordpiece_pieces()[:100]).encode(),
    }


@functools.cache
def _sharded() -> dict[str, bytes]:
    whole = _task_model()
    header = json.loads(
        whole[_CHECKPOINT][8 : 8 + int.from_bytes(whole[_CHECKPOINT][:8], "little")]
    )
    placed = {name: "a.safetensors" for name in header if name != "__metadata__"}
    index = {"metadata": {"total_size": 1}, "weight_map": placed}
    rest = {name: data for name, data in whole.items() if name != _CHECKPOINT}
    return rest | {"a.safetensors": whole[_CHECKPOINT], _INDEX: json.dumps(index).encode()}


def _configs() -> list[bytes]:
    """A config.json of every system."""
    made = [_task_model()["config.json"]]
    for name, system in SYSTEMS.items():
        content: dict[str, Any] = {"model_type": name, "vocab_size": 120}
        content |= {field.theirs: getattr(_CFG, field.ours) for field in system.fields}
        made.append(json.dumps(content).encode())
    return made


def _describe(folder: Path) -> None:
    """What a config.json says, of a plain model and of a task where there is one."""
    _, content, cfg = open_model(folder)
    architecture_of(cfg, SYSTEMS[content["model_type"]])
    if content.get("architectures"):
        from_task_fields(content, folder / "config.json")


def _read_all(folder: Path) -> None:
    for tensor in open_weights(folder).values():
        tensor.read()


def model_targets() -> Iterator[Target]:
    """The files of a model, one at a time among the others."""
    beside = functools.partial(fill, _task_model)
    yield Target("hub/config.json", "config.json", _describe, _configs, beside)
    yield from targets_of("hub/task", _task_model, {"config.json": import_task_model})
    yield from targets_of("hub/model", _model, {"config.json": import_model})
    weights = lambda: [_task_model()[_CHECKPOINT], _small()]  # noqa: E731
    yield Target("hub/weights", _CHECKPOINT, _read_all, weights, beside)
    yield Target("hub/task/weights", _CHECKPOINT, import_task_model, weights, beside)
    yield Target(
        "hub/index",
        _INDEX,
        _read_all,
        lambda: [_sharded()[_INDEX]],
        functools.partial(fill, _sharded),
    )
    ways = dict.fromkeys(_vectors(), declared_vectors)
    yield from targets_of("hub/vectors", _vectors, ways)


def _vectors() -> dict[str, bytes]:
    """What sentence-transformers reads beside a model."""
    architecture = architecture_of(_CFG, SYSTEMS["bert"])
    files = vector_files(_CFG, architecture, TextVectors("cls", True, ""))
    return {name: json.dumps(content).encode() for name, content in files.items()}


def _small() -> bytes:
    return save(
        {"a": np.zeros((2, 3), np.float16), "b": np.zeros(0, np.int64)}, {"tokenizer_sha256": "x"}
    )
