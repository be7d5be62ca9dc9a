"""A Hugging Face directory with a task's head as configs, labels, parameters and a tokenizer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bertjax import model
from bertjax.config import HeadConfig, ModelConfig
from bertjax.huggingface.importing import (
    open_model,
    read_parameters,
    read_tokenizer,
    refuse_absent,
    separate_heads,
)
from bertjax.huggingface.names import Architecture, hub_tensors, task_architecture
from bertjax.huggingface.stored_names import canonical
from bertjax.huggingface.task_config import from_task_fields
from bertjax.huggingface.weights import open_weights
from bertjax.model.task import TaskShape, abstract_task_params
from bertjax.text.tokenizer import Tokenizer
from bertjax.tree import flatten, unflatten


@dataclass(frozen=True)
class ImportedTask:
    """A fine-tuned model from elsewhere."""

    cfg: ModelConfig
    head: HeadConfig
    shape: TaskShape
    labels: tuple[str, ...]  # in order of ids; () for span_qa and multiple_choice
    params: model.Params  # NumPy arrays, float32
    tokenizer: Tokenizer | None  # None: the directory has none that can be read


def import_task_model(directory: Path) -> ImportedTask:
    """Read a model with a head for a task, whole: nothing is initialised.

    Raises:
        UserError: as `import_model`; and if the class is not one of a task that bertjax has.
    """
    directory, content, cfg = open_model(directory)
    head, shape, labels = from_task_fields(content, directory / "config.json")
    abstract = abstract_task_params(cfg, head, shape)
    params = read_whole(directory, cfg, task_architecture(cfg, head, shape), abstract)
    return ImportedTask(cfg, head, shape, labels, params, read_tokenizer(directory, cfg))


def read_whole(
    directory: Path, cfg: ModelConfig, architecture: Architecture, abstract: model.Params
) -> model.Params:
    """Read every parameter of an architecture; `abstract` has their shapes, and may have more.

    Raises UserError if one is missing or does not fit, or the encoder holds an unknown one.
    """
    system = architecture.system
    stored = canonical(open_weights(directory), system, architecture.prefix)
    stored, ignored = separate_heads(stored, cfg, architecture, directory)
    tensors = hub_tensors(cfg, architecture, flatten(abstract))
    refuse_absent([one.name for one in tensors if one.name not in stored], directory, ignored)
    return unflatten(read_parameters(cfg, system, tensors, stored, abstract))
