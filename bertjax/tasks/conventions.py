"""Which convention each metric follows: said beside every number."""

from __future__ import annotations

from collections.abc import Sequence

from bertjax.config import TaskConfig

_SQUAD = {
    "f1": "SQuAD's evaluate-v2.0.py, between 0 and 1; the best of the given answers",
    "exact_match": "SQuAD's evaluate-v2.0.py, between 0 and 1",
    "best_f1": "SQuAD's evaluate-v2.0.py at the threshold of no answer that is best on these",
}
_CONVENTIONS = {
    "classification": {
        "accuracy": "scikit-learn accuracy_score",
        "f1": "scikit-learn f1_score with pos_label={last!r}",
        "macro_f1": "scikit-learn f1_score(average='macro'): the labels that occur in the file or "
        "in the predictions",
        "micro_f1": "scikit-learn f1_score(average='micro')",
        "mcc": "scikit-learn matthews_corrcoef",
    },
    "multi_label": {
        "micro_f1": "scikit-learn f1_score(average='micro') of indicator matrices",
        "macro_f1": "scikit-learn f1_score(average='macro', zero_division=0) of indicator "
        "matrices: all labels count, one that nowhere occurs with 0",
        "exact_match": "scikit-learn accuracy_score of indicator matrices",
    },
    "regression": {
        "pearson": "scipy pearsonr, 0 where either side is constant",
        "spearman": "scipy spearmanr, 0 where either side is constant",
    },
    "tagging": {
        "f1": "conlleval (seqeval, micro average): entities with the right type and both ends",
        "precision": "conlleval (seqeval, micro average)",
        "recall": "conlleval (seqeval, micro average)",
        "accuracy": "of words; one of which nothing is said, as it was cut off, counts as wrong",
        "macro_f1": "scikit-learn f1_score(average='macro') of words: the tags that occur in the "
        "file or in the predictions",
    },
    "multiple_choice": {"accuracy": "scikit-learn accuracy_score"},
}
_CMRC = {
    "f1": "cmrc2018_evaluate.py, between 0 and 1: of characters and English words",
    "exact_match": "cmrc2018_evaluate.py, between 0 and 1",
}


def conventions(task: TaskConfig, metrics: Sequence[str]) -> dict[str, str]:
    """The convention of each of `metrics`, for a settled config's task."""
    known = _CONVENTIONS.get(task.family, _SQUAD)
    if task.family == "span_qa" and task.scoring == "cmrc":
        known = _SQUAD | _CMRC
    last = task.labels[-1] if task.labels else ""
    return {name: known[name].format(last=last) for name in metrics}
