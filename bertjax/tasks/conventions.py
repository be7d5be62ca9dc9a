"""Which convention each number follows: said beside all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bertjax.config import TaskConfig
from bertjax.tasks.tag_schemes import OUTSIDE

_SQUAD = {
    "f1": "SQuAD's evaluate-v2.0.py, between 0 and 1; the best of the given answers",
    "exact_match": "SQuAD's evaluate-v2.0.py, between 0 and 1",
    "best_f1": "SQuAD's evaluate-v2.0.py at the threshold of no answer that is best on these",
}
_CMRC = {
    "f1": "cmrc2018_evaluate.py, between 0 and 1: of characters and English words",
    "exact_match": "cmrc2018_evaluate.py, between 0 and 1",
}
_QUESTIONS = {"has_answer": "questions with an answer", "no_answer": "questions without one"}
_CONVENTIONS = {
    "classification": {
        "accuracy": "scikit-learn accuracy_score",
        "f1": "of {positive!r}: scikit-learn f1_score with pos_label={positive!r}",
        "macro_f1": "scikit-learn f1_score(average='macro'): the labels that occur in the file or "
        "in the predictions",
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
        "f1": "conlleval (seqeval's default, micro average): right type and both ends; a tag that "
        "breaks the scheme may begin an entity",
        "precision": "conlleval (seqeval's default, micro average)",
        "recall": "conlleval (seqeval's default, micro average)",
        "strict_f1": "seqeval with mode='strict', scheme={scheme}: what breaks the scheme is no "
        "entity",
        "accuracy": "of words; one of which nothing is said, as it was cut off, counts as {unsaid}",
        "macro_f1": "scikit-learn f1_score(average='macro') of words: the tags that occur in the "
        "file or in the predictions",
    },
    "multiple_choice": {"accuracy": "scikit-learn accuracy_score"},
}
_TABLES = {
    "classes": "scikit-learn precision_recall_fscore_support, of each class",
    "entities": "conlleval (seqeval's default), of each type",
}


def conventions(task: TaskConfig, metrics: Iterable[str]) -> dict[str, str]:
    """The convention of each of `metrics`, numbers of `Task.score`, for a settled config's task."""
    known = _CONVENTIONS.get(task.family, {})
    if task.family == "span_qa":
        known = _SQUAD | (_CMRC if task.scoring == "cmrc" else {})
        known |= {
            f"{which}_{name}": f"of {said}: {known[name]}"
            for which, said in _QUESTIONS.items()
            for name in ("f1", "exact_match")
        }
    positive = positive_label(task, task.labels) if task.labels else ""
    scheme = task.learnt_scheme
    unsaid = OUTSIDE if OUTSIDE in task.labels else "wrong"
    return {
        name: known[name].format(positive=positive, scheme=scheme, unsaid=unsaid)
        for name in metrics
    }


def table_convention(report: Iterable[str]) -> str | None:
    """The convention of the table of classes or entities among the parts of a `report`."""
    return next((_TABLES[name] for name in report if name in _TABLES), None)


def positive_label(task: TaskConfig, labels: Sequence[str]) -> str:
    """The class that `f1` is of, where there are two: `task.positive`, else the second."""
    return task.positive or labels[-1]
