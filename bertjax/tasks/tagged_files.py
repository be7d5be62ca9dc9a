"""Tagged sentences from every layout: columns, records, plain lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from bertjax.config import FinetuneConfig
from bertjax.errors import UserError
from bertjax.tasks.conll import Sentence, read_columns
from bertjax.tasks.tables import labelled_inputs, table_form
from bertjax.tasks.tagged_records import read_tagged
from bertjax.text.account import Account
from bertjax.text.delimited import Form
from bertjax.text.layouts import NAMES, Input
from bertjax.text.records import read_records
from bertjax.text.stored import read_text, text_lines

_LONG = 500  # words; a sentence that has more lacks a blank line at its end
_RECORDS = ("jsonl", "json", "parquet", "arrow", "saved", "tfds", "csv")


def read_sentences(
    path: str, cfg: FinetuneConfig, labelled: bool, account: Account
) -> Iterator[Sentence]:
    """Yield the sentences of `path`, those without an id called by their number from 0.

    Raises UserError as `_sentences`.
    """
    for number, sentence in enumerate(_sentences(path, cfg, labelled, account)):
        yield replace(sentence, id=sentence.id or str(number))


def _sentences(
    path: str, cfg: FinetuneConfig, labelled: bool, account: Account
) -> Iterator[Sentence]:
    """Yield the sentences of a file, a directory or a data set; without a layout it is CoNLL.

    Raises:
        UserError: it cannot be read, or its layout is none of tagged sentences.
    """
    data = cfg.data
    for source in labelled_inputs(path, data.text, account, data.layout):
        layout = source.layout
        if layout in ("", "text") or (layout == "tsv" and not data.layout):
            layout = "conll"
        if layout in ("conll", "conllu"):
            lines = text_lines(read_text(source.name, account))
            for sentence in read_columns(source.name, lines, data, labelled, layout):
                if len(sentence.words) > _LONG:
                    account.note(
                        f"{sentence.place}: a sentence of {len(sentence.words):,} words: put a "
                        "blank line after each sentence"
                    )
                yield sentence
        elif layout == "cluener":
            if labelled and cfg.task.scheme == "none":
                raise UserError(f"{path}: CLUENER holds entities: set task.scheme, such as IOB2")
            rows = read_records(Input(source.name, "jsonl"), ("text",), Form(), account).rows
            yield from read_tagged(rows, cfg, labelled, cfg.task.standard_scheme)
        elif layout in _RECORDS:
            columns = (data.text, data.label) if labelled else (data.text,)
            form = table_form(data)
            rows = read_records(Input(source.name, layout), columns, form, account).rows
            yield from read_tagged(rows, cfg, labelled, "")
        else:
            raise UserError(
                f"{source.name}: data.layout={layout} holds no tagged sentences: use conll, "
                "conllu, jsonl, json, parquet, csv or cluener"
            )
        account.read[NAMES.get(layout, layout)] += 1
