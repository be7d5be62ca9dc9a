"""Scores of tags: of words, and of the entities that they spell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bertjax.metrics.classification import Counts, accuracy, confusion_matrix
from bertjax.metrics.entities import entity_scores
from bertjax.tasks.tag_schemes import OUTSIDE, STRICT, spans, strict_spans

Tags = Sequence[str | None]  # of a sentence; None: nothing is said of the word


def tag_metrics(scheme: str) -> tuple[str, ...]:
    """What `score_tags` gives for tags of a scheme; the first chooses the best epoch."""
    if scheme == "none":
        return ("accuracy", "macro_f1")
    strict = ("strict_f1",) if scheme in STRICT else ()
    return ("f1", "precision", "recall", *strict, "accuracy")


def score_tags(
    truth: Sequence[Sequence[str]], predicted: Sequence[Tags], labels: Sequence[str], scheme: str
) -> dict[str, Any]:
    """Accuracy of words; entities as conlleval and as strict seqeval count them; of plain tags
    macro F1.
    """
    ids = {label: i for i, label in enumerate(labels)}
    right = np.array([ids[tag] for tags in truth for tag in tags])
    # A word about which nothing is said counts as taken for another tag.
    other = (right + 1) % len(labels)
    flat = [tag for tags in predicted for tag in tags]
    guessed = np.array(
        [int(wrong) if tag is None else ids[tag] for tag, wrong in zip(flat, other, strict=True)]
    )
    confusion = confusion_matrix(right, guessed, len(labels))
    result: dict[str, Any] = {"accuracy": accuracy(confusion)}
    result["collapsed"] = bool(len(np.unique(guessed)) == 1 < len(np.unique(right)))
    if scheme == "none":
        counts = Counts.of_classes(confusion)
        result["macro_f1"] = counts.macro_f1()
        result["report"] = {
            "classes": counts.table(tuple(labels)),
            "confusion": {"labels": list(labels), "counts": confusion.tolist()},
        }
        return result
    entities = [spans(tags) for tags in truth]
    guesses = [[tag or OUTSIDE for tag in tags] for tags in predicted]
    table = entity_scores(entities, list(map(spans, guesses)))
    everything = table.pop("")
    result |= {name: everything[name] for name in ("f1", "precision", "recall")}
    if scheme in STRICT:
        strict = [strict_spans(tags, scheme) for tags in guesses]
        result["strict_f1"] = entity_scores(entities, strict)[""]["f1"]
    result["report"] = {"entities": table}
    return result
