"""One engine for every tokenizer: whatever it was made as, it runs as a `tokenizer.json`.

So the corpus, the run and the Hugging Face export hold the same file, and one fingerprint names it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

from bertjax.errors import UserError
from bertjax.text.special import SpecialIds
from bertjax.text.words import word_starts_table

# BERT's names and RoBERTa's.
SPECIAL_NAMES = {
    "pad": ("[PAD]", "<pad>"),
    "unk": ("[UNK]", "<unk>"),
    "cls": ("[CLS]", "<s>"),
    "sep": ("[SEP]", "</s>"),
    "mask": ("[MASK]", "<mask>"),
}
BERT_SPECIALS = [names[0] for names in SPECIAL_NAMES.values()]

MAX_FILE_BYTES = 64 << 20
MAX_VOCABULARY = 1 << 22


class Tokenizer:
    """A tokenizer with the five special tokens, a fingerprint and a table of word starts."""

    def __init__(self, engine: tokenizers.Tokenizer):
        """Wrap an engine; UserError if a special token is missing."""
        engine.no_padding()
        engine.no_truncation()
        self._engine = engine
        self.vocab_size: int = engine.get_vocab_size(with_added_tokens=True)
        self.special = _special_ids(engine)
        pieces = [engine.id_to_token(i) or "" for i in range(self.vocab_size)]
        special = {getattr(self.special, name) for name in SPECIAL_NAMES}
        self.starts_word: np.ndarray = word_starts_table(pieces, special)  # bool [V]
        # Canonical: the same for any order of keys, spacing or escaping in the file.
        content = json.loads(engine.to_str())
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        self.fingerprint: str = hashlib.sha256(canonical.encode()).hexdigest()

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text, without [CLS] and [SEP]."""
        encodings = self._engine.encode_batch_fast(list(texts), add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    def encode_with_offsets(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Ids and the characters [start, end) of `text` that each stands for."""
        encoding = self._engine.encode(text, add_special_tokens=False)
        return encoding.ids, encoding.offsets

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids, special tokens included."""
        return self._engine.decode(list(ids), skip_special_tokens=False)

    def token(self, token_id: int) -> str:
        """The piece of an id; UserError past the vocabulary."""
        piece = self._engine.id_to_token(token_id)
        if piece is None:
            raise UserError(f"token id {token_id} is not in 0 to {self.vocab_size - 1}")
        return piece

    def id(self, piece: str) -> int | None:
        """The id of a piece, or None."""
        return self._engine.token_to_id(piece)

    def save(self, directory: Path | str, model_max_length: int = 512) -> None:
        """Write `tokenizer.json` and the `tokenizer_config.json` that Hugging Face reads."""
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "tokenizer.json").write_text(
            self._engine.to_str(pretty=True) + "\n", encoding="utf-8"
        )
        config = {
            "backend": "tokenizers",
            "model_max_length": model_max_length,
            # Any other class would rebuild the pipeline in its own way instead of reading it.
            "tokenizer_class": "PreTrainedTokenizerFast",
        } | {f"{n}_token": self.token(getattr(self.special, n)) for n in SPECIAL_NAMES}
        (directory / "tokenizer_config.json").write_text(
            json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )


def _special_ids(engine: tokenizers.Tokenizer) -> SpecialIds:
    found, missing = {}, []
    for name, choices in SPECIAL_NAMES.items():
        ids = [i for i in map(engine.token_to_id, choices) if i is not None]
        if ids:
            found[name] = ids[0]
        else:
            missing.append(" or ".join(choices))
    if missing:
        raise UserError(
            f"the tokenizer has no {', no '.join(missing)} among its "
            f"{engine.get_vocab_size()} pieces: bertjax needs all five special tokens, so train "
            "one with --tokenizer wordpiece, unigram or bpe, or add them"
        )
    return SpecialIds(**found)


def load_tokenizer(path: str | Path) -> Tokenizer:
    """Load a tokenizer file, or the directory that holds one.

    Takes `tokenizer.json` (preferred in a directory), a BERT `vocab.txt`, or a SentencePiece
    `.model`, which is converted. A `vocab.txt` lower-cases as the `tokenizer_config.json` beside
    it says (`do_lower_case`), else unless a piece has a capital letter.

    Raises:
        UserError: no such file, one of another kind, damaged, too large, or without the five
            special tokens.
    """
    path = Path(path)
    if path.is_dir():
        path = _file_in(path)
    elif not path.exists():
        raise UserError(f"{path}: no such tokenizer file or directory")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise UserError(
            f"{path} has {path.stat().st_size:,} bytes, the limit is {MAX_FILE_BYTES:,}: this is "
            "no tokenizer of a usual size"
        )
    if path.suffix == ".json":
        return _named(path, _load_json(path))
    if path.suffix == ".txt":
        return _named(path, _load_vocab(path))
    if path.suffix == ".model":
        from bertjax.text.sentencepiece_json import convert_sentencepiece

        return _named(path, convert_sentencepiece(path.read_bytes(), str(path)))
    raise UserError(
        f"{path} is no tokenizer file: give a tokenizer.json, a vocab.txt, a SentencePiece .model "
        "or a directory that holds one"
    )


def _file_in(directory: Path) -> Path:
    models_here = sorted(directory.glob("*.model"))
    for candidate in (directory / "tokenizer.json", directory / "vocab.txt", *models_here):
        if candidate.exists():
            return candidate
    raise UserError(f"{directory} holds no tokenizer.json, vocab.txt or .model file")


def _named(path: Path, engine: tokenizers.Tokenizer) -> Tokenizer:
    size = engine.get_vocab_size()
    if size > MAX_VOCABULARY:
        raise UserError(f"{path} has {size:,} pieces, the limit is {MAX_VOCABULARY:,}")
    try:
        return Tokenizer(engine)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path} is not UTF-8 (byte {error.start}): save it as UTF-8, or give the right file"
        ) from None


def _load_json(path: Path) -> tokenizers.Tokenizer:
    try:
        return tokenizers.Tokenizer.from_str(_read_text(path))
    except UserError:
        raise
    except Exception as error:  # the engine has no exception type of its own
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path} is not a valid tokenizer.json ({reason})") from None


def _load_vocab(path: Path) -> tokenizers.Tokenizer:
    pieces = _read_text(path).split("\n")
    if pieces and not pieces[-1]:
        pieces.pop()
    pieces = [piece.rstrip("\r") for piece in pieces]
    vocab: dict[str, int] = {}
    for line, piece in enumerate(pieces):
        if piece in vocab:
            raise UserError(
                f"{path} has {piece!r} on lines {vocab[piece] + 1} and {line + 1}: every piece "
                "must be there once, because its line is its id"
            )
        vocab[piece] = line
    if len(vocab) <= len(BERT_SPECIALS):
        raise UserError(
            f"{path} has {len(vocab)} pieces: a vocabulary needs the {len(BERT_SPECIALS)} special "
            "tokens and at least one piece besides"
        )
    return wordpiece_engine(models.WordPiece(vocab, unk_token="[UNK]"), _lowercases(path, pieces))


def _lowercases(path: Path, pieces: list[str]) -> bool:
    config = path.with_name("tokenizer_config.json")
    if config.exists():
        try:
            content = json.loads(_read_text(config))
        except ValueError as error:
            raise UserError(f"{config} is not valid JSON ({error})") from None
        if isinstance(content, dict) and isinstance(content.get("do_lower_case"), bool):
            return content["do_lower_case"]
    plain = (p for p in pieces if not (p.startswith("[") and p.endswith("]")))
    return not any("A" <= char <= "Z" for piece in plain for char in piece)


def wordpiece_engine(model: models.WordPiece, lowercase: bool) -> tokenizers.Tokenizer:
    """BERT's pipeline around a WordPiece model (google-research/bert tokenization.py)."""
    engine = tokenizers.Tokenizer(model)
    engine.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    engine.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    engine.decoder = decoders.WordPiece()
    add_bert_specials(engine)
    return engine


def add_bert_specials(engine: tokenizers.Tokenizer) -> None:
    """Register the special tokens, and `[CLS] A [SEP] B [SEP]` with token types 0 and 1."""
    present = [name for name in BERT_SPECIALS if engine.token_to_id(name) is not None]
    engine.add_special_tokens(present)
    if "[CLS]" in present and "[SEP]" in present:
        engine.post_processor = processors.TemplateProcessing(
            single="[CLS]:0 $A:0 [SEP]:0",
            pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
            special_tokens=[(name, engine.token_to_id(name)) for name in ("[CLS]", "[SEP]")],
        )
