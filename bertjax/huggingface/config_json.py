"""`config.json`: a `ModelConfig` in Hugging Face's words, and back with everything checked."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from bertjax.config import HeadConfig, ModelConfig
from bertjax.errors import UserError
from bertjax.huggingface.names import Architecture, architecture_of, task_architecture
from bertjax.huggingface.systems import SYSTEMS, System, short, value_of
from bertjax.huggingface.systems.activations import ACTIVATIONS, activation_of
from bertjax.model.task import TaskShape
from bertjax.text.special import SpecialIds

MAX_JSON_BYTES = 1 << 20  # a config.json has about 1,000
MAX_PARAMETERS = 20_000_000_000

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
# Of a config, what a class of transformers need not have: the rest decides what is computed.
_FREE = (
    "family",
    "next_sentence_head",
    "replaced_token_head",
    "position_offset",
    "scaled_init",
    "hidden_dropout",
)
# What `ModelConfig.layer` reads: others may make the same layers.
_OF_LAYERS = ("local_window", "global_every", "rotary_base", "local_rotary_base", "first_norm")
# Of a system with such a field, what its class has even where ours has none.
_HAS = {
    "type_vocab_size": "adds a row of that table to every token: train with 1 or more",
    "embedding_size": "projects its word table to the width of the layers: train with that width",
    "layer_groups": "counts its sets of layers: train with 1, or with as many as there are layers",
}


def first_position(system: System, special: SpecialIds) -> int:
    """Row of position 0 in the table that Hugging Face's class reads."""
    return special.pad + 1 if system.shifts_positions else 0


def to_hub_config(
    cfg: ModelConfig, special: SpecialIds, architecture: Architecture
) -> dict[str, Any]:
    """Return what `config.json` says of the encoder, held by a class of transformers.

    Raises:
        UserError: the class computes something else than `cfg` does.
    """
    system = architecture.system
    for name in {field.ours for field in system.fields} & _HAS.keys():
        if not getattr(cfg, name):
            raise UserError(
                f"model.{name}=0: {architecture.name} on Hugging Face {_HAS[name]}, or choose "
                "another model.family"
            )
    same = {field.theirs: getattr(cfg, field.ours) for field in system.fields}
    rows = cfg.max_positions + first_position(system, special)
    content = {
        "architectures": [architecture.name],
        "model_type": architecture.model_type,
        "dtype": "float32",
        **({system.activation: ACTIVATIONS[cfg.activation]} if system.activation else {}),
        system.position_rows: rows,
        "pad_token_id": special.pad,
        "bos_token_id": special.cls,
        "eos_token_id": special.sep,
        "tie_word_embeddings": True,
    } | same
    content |= system.write(cfg, special)
    _refuse_others(cfg, content, architecture)
    return content


def obstacle_to_export(cfg: ModelConfig, head: HeadConfig | None = None, family: str = "") -> str:
    """Why no class of transformers holds a model, whatever its weights; empty if one does.

    With a head, that of a task of a family.
    """
    sized = dataclasses.replace(cfg, vocab_size=cfg.vocab_size or 1)
    try:
        found = (
            architecture_of(sized)
            if head is None
            else task_architecture(sized, head, TaskShape(family, classes=2))
        )
        to_hub_config(sized, SpecialIds(0, 1, 2, 3, 4), found)
    except UserError as error:
        return str(error)
    return ""


def _refuse_others(cfg: ModelConfig, content: dict[str, Any], architecture: Architecture) -> None:
    """Refuse a model that is not what its own config.json says."""
    read = from_hub_config(content, Path("config.json"))
    ours, theirs = (
        dataclasses.asdict(one) | {"head_activation": one.head_activation or one.activation}
        for one in (cfg, read)
    )
    unused = [*_FREE, *([] if cfg.head_transform else ["head_activation"])]
    unused += _OF_LAYERS if cfg.layer_specs == read.layer_specs else []
    for name, value in ours.items():
        if name not in unused and theirs[name] != value:
            raise UserError(
                f"model.{name}={value}: {architecture.name} on Hugging Face, which "
                f"model.family={cfg.family} is written as, has {theirs[name]}: train with that, "
                "or choose another model.family"
            )


def from_hub_config(content: dict[str, Any], source: Path) -> ModelConfig:
    """Return the `ModelConfig` that a `config.json` describes, without a next-sentence head.

    Whether there is such a head only the weights can tell. Raises UserError for a model type,
    an activation or a feature that bertjax lacks, for values of a wrong type or out of bounds,
    and for more than `MAX_PARAMETERS` parameters.
    """
    model_type = content.get("model_type")
    if model_type not in tuple(SYSTEMS):
        raise UserError(
            f"{source}: model_type={model_type!r} is not supported: bertjax imports "
            f"{', '.join(SYSTEMS)}"
        )
    system = SYSTEMS[str(model_type)]
    for key, harmless, reason in _REFUSED:
        value = content.get(key)
        if key == "auto_map" and system.own_code:
            continue
        if value is not None and value not in harmless:
            raise UserError(f"{source}: {key}={short(value)}: {reason}")
    values = {
        field.ours: typed(content, field.theirs, field.kind, field.default, source)
        for field in system.fields
    }
    offset = typed(content, "pad_token_id", int, 1, source) + 1 if system.shifts_positions else 0
    rows = typed(content, system.position_rows, int, system.default_rows, source)
    try:
        if system.activation:
            values["activation"] = activation_of(
                content, system.activation, system.default_activation
            )
        values |= system.read(content)
        if values.get("head_activation") == values["activation"]:
            values["head_activation"] = ""
        cfg = ModelConfig(
            family=system.written_as or ("roberta" if system.shifts_positions else str(model_type)),
            position_offset=offset,
            max_positions=rows - offset,
            next_sentence_head=False,
            **values,
        )
    except UserError as error:
        raise UserError(f"{source}: {error}") from None
    except ValueError as error:
        raise UserError(f"{source}: {error}") from None
    _check_size(cfg, source)
    return cfg


def read_json(path: Path, limit: int = MAX_JSON_BYTES) -> dict[str, Any]:
    """Return the object in a JSON file of at most `limit` bytes; UserError for anything else."""
    content = read_any_json(path, limit)
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no JSON object: download it again")
    return content


def read_any_json(path: Path, limit: int = MAX_JSON_BYTES) -> Any:
    """Return the value in a JSON file of at most `limit` bytes; UserError if there is none."""
    try:
        size = path.stat().st_size
        if size > limit:
            raise UserError(f"{path} has {size:,} bytes, the limit is {limit:,}")
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{path} is missing: give a Hugging Face model directory with config.json and "
            "model.safetensors"
        ) from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid JSON ({error}): download it again") from None


def typed(content: dict[str, Any], key: str, kind: type, default: Any, source: Path) -> Any:
    """Return a field of `config.json` that must be of a kind; UserError if it is another."""
    try:
        return value_of(content, key, kind, default)
    except ValueError as error:
        raise UserError(f"{source}: {error}") from None


def _check_size(cfg: ModelConfig, source: Path) -> None:
    """Refuse a model that no one has before anything is allocated; counts matrices only."""
    D, rows = cfg.hidden_size, cfg.max_positions + cfg.position_offset
    tables = cfg.vocab_size * cfg.table_size + (rows + cfg.type_vocab_size) * cfg.summed_size
    sets = max(cfg.layer_weights, default=0) + 1
    count = tables + sets * cfg.layer_size
    if cfg.vocab_size < 1 or count > MAX_PARAMETERS:
        raise UserError(
            f"{source}: vocab_size={cfg.vocab_size}, {cfg.num_layers} layers of width {D} and "
            f"{rows} positions make {count:,} parameters: use a vocabulary of at least 1 and at "
            f"most {MAX_PARAMETERS:,} parameters"
        )
