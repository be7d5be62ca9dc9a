"""Every tokenizer is a `tokenizer.json` run by the `tokenizers` library.

A `vocab.txt`, a `vocab.json` with merges and a SentencePiece `.model` are turned into one on
loading, with all that the files beside them say. So the file that makes a corpus and the rows of a
task is the file that a run keeps and an export ships.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import tokenizers

from bertjax.errors import UserError
from bertjax.text import words
from bertjax.text.companions import Companions, read_companions
from bertjax.text.framing import Framing, frame_engine, framing_of
from bertjax.text.new_words import NewWord, costly_words, with_words, words_of
from bertjax.text.sentencepiece_json import PROBES, engine_from_model
from bertjax.text.special import SpecialIds
from bertjax.text.tokenizer_files import (
    engine_from_merges,
    engine_from_vocabulary,
    find_file,
    one_line,
    parse_json,
    read_bytes,
)
from bertjax.text.word_prefix import for_words, word_mark

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

    `special` holds the ids of the special tokens, `framing` how rows are made with them,
    `vocab_size` is V, and `fingerprint` is the SHA-256 of the canonical `tokenizer.json`: equal
    fingerprints mean equal ids for any text. `mark` is how the vocabulary marks words: by `##`
    inside them, or by `▁` or `Ġ` for the space before them. Of the ids, `starts_word` (bool [V])
    says which begin a word, and `white` (bool [V]) which are white space or the mark alone.
    """

    def __init__(
        self,
        content: dict[str, Any],
        source: str = "tokenizer",
        companions: Companions = Companions(),  # noqa: B008 - frozen
    ):
        """Take the parsed `tokenizer.json`; `source` names it in a `UserError`."""
        content = companions.switch({**content, "truncation": None, "padding": None})
        _check_content(content, source)
        if content["model"].get("dropout"):  # BPE-dropout: other ids at each call
            content["model"] = content["model"] | {"dropout": None}
        with _one_line_errors(source):
            self._engine = tokenizers.Tokenizer.from_str(json.dumps(content))
            companions.check_case(self._engine, source)
            changed = companions.add_to(self._engine)
        pieces = _pieces(self._engine, source)
        self.vocab_size = len(pieces)
        self.special = _special_ids(self._engine, companions, source)
        with _one_line_errors(source):
            changed |= _add_special_tokens(self._engine, self.special)
            self.framing, framed = _frame(self._engine, self.special, companions.separators)
            self._content = content
            if changed or framed:
                made = json.loads(self._engine.to_str())
                self._content |= {key: made[key] for key in ("added_tokens", "post_processor")}
            self._engine.encode_batch(list(PROBES))  # some damage shows only in use
        self.fingerprint = hashlib.sha256(self._canonical().encode()).hexdigest()
        added = self._engine.get_added_tokens_decoder()
        self.mark = word_mark(content, source)
        self.starts_word = words.word_starts_table(pieces, self.mark, added)
        self.white = words.white_table(pieces, self.mark)

    def encode_batch(self, texts: Sequence[str], *, parse_special: bool = False) -> list[list[int]]:
        """Return the ids of each text, without [CLS] and [SEP] around it.

        With `parse_special` these are the ids that the exported tokenizer gives. Else, for corpora,
        one of the five special tokens that is spelled out in a text is text, as in
        google-research/bert, so that no document can put a separator or a mask into its row; other
        special tokens, such as markers of entities, are tokens in both. Raises `UserError` for a
        text with half a surrogate pair in it.
        """
        engine = self._engine_for(parse_special)
        try:
            encoded = engine.encode_batch_fast(list(texts), add_special_tokens=False)
        except TypeError:
            _refuse_surrogates(texts)
            raise
        return [encoding.ids for encoding in encoded]

    def encode_with_offsets(
        self, text: str, *, parse_special: bool = False
    ) -> tuple[list[int], list[tuple[int, int]]]:
        """Return the ids, as `encode_batch` does, and the characters [start, end) of each."""
        engine = self._engine_for(parse_special)
        try:
            encoding = engine.encode(text, add_special_tokens=False)
        except TypeError:
            _refuse_surrogates([text])
            raise
        return encoding.ids, encoding.offsets

    def for_words(self) -> Tokenizer:
        """This tokenizer for words given one by one: each is the word after a space.

        transformers' run_ner.py does so for RoBERTa. Itself where words do not tell whether a space
        precedes them, or it does so already.
        """
        content = for_words(self._content)
        return self if content is self._content else Tokenizer(content, companions=self._names())

    def words_of(self, text: str) -> list[str]:
        """The words of a text as `costly_words` counts them."""
        return words_of(self._engine, self.mark, text)

    def costly_words(self, counts: Counter[str]) -> list[NewWord]:
        """Words of several pieces, by how many they cost; `counts` are of `words_of` a text."""
        return costly_words(self._engine, self.mark, self.special.unk, counts)

    def with_words(self, words: Sequence[str]) -> Tokenizer:
        """This tokenizer with pieces for whole words, such as `costly_words` has, from id V on.

        Text without these words has the ids that it had. Raises `UserError` where that cannot be.
        """
        content = with_words(self._engine, self._content, self.mark, words, self.vocab_size)
        made = Tokenizer(content, companions=self._names())
        expected = [*map(self.token, range(self.vocab_size)), *words]
        if [made.token(i) for i in range(made.vocab_size)] != expected:
            raise UserError(
                f"the {self.vocab_size:,} ids of this tokenizer have holes, which the tokenizers "
                "library would fill with new words: leave vocabulary.add out"
            )
        return made

    @cached_property
    def separators(self) -> str:
        """The white space before which a text can be cut, and its parts give the ids of the whole.

        Found by trying, since what a pre-tokenizer joins is its own affair: some join a line feed
        to the stop before it.
        """
        added = self._engine.get_added_tokens_decoder().values()
        if any(token.rstrip or re.search(r"\S\s", token.content) for token in added):
            return ""

        def words_of(text: str) -> list[str]:
            if self._engine.normalizer is not None:
                text = self._engine.normalizer.normalize_str(text)
            return [word for word, _ in self._engine.pre_tokenizer.pre_tokenize_str(text)]

        return "".join(
            space
            for space in " \n"
            if all(
                words_of(left + space + right) == words_of(left) + words_of(space + right)
                for left in ("a", "Don't", "7", "end.", 'said."', "\u6211\u3002", "e\u0301")
                for right in ("B", '"Quote', "7", "\u6211", "...", " x", "\nx", "'s", "\t\t")
            )
        )

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
            **{f"{role}_token": name for role, name in self._names().names.items()},
        }
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "tokenizer.json").write_text(self._canonical(), encoding="utf-8")
        (directory / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")

    def _engine_for(self, parse_special: bool) -> tokenizers.Tokenizer:
        engine = self._engine if parse_special else self._corpus_engine
        engine.encode_special_tokens = not parse_special
        return engine

    @cached_property
    def _corpus_engine(self) -> tokenizers.Tokenizer:
        """The engine, or where it has special tokens besides the five, one that parses those."""
        five = vars(self.special).values()
        added = self._content["added_tokens"]
        if not any(token["special"] and token["id"] not in five for token in added):
            return self._engine
        plain = [token | {"special": token["special"] and token["id"] in five} for token in added]
        return tokenizers.Tokenizer.from_str(json.dumps(self._content | {"added_tokens": plain}))

    def _names(self) -> Companions:
        return Companions(names={role: self.token(i) for role, i in vars(self.special).items()})

    def _canonical(self) -> str:
        return json.dumps(self._content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def load_tokenizer(path: str | Path) -> Tokenizer:
    """Load a `tokenizer.json`, a WordPiece `vocab.txt`, a BPE's `vocab.json` or a `.model`.

    `path` is such a file or a directory that holds one; `tokenizer.json` is preferred. What the
    files beside it say is taken in (`bertjax.text.companions`). Raises `UserError` for anything
    that is damaged, oversized, contradicts another file or lacks a special token.
    """
    path = find_file(Path(path))
    if path.suffix not in (".json", ".txt", ".model"):
        raise UserError(
            f"{path}: not a tokenizer: give a tokenizer.json, a vocab.txt or a SentencePiece "
            ".model (pickled files are never opened)"
        )
    data = read_bytes(path)
    companions = read_companions(path)
    if path.suffix == ".model":
        engine = engine_from_model(data, str(path))
    elif path.suffix == ".txt":
        engine = engine_from_vocabulary(path, data)
    elif path.name == "vocab.json" and path.with_name("merges.txt").exists():
        engine = engine_from_merges(path, data)
    else:
        return Tokenizer(parse_json(path, data), str(path), companions)
    return Tokenizer(json.loads(engine.to_str()), str(path), companions)


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
    except UserError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise  # a panic in Rust is no Exception, and neither is an interruption
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


def _special_ids(engine: tokenizers.Tokenizer, companions: Companions, source: str) -> SpecialIds:
    found, missing = {}, []
    for role, usual in SPECIAL_NAMES.items():
        names = (companions.names[role], *usual) if role in companions.names else usual
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


def _add_special_tokens(engine: tokenizers.Tokenizer, special: SpecialIds) -> bool:
    """Make `engine` treat the special tokens as such; returns whether it did not."""
    known = engine.get_added_tokens_decoder()
    missing = [engine.id_to_token(i) for i in vars(special).values() if i not in known]
    if missing:
        engine.add_special_tokens(missing)
    return bool(missing)


def _frame(
    engine: tokenizers.Tokenizer, special: SpecialIds, separators: int
) -> tuple[Framing, bool]:
    """The framing of `engine`, and whether it had none and was given BERT's, or RoBERTa's."""
    found = framing_of(engine, special)
    if found is not None:
        return found, False
    given = Framing(special.cls, special.sep, separators, second_type=int(separators == 1))
    frame_engine(engine, given)
    return given, True


def _refuse_surrogates(texts: Sequence[str]) -> None:
    """Raise `UserError` for what Python makes of a command line that is not UTF-8."""
    for text in texts:
        if found := re.search("[\ud800-\udfff]", text):
            raise UserError(
                f"the text {text[:60]!r} is not Unicode: character {found.start() + 1} is half a "
                "surrogate pair: give it as UTF-8"
            ) from None
