"""The files of a tokenizer: `tokenizer.json`, and a `vocab.txt` with Hugging Face's switches."""

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

    A `tokenizer_config.json` beside it says whether case and accents are kept, else the
    vocabulary does. Raises UserError for a blank line or a piece that is there twice.
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
    options = _bert_options(path.with_name("tokenizer_config.json"), pieces)
    return wordpiece_engine(vocabulary, normalizers.BertNormalizer(**options))


def _bert_options(config: Path, pieces: list[str]) -> dict[str, Any]:
    """Read Hugging Face's switches, or tell a cased vocabulary by its capital letters."""
    names = {
        "do_lower_case": "lowercase",
        "strip_accents": "strip_accents",
        "tokenize_chinese_chars": "handle_chinese_chars",
    }
    given = parse_json(config, read_bytes(config)) if config.exists() else {}
    options = {ours: given[name] for name, ours in names.items() if name in given}
    if "lowercase" not in options:
        plain = (p for p in pieces if not re.fullmatch(r"\[.*\]|<.*>", p))
        options["lowercase"] = not any(re.search("[A-Z]", p) for p in plain)
    return options


def one_line(error: BaseException) -> str:
    """What a library said, fit for a message of one line."""
    return " ".join(str(error).split())[:200]
