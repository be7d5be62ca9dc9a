"""Files for the GLUE server (gluebenchmark.com): a line a test example, in the test file's order.

Names of files, words and counts are those of the GLUE distribution and of the server's FAQ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bertjax.durable import replace_file
from bertjax.errors import UserError, nearest
from bertjax.tasks.task import Prediction


@dataclass(frozen=True)
class _TestSet:
    rows: int
    # What the server reads -> what a model may call it: the word itself, or TFDS's name for it.
    words: dict[str, str]


_NLI = {word: word for word in ("entailment", "neutral", "contradiction")}
_TWO_WAY = {word: word for word in ("entailment", "not_entailment")}


def _binary(zero: str, one: str) -> dict[str, str]:
    return {"0": zero, "1": one}


_SETS = {
    "cola": {"CoLA.tsv": _TestSet(1_063, _binary("unacceptable", "acceptable"))},
    "sst2": {"SST-2.tsv": _TestSet(1_821, _binary("negative", "positive"))},
    "mrpc": {"MRPC.tsv": _TestSet(1_725, _binary("not_equivalent", "equivalent"))},
    "stsb": {"STS-B.tsv": _TestSet(1_379, {})},
    "qqp": {"QQP.tsv": _TestSet(390_965, _binary("not_duplicate", "duplicate"))},
    "mnli": {
        "MNLI-m.tsv": _TestSet(9_796, _NLI),
        "MNLI-mm.tsv": _TestSet(9_847, _NLI),
        "AX.tsv": _TestSet(1_104, _NLI),
    },
    "qnli": {"QNLI.tsv": _TestSet(5_463, _TWO_WAY)},
    "rte": {"RTE.tsv": _TestSet(3_000, _TWO_WAY)},
    "wnli": {"WNLI.tsv": _TestSet(146, _binary("not_entailment", "entailment"))},
    "ax": {"AX.tsv": _TestSet(1_104, _NLI)},
}


def write_submission(task_name: str, predictions: Sequence[Prediction], path: str | Path) -> None:
    """Write the `prediction` of all examples of a GLUE test set as the server reads them.

    `path` is named as the server wants it, such as `CoLA.tsv`; for mnli the name says which test
    set it is: MNLI-m.tsv, MNLI-mm.tsv or AX.tsv. STS-B gets three decimals, from 0 to 5. The file
    is there whole or not at all.

    Raises:
        UserError: not a task of GLUE, a name the server does not know, not as many predictions as
            the test set has examples, or a prediction it has no word for.
    """
    path = Path(path)
    if task_name not in _SETS:
        raise UserError(
            f"task.name={task_name!r} is no GLUE task: {nearest(task_name, _SETS)} (a run keeps "
            "the name it was trained with)"
        )
    files = _SETS[task_name]
    if path.name not in files:
        raise UserError(
            f"{path}: the GLUE server does not know this name for {task_name}: call the file "
            f"{' or '.join(files)}"
        )
    test_set = files[path.name]
    if len(predictions) != test_set.rows:
        raise UserError(
            f"{path}: {len(predictions):,} predictions, but {path.stem} has {test_set.rows:,} test "
            "examples: predict the official test file, without its header and no row left out"
        )
    words = {own: word for word, own in test_set.words.items()}
    words |= {word: word for word in test_set.words}
    lines = ["index\tprediction"]
    for index, entry in enumerate(predictions):
        lines.append(f"{index}\t{_word(path, index, entry['prediction'], words)}")
    replace_file(path, ("\n".join(lines) + "\n").encode())


def _word(path: Path, index: int, prediction: str | float, words: dict[str, str]) -> str:
    if not words and isinstance(prediction, int | float):
        return f"{min(max(prediction, 0.0), 5.0):.3f}"
    if prediction not in words:
        known = ", ".join(words) or "a number"
        raise UserError(
            f"{path}: prediction {prediction!r} of example {index}: the server takes {known}; "
            "train with the labels of the official files"
        )
    return words[str(prediction)]
