"""What is to be predicted: a file like the training file without labels, or plain lines."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bertjax.config import FinetuneConfig
from bertjax.errors import UserError
from bertjax.tasks.blank import is_blank, is_no_word
from bertjax.tasks.families import read_examples
from bertjax.tasks.tables import row_account, table_form
from bertjax.tasks.tagged_records import words_of
from bertjax.tasks.task import Example
from bertjax.text.account import Account, Problem
from bertjax.text.inputs import find_inputs
from bertjax.text.layouts import Input, suffix_of
from bertjax.text.records import read_records
from bertjax.text.stored import check_text, local, note_lone_returns, read_text, text_lines

_SINGLE = ("classification", "multi_label", "regression", "tagging")
_OF_WORDS = ("tokens", "words", "text", "sentence")  # fields of sentences, in files with names
_TAG = re.compile("O|[BIESLUMW]-.+")  # of any scheme
_LONGEST_WORD = 4  # characters of Chinese
_NAMED = ("jsonl", "json", "parquet", "arrow", "saved", "tfds")


def read_unlabelled(
    path: str, cfg: FinetuneConfig, account: Account | None = None
) -> tuple[list[Example], int]:
    """Examples without labels, and how many bad rows were left out.

    A file of text, or a pipe of it, holds one text a line, blank lines aside. Where the run learnt
    from words in columns under the name `.txt`, such files are looked at, for they may be either,
    as are a tagger's files whose names do not say what they hold. For tagging a line's words are
    what whitespace separates, or its characters where it has none and is Chinese. The id of an
    example is the number of its line, from 0 and over all files.

    Raises:
        UserError: the file cannot be read, lines of text cannot be this task's input, or they
            could as well be columns or a table.
    """
    account = account or row_account(cfg.data)
    found = find_inputs(path, cfg.data.text, Account())
    if not all(_is_plain(s, cfg) for s in found):
        if cfg.task.family == "tagging" and cfg.data.text == "text":
            cfg = _with_field_of_words(found[0], cfg)
        return read_examples(path, cfg, labelled=False, account=account)
    if cfg.task.family not in _SINGLE or cfg.data.text_pair:
        raise UserError(
            f"{path}: a line of text is not enough for {cfg.task.family}"
            + (" of pairs" if cfg.data.text_pair else "")
            + ": give a file laid out as the training file"
        )
    examples: list[Example] = []
    behind = 0  # lines of the files before
    for source in found:
        text = read_text(source.name, account)
        note_lone_returns(source.name, text, account)
        lines = text_lines(text)
        if suffix_of(source.name) != ".text":
            _refuse_table(source.name, lines)
        examples += _lines(source.name, lines, behind, cfg, account)
        behind += len(lines)
        account.read["text"] += 1
    if not examples:
        raise UserError(f"{path}: no text in it: give one text a line")
    return examples, account.count


def _is_plain(source: Input, cfg: FinetuneConfig) -> bool:
    """Whether a file holds a text a line; where a tagger's suffix does not say, it is looked at."""
    if source.layout not in ("", "text"):
        return False
    is_pipe = local(source.name) != Path(source.name)
    suffix = suffix_of(source.name)
    if cfg.task.family == "tagging" and not is_pipe:
        says = suffix == ".text" or (suffix == ".txt" and suffix_of(cfg.data.train) != ".txt")
        return says or not _holds_columns(source.name, cfg)
    return suffix in (".txt", ".text", "")


def _holds_columns(name: str, cfg: FinetuneConfig) -> bool:
    """Whether lines are words in columns rather than texts: by their widths and tags.

    Columns of which less than half are broken are columns, whose reader says which lines are.

    Raises:
        UserError: they are all as wide and do not end in tags: texts of as many words and columns
            without tags look alike.
    """
    lines = text_lines(read_text(name, Account()))
    fields = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    if len(fields) < 2:
        return False
    width, alike = Counter(map(len, fields)).most_common(1)[0]
    tags = [words[-1] in cfg.task.labels or _TAG.fullmatch(words[-1]) for words in fields]
    if alike < len(fields):  # texts, or columns of which some lines are broken
        return 2 * alike > len(fields) and 2 * sum(map(bool, tags)) > len(fields)
    if width == 1:  # Chinese texts have no spaces either, but are longer than words
        return all(len(words_of(words[0])) <= _LONGEST_WORD for words in fields)
    if all(tags):
        return True
    raise UserError(
        f"{name}: all {len(fields)} lines have {width} words, so that they may be texts or "
        "columns without tags: name the file .text if a line is a text, .conll if it is a word"
    )


def _refuse_table(name: str, lines: Sequence[str]) -> None:
    """Raise UserError if every line has as many tabs, as those of a table and of columns have."""
    tabs = {line.count("\t") for line in lines if line.strip()}
    if len(tabs) == 1 and tabs != {0} and len(lines) > 1:
        raise UserError(
            f"{name}: each of its lines has {tabs.pop()} tabs, as those of a table have: name the "
            "file .tsv if it is one, .conll if a line is a word, .text if a line is a text"
        )


def _with_field_of_words(source: Input, cfg: FinetuneConfig) -> FinetuneConfig:
    """The config for a file whose fields have names, of a run that learnt from one without."""
    if source.layout not in _NAMED:
        return cfg
    _, first = next(read_records(source, (), table_form(cfg.data), Account()).rows, ("", {}))
    names: Sequence[str] = list(first) if isinstance(first, dict) else ()
    field = next((name for name in _OF_WORDS if name in names), cfg.data.text)
    return replace(cfg, data=replace(cfg.data, text=field))


def _lines(
    name: str, lines: Sequence[str], behind: int, cfg: FinetuneConfig, account: Account
) -> list[Example]:
    examples = []
    for number, line in enumerate(lines, start=1):
        text, place = line.strip(), f"{name}:{number}"
        if is_blank(text):
            account.aside["blank lines"] += 1
            continue
        try:
            check_text(text, "the line")
        except Problem as problem:
            account.leave(place, problem)
            continue
        examples.append(_of_text(place, str(behind + number - 1), text, cfg))
    return examples


def _of_text(place: str, id: str, text: str, cfg: FinetuneConfig) -> Example:
    texts = words_of(text) if cfg.task.family == "tagging" else (text,)
    return Example(place, id, texts, source=text)


def examples_of(inputs: Sequence[Any], cfg: FinetuneConfig) -> list[Example]:
    """Examples without labels of what a program holds.

    An input is a text, or a list of texts as the family has them: a text and its pair, question
    and context, a text and its endings, the words of a sentence. Its number from 0 is its id.

    Raises:
        UserError: an input has too few or too many texts, or one that is no text.
    """
    examples = []
    for number, given in enumerate(inputs):
        place, alone = f"input {number}", isinstance(given, str)
        texts = (given,) if alone else tuple(given) if isinstance(given, list | tuple) else ()
        if not texts or not all(isinstance(text, str) for text in texts):
            raise UserError(f"{place} is {given!r:.60}: give a text or a list of texts")
        try:
            for text in texts:
                check_text(text, "the text")
        except Problem as problem:
            raise UserError(f"{place}: {problem}") from None
        example = (
            _of_text(place, str(number), given, cfg)
            if alone
            else Example(place, str(number), texts)
        )
        _check_count(example, cfg)
        examples.append(example)
    return examples


def _check_count(example: Example, cfg: FinetuneConfig) -> None:
    """Raise UserError if the example has another number of texts than the task."""
    count, family, choices = len(example.texts), cfg.task.family, len(cfg.data.choices)
    if family == "tagging":
        if not count or any(map(is_no_word, example.texts)):
            raise UserError(f"{example.place} has a word of no characters: give a text of words")
        return
    of_family = {
        "span_qa": (2, "a question and a context"),
        "multiple_choice": (1 + choices, f"a text and {choices} endings"),
    }
    pair = (2, "a pair of texts") if cfg.data.text_pair else (1, "one text")
    wanted, said = of_family.get(family, pair)
    if count != wanted:
        raise UserError(f"{example.place} has {count} texts, and the run takes {said}")
