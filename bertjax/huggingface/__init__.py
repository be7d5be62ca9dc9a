"""Hugging Face directories, both ways. No torch, no transformers: only files."""

from bertjax.huggingface.adapters_export import Bottlenecks, export_adapters
from bertjax.huggingface.config_json import obstacle_to_export
from bertjax.huggingface.export import ExportReport, export_model, without_next_sentence_head
from bertjax.huggingface.importing import Imported, import_model, no_tokenizer
from bertjax.huggingface.model_card import CardFacts, Evaluation, Score
from bertjax.huggingface.onnx_graph import require_onnx
from bertjax.huggingface.own_vectors import DeclaredVectors, declared_vectors
from bertjax.huggingface.peft_export import export_lora
from bertjax.huggingface.task_export import export_encoder, export_task_model
from bertjax.huggingface.task_importing import ImportedTask, import_task_model
from bertjax.huggingface.text_vectors import TextVectors

__all__ = [
    "Bottlenecks",
    "CardFacts",
    "DeclaredVectors",
    "Evaluation",
    "ExportReport",
    "Imported",
    "ImportedTask",
    "Score",
    "TextVectors",
    "declared_vectors",
    "export_adapters",
    "export_encoder",
    "export_lora",
    "export_model",
    "export_task_model",
    "import_model",
    "import_task_model",
    "no_tokenizer",
    "obstacle_to_export",
    "require_onnx",
    "without_next_sentence_head",
]
