"""Sentences of an evaluation file that stand in a text as well."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bertjax.errors import UserError
from bertjax.text.account import Account
from bertjax.text.chunks import SKIP_HINT, documents
from bertjax.text.sentences import language_of, split_sentences
from bertjax.text.sources import Source, find_sources

_FEWEST_WORDS = 4  # shorter sentences are in any large text, and say nothing
_SHOWN = 60  # characters


def read_probes(probes: str, language: str) -> dict[str, None]:
    """The sentences of the file `probes`, in its order, as `describe_overlap` compares them.

    `probes` is a file with a text a line, or `FILE:FIELD` for one of another layout.

    Raises:
        UserError: the file cannot be read, or holds no sentence of a few words.
    """
    name, _, field = (probes, "", "text") if Path(probes).exists() else probes.rpartition(":")
    if not name:
        name, field = probes, "text"
    wanted = dict.fromkeys(_sentences(find_sources([name], field, True), language, False))
    if not wanted:
        raise UserError(
            f"--probes {probes}: no sentence of {_FEWEST_WORDS} words or more: give a file with a "
            "text a line, or FILE:FIELD"
        )
    return wanted


def describe_overlap(
    probes: str, wanted: dict[str, None], sources: list[Source], language: str, skip_bad: bool
) -> str:
    """Say how many sentences of the file `probes`, which are `wanted`, are sentences of the text.

    Sentences are compared without regard to case and white space.
    """
    found = dict.fromkeys(s for s in _sentences(sources, language, skip_bad) if s in wanted)
    said = f"{len(found):,} of {len(wanted):,} sentences of {probes} are in the text"
    if not found:
        return said
    first = next(iter(found))
    return f"{said}, such as {first[:_SHOWN]!r}: leave their documents out before measuring on them"


def _sentences(sources: list[Source], language: str, skip_bad: bool) -> Iterator[str]:
    account = Account(skip_bad, SKIP_HINT)
    for source in sources:
        for chunk in source.chunks(account):
            for text in documents(chunk, account):
                spoken = language_of(text) if language == "auto" else language
                for sentence in split_sentences(text, spoken):
                    words = sentence.casefold().split()
                    if len(words) >= _FEWEST_WORDS or not sentence.isascii():
                        yield " ".join(words)
