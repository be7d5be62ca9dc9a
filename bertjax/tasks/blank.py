"""Texts in which nothing is to be seen."""

from __future__ import annotations

from bertjax.tasks.label_values import visible


def is_blank(text: str) -> bool:
    """Whether a text has nothing but white space and characters without a width or a shape."""
    return not any(map(visible, text))


def is_no_word(word: str) -> bool:
    """Whether a word of a list has no characters to be seen; a space is one of Chinese text."""
    return is_blank(word) and not word.isspace()
