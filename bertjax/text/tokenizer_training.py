"""Training a tokenizer: WordPiece by `tokenizers`, unigram and BPE by SentencePiece.

The same texts in the same order give the same tokenizer, byte for byte, in any process.
"""

from __future__ import annotations

import io
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import sentencepiece
import tokenizers
from sentencepiece import sentencepiece_model_pb2 as proto
from tokenizers import Regex, models, normalizers, pre_tokenizers, trainers

from bertjax.errors import UserError, nearest
from bertjax.text.sentencepiece_json import check_same_ids, engine_from_model
from bertjax.text.tokenizer import MAX_VOCABULARY, Tokenizer
from bertjax.text.tokenizer_files import wordpiece_engine
from bertjax.text.words import CJK, is_cjk

KINDS = ("wordpiece", "unigram", "bpe")
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")  # ids 0 to 4
CHARACTER_COVERAGE = 0.9995  # SentencePiece's default; rarer characters become [UNK]
MIN_PAIR_COUNT = 2  # a WordPiece merge seen once is not worth a piece
DELIMITER = "\t"  # no SentencePiece piece reaches across it; `normalizers.Nmt` leaves none in text
MAX_LINE = 4096  # characters; SentencePiece is quadratic in long repetitive lines, so they are cut
NO_TEXT = "no text to train a tokenizer on: every line is empty"
CHECKED_LINES = 1000  # of the training text, on top of the fixed probes


def train_tokenizer(
    kind: str,
    texts: Iterable[str],
    vocab_size: int,
    *,
    lowercase: bool = True,
    keep_accents: bool = False,
) -> Tokenizer:
    """Train a tokenizer of `kind` wordpiece, unigram or bpe on `texts`, which are held in memory.

    WordPiece normalizes as BERT does: `lowercase` also strips accents, and all other marks that
    combine with a letter, unless `keep_accents`. The other two apply NFKC and, with `lowercase`,
    lower-case. No piece joins CJK characters. WordPiece may end below `vocab_size` if the text
    runs out of repeated pairs. Raises `UserError` for an unknown kind, for no text and for a size
    that the text cannot give.
    """
    if kind not in KINDS:
        raise UserError(f"tokenizer kind {kind!r} is not known: {nearest(kind, KINDS)}")
    check_size(vocab_size)
    lines = list(texts)
    if kind == "wordpiece":
        strips = False if keep_accents else None  # None: as `lowercase` says
        normalizer = normalizers.BertNormalizer(lowercase=lowercase, strip_accents=strips)
        engine = _train_wordpiece(lines, vocab_size, normalizer)
    else:
        engine = _train_sentencepiece(kind, lines, vocab_size, lowercase)
    return Tokenizer(json.loads(engine.to_str()))


def check_size(vocab_size: int) -> None:
    """Raise `UserError` for a number of pieces that no vocabulary can have."""
    if not len(SPECIAL_TOKENS) < vocab_size <= MAX_VOCABULARY:
        raise UserError(
            f"a vocabulary of {vocab_size}: {len(SPECIAL_TOKENS)} pieces are the special tokens: "
            f"use {len(SPECIAL_TOKENS) + 1} to {MAX_VOCABULARY}"
        )


def share_of_marks(texts: Iterable[str]) -> float:
    """The share of characters, white space aside, that BERT strips as accents with `lowercase`."""
    strip = normalizers.BertNormalizer(
        clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False
    )
    characters = marks = 0
    for text in texts:
        if not text.isascii():
            text = unicodedata.normalize("NFD", text)
            marks += len(text) - len(strip.normalize_str(text))
        characters += sum(map(len, text.split()))
    return marks / characters if characters else 0.0


def _train_wordpiece(
    lines: list[str], vocab_size: int, normalizer: normalizers.Normalizer
) -> tokenizers.Tokenizer:
    alphabet, inner = _alphabet(normalizer.normalize_str(line) for line in lines)
    if not alphabet:
        raise UserError(NO_TEXT)
    # The trainer numbers the `##` characters in the order of a randomly seeded hash table and
    # breaks ties between merges by those numbers. Naming them beforehand fixes both.
    first = [*SPECIAL_TOKENS, *(f"##{c}" for c in inner)]
    needed = len(first) + len(alphabet)
    if vocab_size < needed:
        raise UserError(
            f"a vocabulary of {vocab_size} does not hold the characters of the text: "
            f"use at least {needed}"
        )
    trained = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    trained.normalizer = normalizer
    trained.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        min_frequency=MIN_PAIR_COUNT,
        special_tokens=first,
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        show_progress=False,
    )
    trained.train_from_iterator(lines, trainer, length=len(lines))
    # Only the vocabulary: in the trainer's own result every `##` character is a special token.
    return wordpiece_engine(trained.get_vocab(), normalizer)


def _alphabet(normalized: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the characters to keep, sorted, and those of them that can continue a word."""
    counts: Counter[str] = Counter()
    for text in normalized:
        counts.update(text)
    for character in [c for c in counts if c.isspace()]:
        del counts[character]
    allowed = counts.total() * (1 - CHARACTER_COVERAGE)
    kept = []
    for character, count in sorted(counts.items(), key=lambda item: (item[1], item[0])):
        allowed -= count
        if allowed < 0:
            kept.append(character)
    kept.sort()
    splitter = pre_tokenizers.BertPreTokenizer()
    joins = [c for c in kept if len(splitter.pre_tokenize_str(f"a{c}")) == 1 and not is_cjk(c)]
    return kept, joins


def _train_sentencepiece(
    kind: str, lines: list[str], vocab_size: int, lowercase: bool
) -> tokenizers.Tokenizer:
    before = _normalizer(lowercase)
    model = _sentencepiece_model(kind, lines, vocab_size, before)
    source = f"{kind} tokenizer"
    engine = engine_from_model(model, source, before)
    check_same_ids(engine, model, _checked_lines(lines), source, before)
    return engine


def _normalizer(lowercase: bool) -> normalizers.Normalizer:
    """Return what is done ahead of SentencePiece, which then leaves characters as they are.

    Its own tables, which do the same, are applied by `tokenizers` by grapheme and not always alike.
    """
    steps = [
        # Nmt removes control characters; a text that lost its first one would get no "▁".
        normalizers.Replace(Regex(r"\A[\x01-\x08\x0b\x0e-\x1f\x7f\x{8f}\x{9f}]+"), " "),
        normalizers.Nmt(),
        normalizers.NFKC(),
    ]
    return normalizers.Sequence([*steps, normalizers.Lowercase()] if lowercase else steps)


def _checked_lines(lines: list[str]) -> Iterator[str]:
    """Yield training text that SentencePiece and `tokenizers` must agree on."""
    for line in islice(lines, CHECKED_LINES):
        # A special token spelled out is plain letters to one and a special token to the other.
        spelled = unicodedata.normalize("NFKC", line)
        if not any(token in spelled for token in SPECIAL_TOKENS):
            yield line[:MAX_LINE]


def _sentencepiece_model(
    kind: str, lines: list[str], vocab_size: int, before: normalizers.Normalizer
) -> bytes:
    """Train on normalized lines and return the model, which expects such lines."""
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=_delimited(lines, before),
            model_writer=model,
            model_type=kind,
            vocab_size=vocab_size,
            character_coverage=CHARACTER_COVERAGE,
            normalization_rule_name="identity",
            pretokenization_delimiter=DELIMITER,
            required_chars="▁",  # however rare: it keeps unknown words apart
            max_sentence_length=8 * MAX_LINE,  # in bytes; longer lines would be dropped
            **_special_arguments(),
            minloglevel=2,
        )
    except RuntimeError as error:
        raise UserError(_training_failure(str(error), kind, vocab_size)) from None
    return _round_scores(model.getvalue())


def _round_scores(model: bytes) -> bytes:
    """Round unigram scores to 1/1024, so that sums of them are exact in float32.

    Otherwise "0000" + "0" and "0" + "0000" tie but for a rounding error, which differs between
    SentencePiece and `tokenizers`.
    """
    parsed = proto.ModelProto.FromString(model)
    for piece in parsed.pieces:
        piece.score = round(piece.score * 1024) / 1024
    return parsed.SerializeToString()


def _delimited(lines: Iterable[str], before: normalizers.Normalizer) -> Iterator[str]:
    """Yield normalized lines with every CJK character set apart, so that it stays one piece."""
    for line in lines:
        text = before.normalize_str(line)
        for start in range(0, len(text), MAX_LINE):
            part = text[start : start + MAX_LINE]
            yield CJK.sub(rf"{DELIMITER}\g<0>{DELIMITER}", part)


def _special_arguments() -> dict[str, Any]:
    pad, unk, cls, sep, mask = SPECIAL_TOKENS
    return {
        "pad_id": 0,
        "unk_id": 1,
        "bos_id": 2,
        "eos_id": 3,
        "pad_piece": pad,
        "unk_piece": unk,
        "bos_piece": cls,
        "eos_piece": sep,
        "control_symbols": [mask],  # these follow the four above
    }


def _training_failure(message: str, kind: str, vocab_size: int) -> str:
    """Turn SentencePiece's text, a C++ condition included, into one line."""
    if match := re.search(r"too high .* value <= (\d+)", message):
        return (
            f"a {kind} vocabulary of {vocab_size}: this text gives at most {match[1]} pieces: "
            f"use {match[1]} or less, or more text"
        )
    if "!sentences_.empty()" in message or "all_chars_count" in message:
        return NO_TEXT
    if match := re.search(r"required_chars\. \d+ vs (\d+)", message):
        return (
            f"a vocabulary of {vocab_size} does not hold the characters of the text: "
            f"use at least {match[1]}"
        )
    return f"SentencePiece cannot train a {kind} tokenizer: {' '.join(message.split())[:200]}"
