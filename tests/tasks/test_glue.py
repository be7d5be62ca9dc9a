"""Files for the GLUE server."""

from __future__ import annotations

import pytest

from bertjax.errors import UserError
from bertjax.tasks.glue import write_submission

OFFICIAL = {  # rows of the test sets; gluebenchmark.com and the TFDS catalogue
    ("cola", "CoLA.tsv"): 1063,
    ("sst2", "SST-2.tsv"): 1821,
    ("mrpc", "MRPC.tsv"): 1725,
    ("stsb", "STS-B.tsv"): 1379,
    ("mnli", "MNLI-m.tsv"): 9796,
    ("mnli", "MNLI-mm.tsv"): 9847,
    ("mnli", "AX.tsv"): 1104,
    ("ax", "AX.tsv"): 1104,
    ("qnli", "QNLI.tsv"): 5463,
    ("rte", "RTE.tsv"): 3000,
    ("wnli", "WNLI.tsv"): 146,
    ("qqp", "QQP.tsv"): 390_965,
}
WORDS = {"mnli": "neutral", "ax": "neutral", "qnli": "not_entailment", "rte": "entailment"}


def predictions(values) -> list[dict]:
    return [{"id": "x", "prediction": value} for value in values]


@pytest.mark.parametrize(("task", "name"), OFFICIAL)
def test_every_task(tmp_path, task, name):
    word = 2.0 if task == "stsb" else WORDS.get(task, "1")
    rows = OFFICIAL[task, name]
    write_submission(task, predictions([word] * rows), tmp_path / name)
    lines = (tmp_path / name).read_text().split("\n")
    assert lines[0] == "index\tprediction"
    assert lines[1] == f"0\t{'2.000' if task == 'stsb' else word}"
    assert lines[-2].startswith(f"{rows - 1}\t") and lines[-1] == ""
    assert len(lines) == rows + 2
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_numbers_stay_within_the_scale(tmp_path):
    values = [-0.3, 5.2, 1.23456, *[0.0] * 1376]
    write_submission("stsb", predictions(values), tmp_path / "STS-B.tsv")
    lines = (tmp_path / "STS-B.tsv").read_text().splitlines()
    assert lines[1:4] == ["0\t0.000", "1\t5.000", "2\t1.235"]


def test_names_of_tfds_become_the_servers(tmp_path):
    values = ["not_entailment", "entailment"] * 73
    write_submission("wnli", predictions(values), tmp_path / "WNLI.tsv")
    assert (tmp_path / "WNLI.tsv").read_text().splitlines()[1:3] == ["0\t0", "1\t1"]


@pytest.mark.parametrize(
    ("task", "name", "values", "message"),
    [
        ("sst3", "SST-2.tsv", ["1"], "task.name='sst3' is no GLUE task: did you mean 'sst2'"),
        ("sst2", "out.tsv", ["1"], r"out\.tsv: the GLUE server does not know.*SST-2\.tsv"),
        ("mnli", "MNLI.tsv", ["1"], r"MNLI-m\.tsv or MNLI-mm\.tsv or AX\.tsv"),
        ("wnli", "WNLI.tsv", ["1"], r"WNLI\.tsv: 1 predictions, but WNLI has 146"),
        ("wnli", "WNLI.tsv", ["yes"] * 146, r"prediction 'yes' of example 0: the server takes"),
        ("stsb", "STS-B.tsv", ["5"] * 1379, "prediction '5' of example 0: the server takes a num"),
    ],
)
def test_what_the_server_would_refuse(tmp_path, task, name, values, message):
    (tmp_path / name).write_text("earlier")
    with pytest.raises(UserError, match=message):
        write_submission(task, predictions(values), tmp_path / name)
    assert (tmp_path / name).read_text() == "earlier"
