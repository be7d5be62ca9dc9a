"""What a tokenizer's post-processor puts around a text and between two: one place for all rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import tokenizers
from tokenizers import processors

from bertjax.text.special import SpecialIds


@dataclass(frozen=True)
class Framing:
    """A row is [CLS] text [SEP], or [CLS] first [SEP] second [SEP].

    RoBERTa's has two separators in the middle, and token type 0 throughout.
    """

    cls: int
    sep: int
    separators: int = 1  # between the texts of a pair
    second_type: int = 1  # token type of the second text and of the [SEP] after it

    def special_tokens(self, texts: int) -> int:
        """How many places of a row of one text, or of two, are not the texts'."""
        return 2 if texts == 1 else 2 + self.separators

    def row(
        self, first: Sequence[int], second: Sequence[int] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Tokens and token types, int32, of the row of one text's ids, or of two."""
        tokens = [self.cls, *first, self.sep]
        types = [0] * len(tokens)
        if second is not None:
            tokens += [*[self.sep] * (self.separators - 1), *second, self.sep]
            types += [0] * (self.separators - 1) + [self.second_type] * (len(second) + 1)
        return np.array(tokens, np.int32), np.array(types, np.int32)


def framing_of(engine: tokenizers.Tokenizer, special: SpecialIds) -> Framing | None:
    """Read the framing off rows that `engine` makes; None if they have another form."""
    cls, sep = special.cls, special.sep
    if engine.encode("").ids != [cls, sep]:
        return None
    text = next((text for text in _probes(engine) if _body(engine, text)), None)
    if text is None:
        return None
    body, pair = _body(engine, text), engine.encode(text, text)
    separators = len(pair.ids) - 2 * len(body) - 2
    framing = Framing(cls, sep, separators, pair.type_ids[-1])
    tokens, types = framing.row(body, body)
    same = pair.ids == tokens.tolist() and pair.type_ids == types.tolist()
    return framing if separators >= 1 and same else None


def _probes(engine: tokenizers.Tokenizer) -> Iterable[str]:
    """Texts one of which has tokens in any vocabulary."""
    yield from ("a", "1", ".")
    yield from (engine.decode([id]) for id in range(engine.get_vocab_size()))


def _body(engine: tokenizers.Tokenizer, text: str) -> list[int]:
    return engine.encode(text, add_special_tokens=False).ids


def frame_engine(engine: tokenizers.Tokenizer, framing: Framing) -> None:
    """Give `engine` a post-processor that makes the rows of `framing`."""
    cls, sep = engine.id_to_token(framing.cls), engine.id_to_token(framing.sep)
    between = " ".join([f"{sep}:0"] * framing.separators)
    second = framing.second_type
    engine.post_processor = processors.TemplateProcessing(
        single=f"{cls}:0 $A:0 {sep}:0",
        pair=f"{cls}:0 $A:0 {between} $B:{second} {sep}:{second}",
        special_tokens=[(cls, framing.cls), (sep, framing.sep)],
    )
