"""What is to be predicted: a file like the training file without labels, or plain lines."""

from __future__ import annotations

from pathlib import Path

from bertjax.config import FinetuneConfig
from bertjax.errors import UserError
from bertjax.tasks.families import read_examples
from bertjax.tasks.tables import row_account
from bertjax.tasks.tagged_records import words_of
from bertjax.tasks.task import Example
from bertjax.text.account import Account, Problem
from bertjax.text.inputs import find_inputs
from bertjax.text.layouts import Input, suffix_of
from bertjax.text.stored import check_text, local, read_text, text_lines

_SINGLE = ("classification", "multi_label", "regression", "tagging")


def read_unlabelled(
    path: str, cfg: FinetuneConfig, account: Account | None = None
) -> tuple[list[Example], int]:
    """Examples without labels, and how many bad rows were left out.

    A file of text, or a pipe of it, holds one text a line, blank lines aside, unless the run
    learnt from a `.txt` itself, whose layout it then has. For tagging a line's words are what
    whitespace separates, or its characters where it has none and is Chinese. The id of an example
    is the number of its line.

    Raises:
        UserError: the file cannot be read, or lines of text cannot be this task's input.
    """
    account = account or row_account(cfg.data)
    found = find_inputs(path, cfg.data.text, Account())
    if not all(_is_plain(s, cfg) for s in found) or suffix_of(cfg.data.train) == ".txt":
        return read_examples(path, cfg, labelled=False, account=account)
    if cfg.task.family not in _SINGLE or cfg.data.text_pair:
        raise UserError(
            f"{path}: a line of text is not enough for {cfg.task.family}"
            + (" of pairs" if cfg.data.text_pair else "")
            + ": give a file laid out as the training file"
        )
    examples = []
    for source in found:
        examples += _lines(source.name, cfg, account)
        account.read["text"] += 1
    if not examples:
        raise UserError(f"{path}: no text in it: give one text a line")
    return examples, account.count


def _is_plain(source: Input, cfg: FinetuneConfig) -> bool:
    """Whether a file holds a text a line; for tagging, one without a suffix is CoNLL."""
    if source.layout not in ("", "text"):
        return False
    is_pipe = local(source.name) != Path(source.name)
    nameless = ("",) if is_pipe or cfg.task.family != "tagging" else ()
    return suffix_of(source.name) in (".txt", ".text", *nameless)


def _lines(name: str, cfg: FinetuneConfig, account: Account) -> list[Example]:
    examples = []
    for number, line in enumerate(text_lines(read_text(name, account)), start=1):
        text, place = line.strip(), f"{name}:{number}"
        if not text:
            account.aside["blank lines"] += 1
            continue
        try:
            check_text(text, "the line")
        except Problem as problem:
            account.leave(place, problem)
            continue
        texts = words_of(text) if cfg.task.family == "tagging" else (text,)
        examples.append(Example(place, str(number), texts, source=text))
    return examples
