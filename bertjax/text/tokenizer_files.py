"""The files of a tokenizer: `tokenizer.json`, `vocab.txt`, and `vocab.json` with its merges."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers

from bertjax.errors import UserError
from bertjax.text import words

MAX_FILE_BYTES = 64 << 20


def wordpiece_engine(
    vocabulary: dict[str, int], normalizer: normalizers.Normalizer
) -> tokenizers.Tokenizer:
    """Return BERT's pipeline (google-research/bert tokenization.py) over a vocabulary."""
    engine = tokenizers.Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    engine.normalizer = normalizer
    engine.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    engine.decoder = decoders.WordPiece(prefix=words.WORDPIECE)
    return engine


def read_bytes(path: Path) -> bytes:
    """Read a file of at most `MAX_FILE_BYTES`; UserError for any other."""
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise UserError(
                f"{path}: {size:,} bytes is too large for a tokenizer: the limit is "
                f"{MAX_FILE_BYTES:,}"
            )
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None


def find_file(path: Path) -> Path:
    """The file of a tokenizer at `path`, which is that or a directory; UserError if none is."""
    if not path.exists():
        raise UserError(f"{path}: no such tokenizer: give a file or a directory that exists")
    if not path.is_dir():
        return path
    for candidate in (*vocabularies(path), *sorted(path.glob("*.model"))):
        return candidate
    raise UserError(f"{path}: holds no tokenizer.json, vocab.txt or .model: give one of them")


def vocabularies(directory: Path) -> list[Path]:
    """The files in a directory that say by themselves which text has which ids, the best first."""
    found = [directory / name for name in ("tokenizer.json", "vocab.txt")]
    if (directory / "merges.txt").exists():
        found.append(directory / "vocab.json")
    return [file for file in found if file.exists()]


def _decode(path: Path, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")  # Windows editors put a byte order mark first
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: byte {error.start} is not UTF-8: save the file as UTF-8"
        ) from None


def parse_json(path: Path, data: bytes) -> dict[str, Any]:
    """Return the JSON object in `data`; UserError, naming `path`, for anything else."""
    try:
        content = json.loads(_decode(path, data))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid JSON ({one_line(error)}): copy it again") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: a {type(content).__name__}, not a JSON object: copy it again")
    return content


def engine_from_vocabulary(path: Path, data: bytes) -> tokenizers.Tokenizer:
    """Return BERT's pipeline over the `vocab.txt` in `data`, one piece a line.

    Case and accents are kept if a piece has a capital letter. Raises UserError for a blank line or
    a piece that is there twice.
    """
    lines = _decode(path, data).removesuffix("\n").split("\n")  # U+2028 is a piece, not a line
    pieces = [line.removesuffix("\r") for line in lines]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    for i, piece in enumerate(pieces):
        if not piece:
            raise UserError(f"{path}: line {i + 1} is blank: every line must hold one piece")
        if vocabulary[piece] != i:
            raise UserError(
                f"{path}: {piece!r} is on lines {i + 1} and {vocabulary[piece] + 1}: "
                "every piece may stand once"
            )
    plain = (piece for piece in pieces if not re.fullmatch(r"\[.*\]|<.*>", piece))
    cased = any(re.search("[A-Z]", piece) for piece in plain)
    return wordpiece_engine(vocabulary, normalizers.BertNormalizer(lowercase=not cased))


def engine_from_merges(path: Path, data: bytes) -> tokenizers.Tokenizer:
    """Return RoBERTa's byte-level BPE over the `vocab.json` in `data` and the merges beside it.

    Raises UserError for a line of `merges.txt` that is no pair, and for what BPE refuses.
    """
    merges_path = path.with_name("merges.txt")
    merges = []
    for number, line in enumerate(_decode(merges_path, read_bytes(merges_path)).split("\n"), 1):
        pair = tuple(line.removesuffix("\r").split(" "))
        if line.strip() and not line.startswith("#version"):
            if len(pair) != 2:
                raise UserError(f"{merges_path}: line {number} is no pair of pieces: copy it again")
            merges.append(pair)
    try:
        engine = tokenizers.Tokenizer(models.BPE(parse_json(path, data), merges))
    except Exception as error:  # the library raises nothing narrower
        raise UserError(
            f"{path}: no vocabulary of {merges_path.name} ({one_line(error)}): take both files "
            "from one model"
        ) from None
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    engine.decoder = decoders.ByteLevel()
    return engine


def one_line(error: BaseException) -> str:
    """What a library said, fit for a message of one line."""
    return " ".join(str(error).split())[:200]
