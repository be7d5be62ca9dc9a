"""What folders of few weights have in common, whichever library reads them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from bertjax.config import HeadConfig, ModelConfig
from bertjax.durable import staged
from bertjax.errors import UserError
from bertjax.huggingface.export import ExportReport
from bertjax.huggingface.model_card import scrub
from bertjax.huggingface.names import Architecture, hub_tensors
from bertjax.huggingface.task_config import to_task_fields
from bertjax.huggingface.tensors import to_hub
from bertjax.huggingface.weights import write_weights
from bertjax.model.task import TaskShape, describe_task
from bertjax.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Folder:
    """The files of a library, and how it reads them."""

    configs: Mapping[str, dict[str, Any]]  # JSON by name
    tensors: Mapping[str, Mapping[str, np.ndarray]]  # safetensors by name
    reader: str  # the library that reads it
    use: str  # Python, where `base` is the class of transformers on the encoder


def own_tensors(
    cfg: ModelConfig,
    architecture: Architecture,
    head: HeadConfig,
    shape: TaskShape,
    leaves: Mapping[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """Of trained parameters those that are transformers' own, by its names: heads for the most."""
    own = {path: leaves[path] for path in describe_task(cfg, head, shape) if path in leaves}
    return {
        tensor.name: to_hub(cfg, architecture.system, tensor, own, cfg.position_offset)
        for tensor in hub_tensors(cfg, architecture, own)
    }


def write_folder(
    folder: Folder,
    cfg: ModelConfig,
    architecture: Architecture,
    head: HeadConfig,
    shape: TaskShape,
    labels: Sequence[str],
    tokenizer: Tokenizer,
    out: Path,
    base: str,
) -> ExportReport:
    """Write a folder with the tokenizer and a card, and name it once it is whole.

    Raises:
        UserError: a weight is not finite, or `out` is not empty or cannot be written.
    """
    for tensors in folder.tensors.values():
        for name, array in tensors.items():
            if not np.isfinite(array).all():
                raise UserError(f"{name} has NaN or infinite values: training diverged")
    out = Path(out).absolute()
    fields = to_task_fields(architecture, head, shape, labels)
    with staged(out) as stage:
        for name, content in folder.configs.items():
            text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
            (stage / name).write_text(text, encoding="utf-8")
        tokenizer.save(stage, cfg.max_positions)
        card = _card(folder, architecture, fields, out.name, base)
        (stage / "README.md").write_text(card, encoding="utf-8")
        for name, tensors in folder.tensors.items():
            write_weights(stage / name, tensors, tokenizer.fingerprint)
            shutil.copymode(stage / "README.md", stage / name)  # safetensors makes files private
            again = load_file(stage / name)
            if any(again[key].tobytes() != array.tobytes() for key, array in tensors.items()):
                raise UserError(f"{stage / name} differs from what was written: check the disk")
        size = sum(file.stat().st_size for file in stage.iterdir())
    count = sum(array.size for tensors in folder.tensors.values() for array in tensors.values())
    return ExportReport(out, f"{folder.reader} for {architecture.name}", count, size, 0)


def _card(
    folder: Folder, architecture: Architecture, fields: dict[str, Any], name: str, base: str
) -> str:
    """What the weights are of, and how they are loaded."""
    named = scrub(base) or "BASE"
    words = "".join(
        f"    {word}={ {int(k): v for k, v in value.items()} if word == 'id2label' else value!r},\n"
        for word, value in fields.items()
        if word not in ("num_choices", architecture.head.dropout)  # some classes take neither
    )
    return (
        f"---\nlibrary_name: {folder.reader}\nbase_model: {json.dumps(named)}\n"
        f'tags: ["bertjax", "{architecture.model_type}"]\n---\n\n# {scrub(name)}\n\n'
        f"Few weights for `{architecture.name}` on the encoder `{named}`. Made with bertjax.\n\n"
        f"```python\nimport transformers\n\nbase = transformers.{architecture.name}"
        f'.from_pretrained(\n    "{named}",\n{words})\n{folder.use}```\n'
    )
