"""What is to be predicted: a file like the training file without labels, or plain lines."""

from __future__ import annotations

import re

from bertjax.config import FinetuneConfig
from bertjax.errors import UserError
from bertjax.tasks.families import read_examples
from bertjax.tasks.files import open_text
from bertjax.tasks.records import layout_of
from bertjax.tasks.task import Example

_CJK = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_SINGLE = ("classification", "multi_label", "regression", "tagging")


def read_unlabelled(path: str, cfg: FinetuneConfig) -> tuple[list[Example], int]:
    """Examples without labels, and how many bad rows were left out.

    A `.txt` file holds one text a line, blank lines aside, unless the run learnt from a `.txt`
    itself, whose layout it then has. For tagging a line's words are what whitespace separates, or
    its characters where it has none and is Chinese.

    Raises:
        UserError: the file cannot be read, or lines of text cannot be this task's input.
    """
    if layout_of(path) != "txt" or layout_of(cfg.data.train) == "txt":
        return read_examples(path, cfg, labelled=False)
    if cfg.task.family not in _SINGLE or cfg.data.text_pair:
        raise UserError(
            f"{path}: a line of text is not enough for {cfg.task.family}"
            + (" of pairs" if cfg.data.text_pair else "")
            + ": give a file laid out as the training file"
        )
    examples = []
    with open_text(path) as stream:
        for number, line in enumerate(stream, start=1):
            text = line.strip()
            if text:
                texts = _words(text) if cfg.task.family == "tagging" else (text,)
                examples.append(Example(f"{path}:{number}", str(number), texts))
    if not examples:
        raise UserError(f"{path}: no text in it: give one text a line")
    return examples, 0


def _words(text: str) -> tuple[str, ...]:
    words = text.split()
    return tuple(text) if len(words) == 1 and _CJK.search(text) else tuple(words)
