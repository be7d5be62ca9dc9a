"""`config.json`: a `ModelConfig` in Hugging Face's words, and back with everything checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bertjax.config import ModelConfig
from bertjax.errors import UserError
from bertjax.huggingface.names import Architecture, shifts_positions
from bertjax.text.special import SpecialIds

MAX_JSON_BYTES = 1 << 20  # a config.json has about 1,000
MAX_PARAMETERS = 20_000_000_000

SUPPORTED = {  # and the norms
    "bert": "post",
    "roberta": "post",
    "roberta-prelayernorm": "pre",
    "xlm-roberta": "post",
    "camembert": "post",
}

# Google's tanh form is written as `gelu_new`; the other names are the same functions in
# transformers activations.py.
_ACTIVATIONS = {"gelu": "gelu", "gelu_tanh": "gelu_new", "relu": "relu"}
_ACTIVATIONS_READ = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_python_tanh": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "relu": "relu",
}

# Fields of the same meaning; what is left out of a config.json takes transformers' default.
_FIELDS: tuple[tuple[str, str, type, Any], ...] = (
    ("vocab_size", "vocab_size", int, None),
    ("hidden_size", "hidden_size", int, 768),
    ("num_layers", "num_hidden_layers", int, 12),
    ("num_heads", "num_attention_heads", int, 12),
    ("intermediate_size", "intermediate_size", int, 3072),
    ("type_vocab_size", "type_vocab_size", int, 2),
    ("layer_norm_eps", "layer_norm_eps", float, 1e-12),
    ("hidden_dropout", "hidden_dropout_prob", float, 0.1),
    ("attention_dropout", "attention_probs_dropout_prob", float, 0.1),
    ("initializer_range", "initializer_range", float, 0.02),
)

# What changes the computation in a way that this encoder does not have.
_REFUSED: tuple[tuple[str, tuple[Any, ...], str], ...] = (
    ("auto_map", (), "code of its own, and bertjax runs none"),
    ("trust_remote_code", (False,), "code of its own, and bertjax runs none"),
    ("position_embedding_type", ("absolute",), "only learned absolute positions are supported"),
    ("is_decoder", (False,), "only encoders are supported"),
    ("is_encoder_decoder", (False,), "only encoders are supported"),
    ("add_cross_attention", (False,), "only encoders are supported"),
    ("pruned_heads", ({}, []), "models with pruned heads are not supported"),
    ("quantization_config", (), "quantized weights are not supported"),
)


def first_position(cfg: ModelConfig, special: SpecialIds) -> int:
    """Row of position 0 in the table that Hugging Face's class reads."""
    return special.pad + 1 if shifts_positions(cfg) else 0


def to_hub_config(
    cfg: ModelConfig, special: SpecialIds, architecture: Architecture
) -> dict[str, Any]:
    """Return what `config.json` says of the encoder, held by a class of transformers."""
    same = {theirs: getattr(cfg, ours) for ours, theirs, _, _ in _FIELDS}
    return {
        "architectures": [architecture.name],
        "model_type": architecture.model_type,
        "dtype": "float32",
        "hidden_act": _ACTIVATIONS[cfg.activation],
        "max_position_embeddings": cfg.max_positions + first_position(cfg, special),
        "pad_token_id": special.pad,
        "bos_token_id": special.cls,
        "eos_token_id": special.sep,
        "tie_word_embeddings": True,
    } | same


def from_hub_config(content: dict[str, Any], source: Path) -> ModelConfig:
    """Return the `ModelConfig` that a `config.json` describes, without a next-sentence head.

    Whether there is such a head only the weights can tell. Raises UserError for a model type,
    an activation or a feature that bertjax lacks, for values of a wrong type or out of bounds,
    and for more than `MAX_PARAMETERS` parameters.
    """
    model_type = content.get("model_type")
    if model_type not in tuple(SUPPORTED):
        raise UserError(
            f"{source}: model_type={model_type!r} is not supported: bertjax imports "
            f"{', '.join(SUPPORTED)}"
        )
    for key, harmless, reason in _REFUSED:
        value = content.get(key)
        if value is not None and value not in harmless:
            raise UserError(f"{source}: {key}={short(value)}: {reason}")
    values = {
        ours: typed(content, theirs, kind, default, source)
        for ours, theirs, kind, default in _FIELDS
    }
    shifts = model_type != "bert"
    offset = typed(content, "pad_token_id", int, 1, source) + 1 if shifts else 0
    rows = typed(content, "max_position_embeddings", int, 512, source)
    try:
        cfg = ModelConfig(
            family="roberta" if shifts else "bert",
            norm=SUPPORTED[model_type],
            activation=_activation(content, source),
            head_activation="gelu" if shifts else "",
            position_offset=offset,
            max_positions=rows - offset,
            next_sentence_head=False,
            **values,
        )
    except UserError as error:
        raise UserError(f"{source}: {error}") from None
    _check_size(cfg, source)
    return cfg


def read_json(path: Path, limit: int = MAX_JSON_BYTES) -> dict[str, Any]:
    """Return the object in a JSON file of at most `limit` bytes; UserError for anything else."""
    try:
        size = path.stat().st_size
        if size > limit:
            raise UserError(f"{path} has {size:,} bytes, the limit is {limit:,}")
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{path} is missing: give a Hugging Face model directory with config.json and "
            "model.safetensors"
        ) from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid JSON ({error}): download it again") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no JSON object: download it again")
    return content


def _activation(content: dict[str, Any], source: Path) -> str:
    name = content.get("hidden_act", "gelu")
    if name not in tuple(_ACTIVATIONS_READ):
        raise UserError(
            f"hidden_act={short(name)} is not supported: bertjax has {', '.join(_ACTIVATIONS_READ)}"
        )
    return _ACTIVATIONS_READ[name]


def typed(content: dict[str, Any], key: str, kind: type, default: Any, source: Path) -> Any:
    """Return a field of `config.json` that must be of a kind; UserError if it is another."""
    value = content.get(key, default)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value) if abs(value) < 1e9 else value
    if not isinstance(value, kind) or isinstance(value, bool):
        raise UserError(
            f"{source}: {key}={short(value)} is no {'number' if kind is float else 'integer'}: "
            "correct the file or download it again"
        )
    return value


def _check_size(cfg: ModelConfig, source: Path) -> None:
    """Refuse a model that no one has before anything is allocated; counts matrices only."""
    D, F, rows = cfg.hidden_size, cfg.intermediate_size, cfg.max_positions + cfg.position_offset
    tables = (cfg.vocab_size + rows + cfg.type_vocab_size) * D
    count = tables + cfg.num_layers * (4 * D * D + 2 * D * F)
    if cfg.vocab_size < 1 or count > MAX_PARAMETERS:
        raise UserError(
            f"{source}: vocab_size={cfg.vocab_size}, {cfg.num_layers} layers of width {D} and "
            f"{rows} positions make {count:,} parameters: use a vocabulary of at least 1 and at "
            f"most {MAX_PARAMETERS:,} parameters"
        )


def short(value: Any) -> str:
    """Return a value as a message shows it."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
