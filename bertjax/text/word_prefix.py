"""How a vocabulary marks words, and the space before the first word of a text.

A byte-level BPE tells `river` after a space, `Ġriver`, from `river` at the start of a text. Given
words one by one, such a tokenizer makes the second of them all, unless it adds the space itself.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from bertjax.errors import UserError
from bertjax.text import words

Json = dict[str, Any]


def word_mark(content: Json, source: str) -> str:
    """Return how a `tokenizer.json` marks words: `##`, `▁` or `Ġ`; UserError if it does not."""
    model = content["model"]
    kind = model.get("type")
    steps = {step.get("type") for step in _steps(content.get("pre_tokenizer"))}
    if kind == "WordPiece" and model.get("continuing_subword_prefix") == words.WORDPIECE:
        return words.WORDPIECE
    if kind == "BPE" and "ByteLevel" in steps:
        return words.BYTE_LEVEL
    if kind in ("Unigram", "BPE") and "Metaspace" in steps:
        return words.METASPACE
    raise UserError(
        f"{source}: a {kind} model that marks words in no way that is read: use WordPiece with "
        "##, or Unigram or BPE with a Metaspace (▁) or ByteLevel (Ġ) pre-tokenizer"
    )


def set_prefix(content: Json, on: bool) -> Json:
    """Return a `tokenizer.json` with RoBERTa's switch `add_prefix_space` on or off.

    `content` comes back as it is where nothing is to change.
    """
    changed = copy.deepcopy(content.get("pre_tokenizer"))
    for step in _steps(changed):
        if step.get("type") == "Metaspace" and _prepends(step) != on:
            step["prepend_scheme"] = "always" if on else "never"
            step.pop("add_prefix_space", None)  # how old files say it
        elif step.get("type") == "ByteLevel":
            step["add_prefix_space"] = on
    return _with_pre_tokenizer(content, changed, on)


def for_words(content: Json) -> Json:
    """Return a `tokenizer.json` that takes every text for one that follows a space.

    `content` comes back as it is where it does so, or where words do not tell. A step of its own
    adds the space: the switch would add one after every special token too.
    """
    steps = list(_steps(content.get("pre_tokenizer")))
    if any(step.get("type") == "Metaspace" and _prepends(step) for step in steps):
        return content
    if any(step.get("type") == "Metaspace" for step in steps):
        return set_prefix(content, True)
    if all(step.get("add_prefix_space", True) for step in steps if step.get("type") == "ByteLevel"):
        return content
    return _with_pre_tokenizer(
        content, {"type": "Sequence", "pretokenizers": [_SPACE, *steps]}, True
    )


_SPACE = {"type": "Metaspace", "replacement": " ", "prepend_scheme": "first", "split": False}


def _with_pre_tokenizer(content: Json, pre_tokenizer: Json | None, prefix: bool) -> Json:
    if pre_tokenizer == content.get("pre_tokenizer"):
        return content
    post_processor = copy.deepcopy(content.get("post_processor"))
    for step in _steps(post_processor):
        if "add_prefix_space" in step:  # else it takes that space for a character of the text
            step["add_prefix_space"] = prefix
    return {**content, "pre_tokenizer": pre_tokenizer, "post_processor": post_processor}


def _prepends(metaspace: Json) -> bool:
    old = "always" if metaspace.get("add_prefix_space", True) else "never"
    return metaspace.get("prepend_scheme", old) != "never"


def _steps(component: Json | None) -> Iterator[Json]:
    """The steps of a pre-tokenizer or post-processor, which may be a sequence of them."""
    if not isinstance(component, dict):
        return
    inner = component.get("pretokenizers", component.get("processors"))
    if isinstance(inner, list):
        for step in inner:
            yield from _steps(step)
    else:
        yield component
