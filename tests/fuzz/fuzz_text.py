"""Targets: sources of text for a corpus, and files of labelled and unlabelled examples."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow
from fuzz_target import Target
from pyarrow import ipc, parquet

from bertjax.config import ExamplesConfig, FinetuneConfig, TaskConfig
from bertjax.errors import UserError
from bertjax.probe.held_out_text import read_texts
from bertjax.probe.minimal_pairs import read_pairs
from bertjax.probe.tagged_words import read_tagged
from bertjax.tasks.families import label_names, learnt_examples, read_examples
from bertjax.tasks.tables import row_account
from bertjax.tasks.unlabelled import read_unlabelled
from bertjax.text.account import Account
from bertjax.text.chunks import documents
from bertjax.text.sources import find_sources

PACK: dict[str, Callable[[bytes], bytes]] = {
    ".gz": lambda data: gzip.compress(data, mtime=0),
    ".xz": lzma.compress,
    ".bz2": bz2.compress,
    ".zst": lambda data: bytes(pyarrow.compress(data, "zstd", asbytes=True)),
    ".zip": lambda data: zipped(data),
}


def zipped(data: bytes) -> bytes:
    """An archive of one file."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("a.txt"), data)
    return file.getvalue()


def lines(*rows: Any) -> bytes:
    """JSON Lines."""
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


def written(rows: Sequence[dict[str, Any]], suffix: str, **options: Any) -> bytes:
    """Rows as Parquet or as either kind of Arrow."""
    table, sink = pyarrow.Table.from_pylist(list(rows)), io.BytesIO()
    if suffix == ".parquet":
        parquet.write_table(table, sink, compression="none", **options)
    else:
        make = ipc.new_file if suffix == ".arrow" else ipc.new_stream
        with make(sink, table.schema) as writer:
            writer.write_table(table)
    return sink.getvalue()


def tables(rows: Sequence[dict[str, Any]], suffix: str) -> list[bytes]:
    """The same rows as the seeds of a layout."""
    if suffix == ".jsonl":
        return [lines(*rows)]
    if suffix == ".json":
        columns = {name: [row.get(name) for row in rows] for name in rows[0]}
        split = {"columns": list(rows[0]), "data": [list(row.values()) for row in rows]}
        server = {"rows": [{"row_idx": 0, "row": row} for row in rows]}
        index = {str(i): row for i, row in enumerate(rows)}
        shapes = [list(rows), {"data": list(rows)}, columns, split, server, index]
        return [json.dumps(shape).encode() for shape in shapes]
    if suffix in (".parquet", ".arrow"):
        plain = written(rows, suffix)
        other = (
            [written(rows, "stream")]
            if suffix == ".arrow"
            else [written(rows, suffix, use_dictionary=False, write_statistics=False)]
        )
        return [plain, *other]
    separator = "\t" if suffix == ".tsv" else ","
    made = [_separated(rows, separator, quoting) for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL)]
    return [*made, b"sep=;\n" + _separated(rows, ";", csv.QUOTE_MINIMAL)]


def _separated(rows: Sequence[dict[str, Any]], separator: str, quoting: Any) -> bytes:
    file = io.StringIO()
    writer = csv.writer(file, delimiter=separator, quoting=quoting)
    writer.writerows([list(rows[0]), *(row.values() for row in rows)])
    return file.getvalue().encode()


# Text for corpora.

TEXT = "The old river.\nIt is wide.\n\nA second document — ünï, 汉字。\n".encode()
DOCUMENTS = [{"text": "The old river. It is wide.", "id": 1}, {"text": "Another.", "id": 2}]


def read_corpus_text(path: Path) -> None:
    """As `bertjax prepare` reads, refusing and leaving out what is bad, and as the probe does."""
    for skip in (True, False):
        account = Account(skip=skip)
        for line in (False, True) if path.suffix == ".txt" else (False,):
            for source in find_sources([str(path)], one_document_per_line=line, account=account):
                for chunk in source.chunks(account):
                    for document in documents(chunk, account):
                        document.encode()
    read_texts(str(path))


def text_targets() -> Iterator[Target]:
    """Every layout, packed and not."""
    seeds: dict[str, Callable[[], Sequence[bytes]]] = {
        ".txt": lambda: [TEXT, TEXT.decode().encode("utf-16"), b"\xef\xbb\xbf" + TEXT, b"a\rb\rc"],
        ".jsonl": lambda: [lines(*DOCUMENTS), lines("a text", {"text": ["a", "b"]})],
        "": lambda: [TEXT, lines(*DOCUMENTS)],
    }
    for suffix in (".json", ".csv", ".tsv", ".parquet", ".arrow"):
        seeds[suffix] = lambda suffix=suffix: tables(DOCUMENTS, suffix)  # type: ignore[misc]
    for suffix, make in seeds.items():
        yield Target(
            f"text{suffix}", f"a{suffix}", lambda f, s=suffix: read_corpus_text(f / f"a{s}"), make
        )
    for suffix in PACK:
        for inner in (".txt", ".jsonl", ".csv"):
            yield Target(
                f"text{inner}{suffix}",
                f"a{inner}{suffix}",
                lambda f, s=inner + suffix: read_corpus_text(f / f"a{s}"),
                lambda i=inner, s=suffix: [PACK[s](seed) for seed in seeds[i]()],
            )
    saved = json.dumps({"_data_files": [{"filename": "data.arrow"}], "_split": "train"})
    yield Target(
        "saved/state.json", "state.json", read_corpus_text, lambda: [saved.encode()], _arrow
    )
    splits = json.dumps({"splits": ["train", "test"]})
    yield Target(
        "saved/dataset_dict.json", "dataset_dict.json", read_corpus_text, lambda: [splits.encode()]
    )


def _arrow(folder: Path) -> None:
    (folder / "data.arrow").write_bytes(written(DOCUMENTS, "stream"))


# Labelled and unlabelled examples.

_CLASSES = [
    {"id": 7, "text": "good film", "label": "yes"},
    {"id": 8, "text": 'bad, "bad"', "label": "no"},
    {"id": 9, "text": "fine", "label": "yes"},
]
_PAIRS = [{"text": "a b", "other": "c", "label": 0}, {"text": "d", "other": "e f", "label": 1}]
_NUMBERS = [{"text": "a", "label": 0.5}, {"text": "b", "label": 3}]
_SEVERAL = [
    {"text": "a", "label": "x,y"},
    {"text": "b", "label": "['x', 'z']"},
    {"text": "c", "label": "y"},
]
_SWITCHES = [{"text": "a", "label": [0, 1, 1]}, {"text": "b", "label": [1, 0, 0]}]
_CHOICES = [
    {"text": "he", "a": "goes", "b": "went", "label": 0},
    {"text": "she", "a": "sings", "b": "sang", "label": 1},
]
_TAGGED = [
    {"tokens": ["Ann", "saw", "Rome"], "tags": ["B-PER", "O", "B-LOC"], "id": "1"},
    {"tokens": ["It", "is"], "tags": ["O", "O"], "id": "2"},
]
_QUESTIONS = [
    {
        "id": "q1", "question": "Who?", "context": "Ann saw Rome.",
        "answers": {"text": ["Ann"], "answer_start": [0]},
    },
    {
        "id": "q2", "question": "What?", "context": "Ann saw Rome.",
        "answers": {"text": ["Rome", "Rome."], "answer_start": [8, 8]},
    },
]  # fmt: skip
_SQUAD = {
    "version": "1.1",
    "data": [
        {
            "title": "t",
            "paragraphs": [
                {
                    "context": "Ann saw Rome.",
                    "qas": [
                        {"id": "1", "question": "Who?",
                         "answers": [{"text": "Ann", "answer_start": 0}]},
                        {"id": "2", "question": "Why?", "is_impossible": True, "answers": []},
                    ],
                }
            ],
        }
    ],
}  # fmt: skip
_RACE = {
    "id": "middle1.txt", "article": "Ann saw Rome.", "questions": ["Who saw _ ?", "What?"],
    "options": [["Ann", "Bob"], ["Rome", "Bonn"]], "answers": ["A", "B"],
}  # fmt: skip
_CLUENER = [
    {"text": "安在罗马", "label": {"name": {"安": [[0, 0]]}, "address": {"罗马": [[2, 3]]}}},
    {"text": "你好", "label": {}},
]
CONLL = b"""-DOCSTART- -X- O O

Ann NNP B-PER
saw VBD O
Rome NNP B-LOC

# a comment
It PRP O
is VBZ O
"""
CONLLU = b"""# sent_id = 1
# text = Ann doesn't
1\tAnn\tAnn\tPROPN\t_\t_\t2\tnsubj\t_\t_
2-3\tdoesn't\t_\t_\t_\t_\t_\t_\t_\t_
2\tdoes\tdo\tAUX\t_\t_\t0\troot\t_\t_
3\tn't\tnot\tPART\t_\t_\t2\tadvmod\t_\t_
3.1\te\te\tNOUN\t_\t_\t2\tdep\t_\t_

"""


def read_task(path: Path, cfg: FinetuneConfig, labelled: bool) -> None:
    """As `finetune` or `predict` reads, refusing and leaving out what is bad."""
    refused = None
    for skip in (True, False):
        each = replace(cfg, data=replace(cfg.data, skip_bad_rows=skip))
        account = row_account(each.data)
        try:
            if labelled:
                examples, _ = read_examples(str(path), each, account=account)
                learnt_examples(examples, label_names(each, examples), account)
            else:
                examples, _ = read_unlabelled(str(path), each, account)
        except UserError as error:
            refused = refused or error
            continue
        account.lines()
        for example in examples:
            "".join(example.texts).encode()
    if refused:
        raise refused


def _read_features(folder: Path) -> None:
    """Classes whose names a Parquet file has from `datasets`."""
    rows = [{"text": "a", "label": i % 3 - 1} for i in range(6)]
    table = pyarrow.Table.from_pylist(rows)
    about = (folder / "features.json").read_bytes()
    parquet.write_table(
        table.replace_schema_metadata({"huggingface": about}), folder / "train.parquet"
    )
    read_task(folder / "train.parquet", FinetuneConfig(), labelled=True)


def _task(
    name: str, family: str, rows: Callable[[str], Sequence[bytes]], *suffixes: str, **fields: Any
) -> Iterator[Target]:
    task = {key: fields.pop(key) for key in ("scheme", "no_answer") if key in fields}
    labelled = fields.pop("labelled", True)
    cfg = FinetuneConfig(task=TaskConfig(family=family, **task), data=ExamplesConfig(**fields))
    for suffix in suffixes:
        yield Target(
            f"{name}{suffix}",
            f"train{suffix}",
            lambda folder, s=suffix: read_task(folder / f"train{s}", cfg, labelled),
            lambda s=suffix: rows(s),
        )


def task_targets() -> Iterator[Target]:
    """Every family in every layout that it reads."""
    all_tables = (".csv", ".tsv", ".json", ".jsonl", ".parquet", ".arrow")
    yield from _task("classification", "classification", lambda s: tables(_CLASSES, s), *all_tables)
    yield from _task(
        "classification", "classification",
        lambda s: [PACK[".gz"](tables(_CLASSES, ".csv")[0])], ".csv.gz",
    )  # fmt: skip
    yield from _task(
        "headless", "classification", lambda s: [b"good,yes\nbad,no\n"], ".csv", ".tsv",
        header=False, text="1", label="-1",
    )  # fmt: skip
    yield from _task(
        "pairs", "classification", lambda s: tables(_PAIRS, s), ".tsv", ".jsonl", text_pair="other"
    )
    yield from _task("regression", "regression", lambda s: tables(_NUMBERS, s), ".csv", ".jsonl")
    yield from _task("multi_label", "multi_label", lambda s: tables(_SEVERAL, s), ".csv", ".jsonl")
    yield from _task(
        "switches", "multi_label", lambda s: tables(_SWITCHES, s), ".jsonl", ".parquet"
    )
    yield from _task(
        "choice", "multiple_choice", lambda s: tables(_CHOICES, s), ".csv", ".jsonl",
        choices=("a", "b"),
    )  # fmt: skip
    yield from _task(
        "race", "multiple_choice", lambda s: [json.dumps(_RACE).encode()], ".json",
        choices=("a", "b"),
    )  # fmt: skip
    yield from _task(
        "tagging", "tagging", lambda s: [CONLL, CONLL.replace(b" ", b"\t")], ".conll", ".txt",
        scheme="IOB2",
    )  # fmt: skip
    yield from _task("tagging", "tagging", lambda s: [CONLLU], ".conllu", layout="conllu")
    yield from _task(
        "tagging", "tagging", lambda s: tables(_TAGGED, s), ".jsonl", ".json", ".parquet", ".csv",
        text="tokens", label="tags", scheme="IOB2",
    )  # fmt: skip
    yield from _task(
        "cluener", "tagging", lambda s: [lines(*_CLUENER)], ".json", layout="cluener",
        scheme="IOB2",
    )  # fmt: skip
    yield from _task(
        "squad", "span_qa", lambda s: [json.dumps(_SQUAD).encode()], ".json", no_answer=True
    )
    yield from _task("questions", "span_qa", lambda s: tables(_QUESTIONS, s), ".jsonl", ".parquet")
    for family, rows, suffixes in (
        ("classification", _CLASSES, (".txt", ".jsonl", "")),
        ("tagging", _TAGGED, (".txt", ".jsonl", "")),
    ):
        scheme = {"scheme": "IOB2"} if family == "tagging" else {}
        yield from _task(
            f"unlabelled_{family}", family,
            lambda s, rows=rows: [b"a text\nanother text\n"] if s != ".jsonl" else tables(rows, s),
            *suffixes, labelled=False, **scheme,
        )  # fmt: skip
    classes = {"_type": "ClassLabel", "names": ["no", "yes"]}
    features = {"text": {"_type": "Value"}, "label": classes, "all": {"feature": classes}}
    yield Target(
        "features", "features.json", _read_features,
        lambda: [json.dumps({"info": {"features": features}}).encode()],
    )  # fmt: skip
    pairs = [{"sentence_good": "a b", "sentence_bad": "b a", "UID": "x", "phenomenon": "y"}]
    for suffix in (".jsonl", ".csv", ".parquet"):
        yield Target(
            f"minimal_pairs{suffix}", f"pairs{suffix}",
            lambda f, s=suffix: read_pairs(str(f / f"pairs{s}")),
            lambda s=suffix: tables(pairs, s),
        )  # fmt: skip
    yield Target(
        "tagged_words.conllu", "a.conllu", lambda f: read_tagged(str(f / "a.conllu")),
        lambda: [CONLLU],
    )  # fmt: skip
