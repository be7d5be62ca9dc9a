"""A built corpus, opened for reading: flat arrays that hold every document end to end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bertjax.data import manifest
from bertjax.errors import UserError
from bertjax.text.framing import Framing
from bertjax.text.special import SpecialIds

# Flags of `Corpus.boundaries`, one bit a level, so that later levels cost no space.
WORD = 1  # a word starts at this token
SENTENCE = 2  # a sentence starts here
PHRASE = 4  # reserved: phrases (ERNIE)
ENTITY = 8  # reserved: entities (ERNIE)
BERT_PAIR = (1, 1)  # what a manifest means that says nothing of pairs


@dataclass(frozen=True, eq=False)
class Corpus:
    """One split of a corpus. Arrays are memory maps when it comes from disk.

    Offsets count tokens from the start of `tokens`; both offset arrays end with the total, so
    document i is `tokens[document_starts[i]:document_starts[i + 1]]`, and likewise sentences.
    Every document start is also a sentence start, and every sentence start a word start.
    """

    tokens: np.ndarray  # uint16 or uint32 [tokens]
    boundaries: np.ndarray  # uint8 [tokens], an OR of WORD, SENTENCE, ...
    document_starts: np.ndarray  # int64 [documents + 1]
    sentence_starts: np.ndarray  # int64 [sentences + 1]
    special: SpecialIds
    vocab_size: int
    fingerprint: str  # of the tokenizer
    identity: str  # SHA-256 of the manifest: names these exact bytes
    pair: tuple[int, int] = BERT_PAIR  # separators in the middle, token type of the second
    text_bytes: int = 0  # of the documents' text in UTF-8; 0: prepared before this was counted

    @property
    def framing(self) -> Framing:
        """How the tokenizer of the corpus makes rows."""
        return Framing(self.special.cls, self.special.sep, *self.pair)


_FEW_HELD_OUT = 20  # documents
_MANY_UNKNOWN = 0.05  # of the tokens


def few_held_out(documents: int) -> str:
    """Return what to say of a held-out split too small to measure by; else nothing."""
    if documents >= _FEW_HELD_OUT:
        return ""
    return (
        f"{documents} documents are held out: what is measured on them is mostly chance; prepare "
        "the text with a larger --held-out"
    )


def lone_sentences(documents: int, sentences: int) -> str:
    """Return what to say of documents that have no sentence to be paired with; else nothing."""
    if sentences > 1.1 * documents:
        return ""
    every, all_of = ("every", "all") if sentences == documents else ("nearly every", "nearly all")
    return (
        f"{every} document is one sentence, so {all_of} pairs of sentences have label 1, a random "
        "partner: train without pairs, data.format=full_sentences"
    )


def many_unknown(unknown: int, tokens: int, fix: str) -> str:
    """Return what to say of text that its tokenizer does not know; else nothing."""
    if unknown <= _MANY_UNKNOWN * tokens:
        return ""
    return (
        f"{unknown / tokens:.0%} of the tokens are unknown to the tokenizer, and nothing is learnt "
        f"of them: {fix}"
    )


def token_dtype(vocab_size: int) -> np.dtype:
    """Return the smallest of uint16 and uint32 that holds every id below `vocab_size`."""
    return np.dtype(np.uint16 if vocab_size <= 1 << 16 else np.uint32)


def open_corpus(path: Path | str, split: str, verify: bool = True) -> Corpus:
    """Open one split (`train` or `validation`) of a directory made by `bertjax prepare`.

    The sizes of all files are checked always; `verify` hashes the arrays of this split as well,
    about 1 GB/s, once for all processes of a run. Raises `UserError` naming the damaged file.
    """
    directory = Path(path)
    content, identity = manifest.read(directory)
    try:
        counts, special = content["splits"][split], SpecialIds(**content["special"])
        vocab_size, fingerprint = int(content["vocab_size"]), str(content["tokenizer"])
        separators, second_type = map(int, content.get("pair", BERT_PAIR))
        text_bytes = int(counts.get("text_bytes", 0))
        arrays = {
            "tokens": (token_dtype(vocab_size), int(counts["tokens"])),
            "boundaries": (np.dtype(np.uint8), int(counts["tokens"])),
            "document_starts": (np.dtype("<i8"), int(counts["documents"]) + 1),
            "sentence_starts": (np.dtype("<i8"), int(counts["sentences"]) + 1),
        }
    except (KeyError, TypeError, ValueError) as error:
        if split not in content.get("splits", {}):
            raise UserError(
                f"{directory}: no {split!r} split: build the corpus with --held-out above 0"
            ) from None
        raise UserError(
            f"{directory / manifest.NAME}: damaged ({error!r}): build the corpus again"
        ) from None
    if verify:
        manifest.verify(directory, content, flat_files(content, split))
    mapped = {
        name: _map(directory / "flat" / split, name, dtype, length)
        for name, (dtype, length) in arrays.items()
    }
    return Corpus(
        **mapped,
        special=special,
        vocab_size=vocab_size,
        fingerprint=fingerprint,
        identity=identity,
        pair=(separators, second_type),
        text_bytes=text_bytes,
    )


def flat_files(content: dict[str, Any], split: str) -> list[str]:
    """Return the names, in the manifest `content`, of the arrays of one split."""
    return [name for name in content["files"] if name.startswith(f"flat/{split}/")]


def _map(directory: Path, name: str, dtype: np.dtype, length: int) -> np.ndarray:
    """Map an array of known type and length, whether raw (.bin) or with a header (.npy)."""
    raw = directory / f"{name}.bin"
    path = raw if raw.exists() else directory / f"{name}.npy"
    try:
        mapped = np.memmap(raw, dtype, "r") if path is raw else np.load(path, mmap_mode="r")
    except Exception as error:  # of a damaged header, NumPy raises what reading Python raises
        raise UserError(f"{path}: damaged ({error}): build the corpus again") from None
    if mapped.shape != (length,) or mapped.dtype != dtype:
        raise UserError(
            f"{path}: {mapped.dtype}{list(mapped.shape)}, but the manifest counts "
            f"{dtype}[{length}]: build the corpus again"
        )
    return mapped


def verify_corpus(path: Path | str) -> None:
    """Hash every file of a corpus; `UserError` for the first that differs from its manifest."""
    directory = Path(path)
    content, _ = manifest.read(directory)
    manifest.verify(directory, content, content["files"])


def describe_corpus(path: Path | str) -> dict[str, Any]:
    """Return what the manifest says, with `identity` and the total of bytes for its files."""
    content, identity = manifest.read(Path(path))
    sizes = [entry["bytes"] for entry in content.pop("files").values()]
    return {**content, "bytes": sum(sizes), "identity": identity}
