"""Whole words as new pieces of a tokenizer, and which words of a text are worth one.

A new piece stands for a whole word and never for a part of one, so text without the new words keeps
its ids. How that is said depends on how a vocabulary marks words:

* `##` and `▁`: a token that is parsed before the model runs, between characters that are no
  letters or digits (`single_word`). Where `▁` marks words, the space before the word belongs to the
  token (`lstrip`), as with RoBERTa's `<mask>`, and a tokenizer that puts a `▁` before whatever
  follows a token (`prepend_scheme` of XLM-RoBERTa) does so here, too. An entry of the model would
  also begin longer words: WordPiece takes the longest piece first, and `electrode` would make
  `electrodes` of other pieces, or unknown.
* `Ġ`: an entry of the model, which is asked for whole words before it merges (`ignore_merges`, as
  Llama 3 has it). Spaces stay in the pieces, so that a document still decodes to itself.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import tokenizers
from tokenizers import decoders

from bertjax.errors import UserError
from bertjax.text.words import BYTE_LEVEL, WORDPIECE, is_cjk

Json = dict[str, Any]

LEAST = 2  # times that a word must occur: what is seen once cannot be learnt

_RUN = re.compile(r"[\w\u0300-\u036f]+")  # what `single_word` has for a word


class NewWord(NamedTuple):
    """A word that becomes a piece."""

    piece: str  # the word, with the `Ġ` before it
    times: int  # in the text
    old: tuple[int, ...]  # ids of the pieces that it had

    @property
    def saved(self) -> int:
        """Pieces that the text has fewer of."""
        return self.times * (len(self.old) - 1)


def words_of(engine: tokenizers.Tokenizer, mark: str, text: str) -> list[str]:
    """The words of a text that could become pieces, each as its piece would be spelled."""
    if engine.normalizer is not None:
        text = engine.normalizer.normalize_str(text)
    if mark == BYTE_LEVEL:
        return [word for word, _ in engine.pre_tokenizer.pre_tokenize_str(text)]
    return _RUN.findall(text)


def costly_words(
    engine: tokenizers.Tokenizer, mark: str, unknown: int, counts: Counter[str]
) -> list[NewWord]:
    """The words that have several pieces, those first that would save most.

    Words are letters alone. One of Chinese characters is not marked by spaces, so that nothing
    could say where it stands.

    Args:
        engine: the tokenizer.
        mark: how its vocabulary marks words.
        unknown: id of [UNK]; a word that has it is left out.
        counts: of `words_of` a text.
    """
    found = []
    for word, count in counts.items():
        if count < LEAST or not _is_word(word, mark) or engine.token_to_id(word) is not None:
            continue
        old = _pieces(engine, mark, word)
        if len(old) > 1 and unknown not in old:
            found.append(NewWord(word, count, old))
    return sorted(found, key=lambda word: (-word.saved, word.piece))


def _is_word(word: str, mark: str) -> bool:
    text = decoders.ByteLevel().decode([word]).removeprefix(" ") if mark == BYTE_LEVEL else word
    return all(unicodedata.category(char)[0] in "LM" and not is_cjk(char) for char in text)


def _pieces(engine: tokenizers.Tokenizer, mark: str, word: str) -> tuple[int, ...]:
    """The ids of a word after a space, or of a whole `Ġword`."""
    if mark == BYTE_LEVEL:
        return tuple(token.id for token in engine.model.tokenize(word))
    return tuple(engine.encode(f" {word}", add_special_tokens=False).ids)


def with_words(
    engine: tokenizers.Tokenizer, content: Json, mark: str, words: Sequence[str], first: int
) -> Json:
    """Return a `tokenizer.json` in which `words` are pieces with the ids from `first` on.

    `engine` is that of `content`. Raises `UserError` for a byte-level BPE with pieces that its
    merges do not make: asked for whole words first, the model would give them in old text.
    """
    ids = {word: first + i for i, word in enumerate(words)}
    if mark != BYTE_LEVEL:
        flags = {"lstrip": mark != WORDPIECE, "rstrip": False, "normalized": True}
        whole = {"single_word": True, "special": False, **flags}
        tokens = [{"id": i, "content": word, **whole} for word, i in ids.items()]
        return {**content, "added_tokens": [*content["added_tokens"], *tokens]}
    model = content["model"]
    if lost := _unreached(engine, model["vocab"]):
        raise UserError(
            f"the merges of this tokenizer do not make {len(lost):,} of its own pieces, such as "
            f"{lost[0]!r}, so that new words would change the ids of old ones: leave "
            "vocabulary.add out"
        )
    # Tokens of their own get ids after the model's, which has more now: the model keeps them.
    added = {token["content"]: token["id"] for token in content["added_tokens"]}
    vocabulary = added | model["vocab"] | ids
    return {**content, "model": {**model, "vocab": vocabulary, "ignore_merges": True}}


def _unreached(engine: tokenizers.Tokenizer, pieces: Iterable[str]) -> list[str]:
    """The pieces of a byte-level BPE that can be a whole word and that its merges do not make."""

    def is_word(piece: str) -> bool:
        text = decoders.ByteLevel().decode([piece])
        return [word for word, _ in engine.pre_tokenizer.pre_tokenize_str(text)] == [piece]

    return [
        piece
        for piece in pieces
        if piece and [token.value for token in engine.model.tokenize(piece)] != [piece]
        if is_word(piece)
    ]
