"""A Hugging Face model directory as a `ModelConfig`, parameters and a tokenizer."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from bertjax import model
from bertjax.config import ModelConfig
from bertjax.errors import UserError
from bertjax.huggingface.config_json import from_hub_config, read_json
from bertjax.huggingface.names import (
    Architecture,
    Tensor,
    architecture_of,
    hub_names,
    hub_tensors,
)
from bertjax.huggingface.stored_names import canonical, is_encoders, model_type_of, words
from bertjax.huggingface.systems import SYSTEMS, System
from bertjax.huggingface.tensors import from_hub, hub_shape
from bertjax.huggingface.weights import FILE, StoredTensor, bound_tokenizer, open_weights
from bertjax.text.tokenizer import Tokenizer, load_tokenizer
from bertjax.text.tokenizer_files import vocabularies
from bertjax.tree import flatten, unflatten

_HEADS = ("masked_lm/", "pooler/", "next_sentence/", "replaced_token/")


@dataclass(frozen=True)
class Imported:
    """A model from elsewhere, and what about it did not come from there."""

    cfg: ModelConfig
    params: model.Params  # NumPy arrays, float32
    tokenizer: Tokenizer | None  # None: the directory has none that can be read
    fresh: list[str]  # paths of parameters the checkpoint lacks, newly initialised
    ignored: list[str]  # names of tensors of heads that bertjax does not have


def import_model(directory: Path, seed: int = 0) -> Imported:
    """Read `config.json`, the safetensors weights and the tokenizer of a model of any system.

    A checkpoint without prefix (BertModel) or with more of it (`bertjax.huggingface.stored_names`),
    with the `LayerNorm.gamma/beta` of old files, in shards, or in half precision is read too.
    XLM-RoBERTa and CamemBERT are RoBERTa's network. Heads it lacks are initialised from `seed`.

    Raises:
        UserError: a file is missing, damaged or of another format; the architecture is not one
            bertjax has; a tensor is missing, unknown, of another shape or not finite; the
            tokenizer has more pieces than the model.
    """
    directory, content, cfg = open_model(directory)
    system = SYSTEMS[content["model_type"]]
    stored = canonical(open_weights(directory), system, system.prefix)
    cfg = _with_heads(cfg, system, stored)
    architecture = architecture_of(cfg, system)
    stored, ignored = separate_heads(stored, cfg, architecture, directory)
    tied = content.get("tie_word_embeddings", True) is not False
    stored = _tie(stored, cfg, architecture, directory / "config.json", tied=tied)
    tensors = hub_tensors(cfg, architecture)
    missing = [tensor for tensor in tensors if tensor.name not in stored]
    fresh = [path for tensor in missing for path in tensor.paths if path.startswith(_HEADS)]
    absent = [tensor.name for tensor in missing if not tensor.paths[0].startswith(_HEADS)]
    refuse_absent(absent, directory, ignored)
    there = [tensor for tensor in tensors if tensor.name in stored]
    leaves = read_parameters(cfg, system, there, stored, model.abstract_params(cfg))
    leaves |= _fresh(cfg, fresh, seed)
    return Imported(cfg, unflatten(leaves), read_tokenizer(directory, cfg), fresh, ignored)


def open_model(directory: Path) -> tuple[Path, dict[str, Any], ModelConfig]:
    """Read a directory's `config.json`: its content, and the encoder that it describes."""
    directory = Path(directory)
    if not directory.is_dir():
        raise UserError(
            f"{directory} is no directory: give one with config.json and model.safetensors"
        )
    config = directory / "config.json"
    content = read_json(config)
    if not content.get("model_type"):
        content = content | {"model_type": model_type_of(content, open_weights(directory), config)}
    return directory, content, from_hub_config(content, config)


def refuse_absent(names: Sequence[str], directory: Path, ignored: Sequence[str]) -> None:
    """Raise a UserError if there are tensors without which the model is not whole.

    `ignored` are those that are there and have no place in it.
    """
    if names:
        others = f"; it holds {len(ignored)} others, first {min(ignored)}" if ignored else ""
        raise UserError(
            f"{directory} lacks {len(names)} tensors that its config.json asks for, first "
            f"{names[0]}{others}: config and weights do not belong together"
        )


def _with_heads(
    cfg: ModelConfig, system: System, stored: Mapping[str, StoredTensor]
) -> ModelConfig:
    """Add the head that the checkpoint holds: of replaced tokens, or of pairs with their pooler."""
    if "replaced_tokens" in system.heads:
        module = system.heads["replaced_tokens"].names["replaced_token/dense"]
        replaced = any(name.startswith(f"{module}.") for name in stored)
        return dataclasses.replace(cfg, replaced_token_head=replaced)
    if "pairs" not in system.heads:
        return cfg
    names = system.heads["pairs"].names["next_sentence/classifier"]
    signs = (f"{names}.", *(f"{system.prefix}{name}." for name in system.pooler.values()))
    present = any(name.startswith(signs) for name in stored)
    return dataclasses.replace(cfg, next_sentence_head=present)


def separate_heads(
    stored: dict[str, StoredTensor], cfg: ModelConfig, architecture: Architecture, directory: Path
) -> tuple[dict[str, StoredTensor], list[str]]:
    """Split off heads of other tasks; refuse what would be a part of the encoder."""
    system = architecture.system
    known = {tensor.name for tensor in hub_tensors(cfg, architecture)}
    known |= {f"{architecture.decoder}.weight", f"{architecture.decoder}.bias"}
    constants = {architecture.prefix + name: x for name, x in system.constants(cfg).items()}
    _check_constants(stored, constants)
    unknown = [name for name in stored if name not in known and name not in constants]
    for name in unknown:
        bare = name.removeprefix(architecture.prefix)
        if is_encoders(system, bare) and bare.partition(".")[0] not in _parts(system.pooler):
            raise UserError(
                f"{directory} holds {stored[name].name}, which a {architecture.model_type} of "
                f"{cfg.num_layers} layers does not have: config and weights do not belong together"
            )
    kept = {name: tensor for name, tensor in stored.items() if name not in unknown}
    return kept, [stored[name].name for name in unknown]


def _check_constants(
    stored: Mapping[str, StoredTensor], constants: Mapping[str, np.ndarray]
) -> None:
    """Refuse a tensor that is a constant here and something else there, but for half precision."""
    for name, expected in constants.items():
        if (found := stored.get(name)) is None:
            continue
        array = found.read()
        if array.shape != expected.shape or not np.allclose(array, expected, rtol=0, atol=4e-3):
            raise UserError(
                f"{found.file}: {found.name} is not what it is in every {name.partition('.')[0]} "
                "that bertjax computes: the model has a part that bertjax lacks"
            )


def _parts(names: Mapping[Any, str]) -> set[str]:
    return {name.partition(".")[0] for name in names.values()}


def _tie(
    stored: Mapping[str, StoredTensor],
    cfg: ModelConfig,
    architecture: Architecture,
    config: Path,
    *,
    tied: bool,
) -> dict[str, StoredTensor]:
    """Drop the decoder's tensors where they are copies of tied ones; refuse any other decoder."""
    if not cfg.tied_head:
        return dict(stored)
    kept, table = dict(stored), architecture.prefix + words(architecture.system)
    module = architecture.decoder
    bias = hub_names(cfg, architecture).get("masked_lm/bias", "")
    decoder = kept.pop(f"{module}.weight", None)
    decoder_bias = None if bias == f"{module}.bias" else kept.pop(f"{module}.bias", None)
    if decoder_bias is not None:
        kept.setdefault(bias, decoder_bias)
    if not tied and decoder is None and bias in kept:
        raise UserError(
            f"{config}: tie_word_embeddings=False, but the weights hold no decoder: if it is tied "
            "after all, set tie_word_embeddings to true"
        )
    for copy, original in ((decoder, kept.get(table)), (decoder_bias, kept.get(bias))):
        if copy is None or original is None or copy is original:
            continue
        if copy.shape != original.shape or not np.array_equal(copy.read(), original.read()):
            raise UserError(
                f"{copy.file}: {copy.name} differs from {original.name}: bertjax ties the decoder "
                "to the word embeddings and cannot hold one of its own"
            )
    return kept


def read_parameters(
    cfg: ModelConfig,
    system: System,
    wanted: Sequence[Tensor],
    stored: Mapping[str, StoredTensor],
    abstract: model.Params,
) -> dict[str, np.ndarray]:
    """Compare every shape with the config's before the first value is read."""
    shapes = {p: leaf.shape for p, leaf in flatten(abstract).items()}
    for tensor in wanted:
        found, expected = stored[tensor.name], hub_shape(cfg, system, tensor, shapes)
        if found.shape != expected:
            raise UserError(
                f"{found.file}: {found.name} has shape {list(found.shape)}, config.json makes "
                f"it {list(expected)}: config and weights do not belong together"
            )
    leaves: dict[str, np.ndarray] = {}
    for tensor in wanted:
        leaves |= from_hub(cfg, system, tensor, stored[tensor.name].read())
    return leaves


def _fresh(cfg: ModelConfig, paths: Sequence[str], seed: int) -> dict[str, np.ndarray]:
    """Initialise some parameters; under jit the others are never computed."""
    if not paths:
        return {}

    @partial(jax.jit, static_argnums=0)
    def initialise(cfg: ModelConfig, key: jax.Array) -> dict[str, Any]:
        leaves = flatten(model.init(cfg, key))
        return {path: leaves[path] for path in paths}

    return jax.tree.map(np.asarray, initialise(cfg, jax.random.key(seed)))


def read_tokenizer(directory: Path, cfg: ModelConfig) -> Tokenizer | None:
    """Load tokenizer.json, vocab.txt or vocab.json with merges, and what stands beside it.

    A SentencePiece model alone is left: which ids it stands for depends on the class that
    transformers would wrap it in (XLM-R shifts them all by one).

    Raises:
        UserError: it has more pieces than the model, or the weights say that they belong to
            another one.
    """
    for file in vocabularies(directory):
        tokenizer = load_tokenizer(file)
        if tokenizer.vocab_size > cfg.vocab_size:
            raise UserError(
                f"{file} has {tokenizer.vocab_size:,} pieces, config.json says vocab_size="
                f"{cfg.vocab_size:,}: tokenizer and model do not belong together"
            )
        bound = bound_tokenizer(directory)
        if bound not in (None, tokenizer.fingerprint):
            raise UserError(
                f"{file} is tokenizer {tokenizer.fingerprint[:12]}, and {FILE} was exported with "
                f"{bound[:12]}: its ids may be other words; put the tokenizer of the export back, "
                "or save the weights again with transformers if the change is meant"
            )
        return tokenizer
    return None


def no_tokenizer(directory: Path) -> UserError:
    """What to say of a model whose tokenizer `read_tokenizer` does not find."""
    models = sorted(file.name for file in directory.glob("*.model"))
    there = f", and what ids {models[0]} stands for depends on a class" if models else ""
    return UserError(
        f"{directory} has no tokenizer.json, vocab.txt or merges.txt with its vocab.json{there}: "
        "put the model's tokenizer.json there, which AutoTokenizer's save_pretrained writes"
    )
