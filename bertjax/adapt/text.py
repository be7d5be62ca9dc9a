"""The text of a domain, read once: what it is, and its words."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

from bertjax.errors import UserError
from bertjax.text.account import Account
from bertjax.text.chunks import SKIP_HINT, documents
from bertjax.text.new_words import LEAST, NewWord
from bertjax.text.sources import Source, without_text
from bertjax.text.tokenizer import Tokenizer


def fingerprint(sources: Sequence[Source], skip_bad: bool) -> str:
    """SHA-256 of the documents in their order, whatever files they are in."""
    return read(sources, skip_bad, None)[0]


def read(
    sources: Sequence[Source], skip_bad: bool, tokenizer: Tokenizer | None
) -> tuple[str, Counter[str]]:
    """The fingerprint of a text, and with a tokenizer how often each word occurs.

    Raises:
        UserError: there is no text, or a document cannot be read and may not be left out.
    """
    account = Account(skip_bad, SKIP_HINT)  # for now: the build counts them again
    digest, counts, empty = hashlib.sha256(), Counter[str](), True
    for source in sources:
        for chunk in source.chunks(account):
            for text in documents(chunk, account):
                empty = False
                digest.update(hashlib.sha256(text.encode()).digest())
                if tokenizer is not None:
                    counts.update(tokenizer.words_of(text))
    if empty:
        raise without_text(sources, account)
    return digest.hexdigest(), counts


def choose_words(tokenizer: Tokenizer, counts: Counter[str], add: int) -> list[NewWord]:
    """The `add` words that cost the text most pieces; UserError if it has not so many."""
    found = tokenizer.costly_words(counts)
    if len(found) < add:
        raise UserError(
            f"vocabulary.add={add}: the text has {len(found):,} words of several pieces that occur "
            f"at least {LEAST} times: add at most so many, or give more text"
        )
    return found[:add]
