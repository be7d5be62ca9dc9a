"""Every tokenizer is a `tokenizer.json` run by the `tokenizers` library.

A WordPiece `vocab.txt` and a SentencePiece `.model` are turned into one on loading, so the file
that makes a corpus is the file that a run keeps and an export ships.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import processors

from bertjax.errors import UserError
from bertjax.text import words
from bertjax.text.sentencepiece_json import PROBES, engine_from_model
from bertjax.text.special import SpecialIds
from bertjax.text.tokenizer_files import (
    engine_from_vocabulary,
    one_line,
    parse_json,
    read_bytes,
)

MAX_VOCABULARY = 1 << 22  # as `ModelConfig.vocab_size`

# What a special token may be called, BERT's name first, RoBERTa's second.
SPECIAL_NAMES = {
    "pad": ("[PAD]", "<pad>"),
    "unk": ("[UNK]", "<unk>"),
    "cls": ("[CLS]", "<s>"),
    "sep": ("[SEP]", "</s>"),
    "mask": ("[MASK]", "<mask>"),
}


class Tokenizer:
    """Text to ids and back.

    `special` holds the ids of the special tokens, `vocab_size` is V, `starts_word` (bool [V])
    says which ids begin a word, and `fingerprint` is the SHA-256 of the canonical
    `tokenizer.json`: equal fingerprints mean equal ids for any text.
    """

    def __init__(self, content: dict[str, Any], source: str = "tokenizer"):
        """Take the parsed `tokenizer.json`; `source` names it in a `UserError`."""
        content = {**content, "truncation": None, "padding": None}
        _check_content(content, source)
        with _one_line_errors(source):
            self._engine = tokenizers.Tokenizer.from_str(json.dumps(content))
        pieces = _pieces(self._engine, source)
        self.vocab_size = len(pieces)
        self.special = _special_ids(self._engine, source)
        with _one_line_errors(source):
            self._content = _with_special_tokens(self._engine, content, self.special)
            self._engine.encode_batch(list(PROBES))  # some damage shows only in use
        self.fingerprint = hashlib.sha256(self._canonical().encode()).hexdigest()
        added = self._engine.get_added_tokens_decoder()
        self.starts_word = words.word_starts_table(pieces, _word_mark(content, source), added)

    def encode_batch(self, texts: Sequence[str], *, parse_special: bool = False) -> list[list[int]]:
        """Return the ids of each text, without [CLS] and [SEP] around it.

        A special token spelled out in a text is text, as in google-research/bert, so that no
        document can put a separator or a mask into its row; `parse_special` makes it the token,
        as in Hugging Face. Raises `UserError` for a text with half a surrogate pair in it.
        """
        self._engine.encode_special_tokens = not parse_special
        try:
            encoded = self._engine.encode_batch_fast(list(texts), add_special_tokens=False)
        except TypeError:
            _refuse_surrogates(texts)
            raise
        return [encoding.ids for encoding in encoded]

    def encode_with_offsets(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Return the ids, as `encode_batch` does, and the characters [start, end) of each."""
        self._engine.encode_special_tokens = True
        try:
            encoding = self._engine.encode(text, add_special_tokens=False)
        except TypeError:
            _refuse_surrogates([text])
            raise
        return encoding.ids, encoding.offsets

    def decode(self, ids: Sequence[int]) -> str:
        """Return readable text, special tokens included."""
        return self._engine.decode(list(ids), skip_special_tokens=False)

    def token(self, id: int) -> str:
        """Return the piece with this id, marks included; empty for an id that is not used."""
        return self._engine.id_to_token(id) or ""

    def id(self, token: str) -> int | None:
        """Return the id of a piece, or None."""
        return self._engine.token_to_id(token)

    def save(self, directory: Path, model_max_length: int = 512) -> None:
        """Write `tokenizer.json` and Hugging Face's `tokenizer_config.json` into `directory`.

        `model_max_length` is the longest row, special tokens included, of the model beside it.
        """
        config = {
            # The class that runs a tokenizer.json as it is; a BERT or RoBERTa class rebuilds it.
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": model_max_length,
            "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
            "clean_up_tokenization_spaces": False,
            **{f"{role}_token": self.token(i) for role, i in vars(self.special).items()},
        }
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "tokenizer.json").write_text(self._canonical(), encoding="utf-8")
        (directory / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")

    def _canonical(self) -> str:
        return json.dumps(self._content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def load_tokenizer(path: str | Path) -> Tokenizer:
    """Load a `tokenizer.json`, a WordPiece `vocab.txt` or a SentencePiece `.model`.

    `path` is such a file or a directory that holds one; `tokenizer.json` is preferred. Raises
    `UserError` for anything that is damaged, oversized or lacks a special token.
    """
    path = _find_file(Path(path))
    if path.suffix not in (".json", ".txt", ".model"):
        raise UserError(
            f"{path}: not a tokenizer: give a tokenizer.json, a vocab.txt or a SentencePiece "
            ".model (pickled files are never opened)"
        )
    data = read_bytes(path)
    if path.suffix == ".json":
        return Tokenizer(parse_json(path, data), str(path))
    if path.suffix == ".txt":
        engine = engine_from_vocabulary(path, data)
    else:
        engine = engine_from_model(data, str(path))
    return Tokenizer(json.loads(engine.to_str()), str(path))


def _find_file(path: Path) -> Path:
    if not path.exists():
        raise UserError(f"{path}: no such tokenizer: give a file or a directory that exists")
    if not path.is_dir():
        return path
    candidates = [path / "tokenizer.json", path / "vocab.txt", *sorted(path.glob("*.model"))]
    for candidate in candidates:
        if candidate.exists():
            return candidate
    raise UserError(f"{path}: holds no tokenizer.json, vocab.txt or .model: give one of them")


def _check_content(content: dict[str, Any], source: str) -> None:
    """Refuse what is no tokenizer, and a hostile size, before the library sees it."""
    model = content.get("model")
    if not isinstance(model, dict) or not isinstance(model.get("vocab"), (dict, list)):
        raise UserError(
            f"{source}: no model with a vocabulary in it: give the tokenizer.json that the "
            "tokenizers library writes"
        )
    size = len(model["vocab"])
    if size > MAX_VOCABULARY:
        raise UserError(f"{source}: {size:,} pieces: the limit is {MAX_VOCABULARY:,}")


@contextmanager
def _one_line_errors(source: str) -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic in Rust is no Exception
        raise UserError(
            f"{source}: the tokenizers library {tokenizers.__version__} refuses it "
            f"({one_line(error)}): save it again with a current version"
        ) from None


def _pieces(engine: tokenizers.Tokenizer, source: str) -> list[str]:
    """Return the piece of every id below V; empty for ids that are left out."""
    vocabulary = engine.get_vocab(with_added_tokens=True)
    size = max(vocabulary.values(), default=-1) + 1
    if size > MAX_VOCABULARY:
        raise UserError(f"{source}: an id of {size - 1:,}: the limit is {MAX_VOCABULARY - 1:,}")
    pieces = [""] * size
    for piece, i in vocabulary.items():
        pieces[i] = piece
    return pieces


def _special_ids(engine: tokenizers.Tokenizer, source: str) -> SpecialIds:
    found, missing = {}, []
    for role, names in SPECIAL_NAMES.items():
        ids = [i for name in names if (i := engine.token_to_id(name)) is not None]
        if ids:
            found[role] = ids[0]
        else:
            missing.append(" or ".join(names))
    if missing:
        raise UserError(
            f"{source}: no {', no '.join(missing)} among its {engine.get_vocab_size()} pieces: "
            "pretraining needs all five special tokens; add them to the vocabulary"
        )
    return SpecialIds(**found)


def _with_special_tokens(
    engine: tokenizers.Tokenizer, content: dict[str, Any], special: SpecialIds
) -> dict[str, Any]:
    """Make `engine` treat the special tokens as such and frame rows with [CLS] and [SEP].

    Returns `content` with what had to be added; a complete tokenizer comes back unchanged.
    """
    known = engine.get_added_tokens_decoder()
    missing = [engine.id_to_token(i) for i in vars(special).values() if i not in known]
    if missing:
        engine.add_special_tokens(missing)
    framed = engine.encode("").ids == [special.cls, special.sep]
    if not framed:
        cls, sep = engine.id_to_token(special.cls), engine.id_to_token(special.sep)
        engine.post_processor = processors.TemplateProcessing(
            single=f"{cls}:0 $A:0 {sep}:0",
            pair=f"{cls}:0 $A:0 {sep}:0 $B:1 {sep}:1",
            special_tokens=[(cls, special.cls), (sep, special.sep)],
        )
    if framed and not missing:
        return content
    changed = json.loads(engine.to_str())
    return {**content, **{key: changed[key] for key in ("added_tokens", "post_processor")}}


def _word_mark(content: dict[str, Any], source: str) -> str:
    model = content["model"]
    kind = model.get("type")
    if kind == "WordPiece" and model.get("continuing_subword_prefix") == words.WORDPIECE:
        return words.WORDPIECE
    if kind == "BPE" and '"ByteLevel"' in json.dumps(content.get("pre_tokenizer")):
        return words.BYTE_LEVEL
    if kind in ("Unigram", "BPE") and '"Metaspace"' in json.dumps(content.get("pre_tokenizer")):
        return words.METASPACE
    raise UserError(
        f"{source}: a {kind} model that does not mark words by ##, ▁ or Ġ: use WordPiece, or "
        "Unigram or BPE with a Metaspace or ByteLevel pre-tokenizer"
    )


def _refuse_surrogates(texts: Sequence[str]) -> None:
    """Raise `UserError` for what Python makes of a command line that is not UTF-8."""
    for text in texts:
        if found := re.search("[\ud800-\udfff]", text):
            raise UserError(
                f"the text {text[:60]!r} is not Unicode: character {found.start() + 1} is half a "
                "surrogate pair: give it as UTF-8"
            ) from None
