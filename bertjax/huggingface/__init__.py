"""Hugging Face directories, both ways. No torch, no transformers: only files."""

from bertjax.huggingface.export import ExportReport, export_model, without_next_sentence_head
from bertjax.huggingface.importing import Imported, import_model
from bertjax.huggingface.model_card import CardFacts

__all__ = [
    "CardFacts",
    "ExportReport",
    "Imported",
    "export_model",
    "import_model",
    "without_next_sentence_head",
]
