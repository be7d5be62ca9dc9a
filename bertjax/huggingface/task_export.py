"""A fine-tuned model as a Hugging Face directory, with its head or without."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bertjax import model
from bertjax.config import HeadConfig, ModelConfig
from bertjax.huggingface.config_json import to_hub_config
from bertjax.huggingface.export import (
    ExportReport,
    check_params,
    make_content,
    to_hub_tensors,
    write_directory,
)
from bertjax.huggingface.importing import open_model
from bertjax.huggingface.model_card import CardFacts
from bertjax.huggingface.names import encoder_architecture, hub_names, task_architecture
from bertjax.huggingface.programs import encoder_program, task_program
from bertjax.huggingface.task_config import to_task_fields
from bertjax.huggingface.task_importing import import_task_model, read_whole
from bertjax.huggingface.text_vectors import TextVectors
from bertjax.model.task import TaskShape, abstract_task_params
from bertjax.text.tokenizer import Tokenizer
from bertjax.tree import flatten, unflatten

_PURPOSES = {
    "classification": "text-classification",
    "multi_label": "text-classification",
    "regression": "text-classification",
    "tagging": "token-classification",
    "span_qa": "question-answering",
    "multiple_choice": "multiple-choice",
}


def export_task_model(
    cfg: ModelConfig,
    head: HeadConfig,
    shape: TaskShape,
    labels: Sequence[str],
    params: model.Params,
    tokenizer: Tokenizer,
    out: Path,
    card: CardFacts,
    check_lines: Sequence[str],
    *,
    onnx: bool = False,
) -> ExportReport:
    """Write a model with its head as `export_model` does: staged, read back, compared.

    `labels` are those of the classes, in order; none for span_qa and multiple_choice.

    Raises:
        UserError: as `export_model`; and for a head that no class of transformers has, which
            `export_encoder` leaves out.
    """
    architecture = task_architecture(cfg, head, shape)
    check_params(abstract_task_params(cfg, head, shape), params)
    config = to_hub_config(cfg, tokenizer.special, architecture)
    config |= to_task_fields(architecture, head, shape, labels)
    purpose = _PURPOSES[shape.family]
    program = task_program(cfg, head, shape, params) if onnx else None
    content = make_content(cfg, architecture, config, params, tokenizer, card, purpose, program)

    def read_back(stage: Path) -> dict[str, np.ndarray]:
        imported = import_task_model(stage)
        return to_hub_tensors(imported.cfg, imported.params, tokenizer.special, architecture)

    return write_directory(content, tokenizer, out, check_lines, read_back)


def export_encoder(
    cfg: ModelConfig,
    params: model.Params,
    tokenizer: Tokenizer,
    out: Path,
    card: CardFacts,
    check_lines: Sequence[str],
    *,
    onnx: bool = False,
    vectors: TextVectors | None = None,
) -> ExportReport:
    """Write the encoder alone, with the pooler if `params` have one, for `AutoModel`.

    `params` may hold heads of any kind; they are left out. Without a pooler transformers reports
    that it made a new one, unless it is told `add_pooling_layer=False`. With `vectors` the
    directory is one of sentence-transformers as well. Raises UserError as `export_model` does.
    """
    given = flatten(params)
    architecture = encoder_architecture(cfg, pooler="pooler/dense/kernel" in given)
    wanted = hub_names(cfg, architecture)
    params = unflatten({path: leaf for path, leaf in given.items() if path in wanted})
    shapes = flatten(_abstract_encoder(cfg))
    check_params(unflatten({path: shapes[path] for path in wanted}), params)
    config = to_hub_config(cfg, tokenizer.special, architecture)
    purpose = "sentence-similarity" if vectors else "feature-extraction"
    program = encoder_program(cfg, params) if onnx else None
    content = make_content(
        cfg, architecture, config, params, tokenizer, card, purpose, program, vectors
    )

    def read_back(stage: Path) -> dict[str, np.ndarray]:
        _, _, again = open_model(stage)
        read = read_whole(stage, again, architecture, _abstract_encoder(again))
        return to_hub_tensors(again, read, tokenizer.special, architecture)

    return write_directory(content, tokenizer, out, check_lines, read_back)


def _abstract_encoder(cfg: ModelConfig) -> model.Params:
    """Shapes of the encoder and the pooler, among those of a head that does not matter."""
    return abstract_task_params(cfg, HeadConfig(), TaskShape("classification", 2))
