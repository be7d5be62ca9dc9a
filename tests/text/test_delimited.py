"""Tables with separators, against what writes them: pandas and the standard library."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertjax.errors import UserError
from bertjax.text.account import Problem
from bertjax.text.delimited import Form, read_delimited

SEPARATORS = {"csv": ",;\t|", "tsv": "\t"}


def read(text: str, layout: str, *columns: str, **form) -> list:
    """The columns of each row, or its problem."""
    rows = read_delimited("f", text, columns, layout, Form(**form))
    return [r if isinstance(r, Problem) else tuple(r[c] for c in columns) for _, r in rows]


cell = st.text(st.sampled_from("ab ',;|\"\n\r\t\\é中"), max_size=8)
rows = st.lists(st.tuples(cell, cell.map(lambda c: c + "x")), min_size=1, max_size=6)


@given(rows, st.sampled_from(",;\t|"), st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
def test_csv_of_any_separator_is_what_the_standard_library_writes(rows, separator, quoting):
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, delimiter=separator, quoting=quoting)
    writer.writerows([("text", "label"), *rows])
    assert read(stream.getvalue(), "csv", "text", "label") == rows


@given(rows, st.sampled_from(["\n", "\r\n"]), st.booleans(), st.booleans())
def test_csv_and_tsv_are_what_pandas_writes(rows, newline, tabs, index):
    """A TSV of pandas is told by its quotes where it needs any; else there is no difference.

    Where its lines are of one width by chance, it is refused with the way out.
    """
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(rows, columns=["text", "label"])
    separator = "\t" if tabs else ","
    text = frame.to_csv(sep=separator, index=index, lineterminator=newline)
    layout = "tsv" if tabs else "csv"
    try:
        assert read(text, layout, "text", "label") == rows
    except UserError as error:
        assert tabs and "data.quotes=doubled" in str(error)
        assert read(text, layout, "text", "label", quotes="doubled") == rows


@given(st.lists(st.text(st.sampled_from('ab "'), min_size=1, max_size=9), min_size=1, max_size=9))
def test_quotes_in_a_tsv_without_quoting_are_text(texts):
    """As in GLUE: one field that no writer would have quoted so, and all quotes stay."""
    texts = [f"a{text}" for text in texts] + ['he said "so']
    lines = ["text\tlabel", *(f"{text}\t1" for text in texts)]
    assert read("\n".join(lines), "tsv", "text", "label") == [(text, "1") for text in texts]


words = st.text(st.sampled_from("abc "), min_size=1, max_size=9).map(lambda t: t.strip() or "a")
texts = st.lists(words, min_size=1, max_size=3)


@given(st.lists(texts, min_size=1, max_size=9), st.booleans())
def test_a_row_that_is_broken_is_never_taken_up_in_its_middle(rows, text_first):
    """Every row that is read is a whole one of those written; broken ones are problems."""
    whole, lines = set(), ["text\tlabel" if text_first else "label\ttext"]
    for number, parts in enumerate(rows):
        text = "\n".join(f"{part} {number} long enough" for part in parts)
        if len(parts) == 1:
            whole.add(text)
        lines += (f"{text}\t1" if text_first else f"1\t{text}").split("\n")
    found = read("\n".join(lines), "tsv", "text", "label")
    kept = [row[0] for row in found if not isinstance(row, Problem)]
    assert set(kept) <= whole
    if len(whole) == len(rows):
        assert len(kept) == len(rows)


def test_excel_says_its_separator_and_leaves_rows_of_nothing():
    assert read("sep=;\r\ntext;label\r\na,b;1\r\n", "csv", "text", "label") == [("a,b", "1")]
    ((place, _),) = read_delimited("f", "sep=;\ntext;label\na;1\n", ["text"], "csv", Form())
    assert place == "f:3"


def test_row_names_of_r_and_a_separator_at_the_end():
    assert read("text\tlabel\n1\ta\tx\n2\tb\ty\n", "tsv", "text", "label") == [
        ("a", "x"),
        ("b", "y"),
    ]
    assert read("text,label\na,x,\nb,y,\n", "csv", "text", "label") == [("a", "x"), ("b", "y")]


def test_quotes_escaped_by_backslashes():
    text = 'text,label\n"he said \\"go, now\\"",1\nb,0\n'
    assert read(text, "csv", "text", "label") == [('he said "go, now"', "1"), ("b", "0")]
    tabs = text.replace(",1", "\t1").replace(",0", "\t0").replace("text,", "text\t")
    assert read(tabs, "tsv", "text", "label") == [('he said "go, now"', "1"), ("b", "0")]


def test_spaces_behind_separators():
    text = 'text, label\n"a, b", "x"\nc, y\n'
    assert read(text, "csv", "text", "label") == [("a, b", "x"), ("c", "y")]


def test_the_header_once_more_is_no_row():
    header, row, again = (
        read("text\tlabel\na\t1\ntext\tlabel\n", "tsv", "text", "label"),
        None,
        None,
    )
    row, again = header
    assert row == ("a", "1") and again.kind == "header again"


@pytest.mark.parametrize("size", [131_073, 3_000_000])
def test_fields_of_any_length(size):
    text = f'text,label\n"{"w " * size}",1\n'
    assert read(text, "csv", "text", "label") == [("w " * size, "1")]


def test_what_is_named_is_taken():
    text = "a::b::c\nd::e::f\n"
    assert read(text, "csv", "1", "-1", header=False, separator="::") == [("a", "c"), ("d", "f")]
    quoted = 'text\tlabel\n"a"\t1\n'
    assert read(quoted, "tsv", "text", "label") == [('"a"', "1")]
    assert read(quoted, "tsv", "text", "label", quotes="doubled") == [("a", "1")]
    assert read(quoted, "csv", "text", "label", quotes="literal") == [('"a"', "1")]


def test_an_open_quote_is_named_with_its_remedy():
    row, problem = read('text\tlabel\na\t1\n"b\n', "tsv", "text", "label")
    assert row == ("a", "1") and "data.quotes=doubled" in str(problem)
    with pytest.raises(UserError, match=r"f:2: not CSV from here on.*data\.quotes=literal"):
        read('text,label\n"b,1\nc,1\n', "csv", "text", "label")
    with pytest.raises(UserError, match=r"not CSV from here on.*or give the texts as JSON Lines"):
        read('text,label\n"b,1\nc,1\n', "csv", "text", settable=False)


def test_real_tables_are_read_as_they_always_were(shared_data):
    """GLUE's own files, in which quotes are text: every line a row."""
    for name in ("CoLA/dev.tsv", "MRPC/dev.tsv", "SST-2/dev.tsv", "WNLI/train.tsv"):
        text = Path(shared_data / "glue" / name).read_text(encoding="utf-8-sig")
        lines = [line.rstrip("\r").split("\t") for line in text.split("\n") if line.strip("\r")]
        header = name.startswith(("MRPC", "SST", "WNLI"))
        names = lines[0] if header else [str(i + 1) for i in range(len(lines[0]))]
        found = read(text, "tsv", *names, header=header)
        assert found == [tuple(line) for line in lines[header:]]


def test_a_header_again_is_none_of_the_rows_whatever_its_case():
    kinds = [r if isinstance(r, tuple) else r.kind for r in read(
        "text\tlabel\na\t1\n Text\tLABEL\nb\t2\n", "tsv", "text", "label"
    )]  # fmt: skip
    assert kinds == [("a", "1"), "header again", ("b", "2")]


def test_rows_below_a_header_in_another_order_are_not_read_by_the_first():
    text = "text,label\na,1\nLabel,text\n2,b\ntext,label\nc,3\n"
    found = read(text, "csv", "text", "label")
    kinds = [r if isinstance(r, tuple) else r.kind for r in found]
    other = "columns in another order"
    assert kinds == [("a", "1"), other, other, "header again", ("c", "3")]
    assert "below the header at f:3" in str(found[2])
