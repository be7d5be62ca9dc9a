"""The five special tokens that every tokenizer here has."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SpecialIds:
    """Vocabulary ids of the special tokens; RoBERTa's `<s>` is `cls`, its `</s>` is `sep`."""

    pad: int
    unk: int
    cls: int
    sep: int
    mask: int
