"""Train a tokenizer: WordPiece with `tokenizers`, unigram and BPE with `sentencepiece`."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator

import sentencepiece
import tokenizers
from tokenizers import models, trainers

from bertjax.errors import UserError, nearest
from bertjax.text.sentencepiece_json import convert_sentencepiece
from bertjax.text.tokenizer import BERT_SPECIALS, Tokenizer, wordpiece_engine
from bertjax.text.words import CJK_RANGES

KINDS = ("wordpiece", "unigram", "bpe")

_MAX_ALPHABET = 8000  # characters a WordPiece vocabulary may spend pieces on, twice each
_CHECK_LINES = 1000  # lines on which a SentencePiece model must give the same ids converted
_MAX_LINE_CHARS = 8192  # longer lines are cut for training only; SentencePiece would drop them

# A character that no text has, between CJK characters: SentencePiece lets no piece cross it.
_DELIMITER = "\ue0f0"
_CJK = re.compile("[" + "".join(f"{chr(a)}-{chr(b)}" for a, b in CJK_RANGES) + "]")


def train_tokenizer(
    kind: str, texts: Iterable[str], vocab_size: int, *, lowercase: bool = True
) -> Tokenizer:
    """Train a tokenizer of at most `vocab_size` pieces; the same texts give the same tokenizer.

    Args:
        kind: `wordpiece`, `unigram` or `bpe`.
        texts: sentences or paragraphs.
        vocab_size: pieces, with the five special tokens [PAD] [UNK] [CLS] [SEP] [MASK] at 0 to 4.
        lowercase: fold case (WordPiece also strips accents, as BERT uncased does).

    CJK characters become tokens of their own, as in BERT, whatever the kind.

    Raises:
        UserError: an unknown kind, a size out of range, or too little text for it.
    """
    if kind not in KINDS:
        raise UserError(f"tokenizer {kind!r} is not known: {nearest(kind, KINDS)}")
    least = len(BERT_SPECIALS) + 1
    if not least <= vocab_size <= 1 << 22:
        raise UserError(
            f"vocabulary of {vocab_size} pieces: use {least} (the special tokens and one piece) "
            f"to {1 << 22}"
        )
    if kind == "wordpiece":
        return _train_wordpiece(texts, vocab_size, lowercase)
    return _train_sentencepiece(kind, texts, vocab_size, lowercase)


def _train_wordpiece(texts: Iterable[str], vocab_size: int, lowercase: bool) -> Tokenizer:
    engine = wordpiece_engine(models.WordPiece(unk_token="[UNK]"), lowercase)
    texts = list(texts)
    alphabet = _alphabet(engine, texts, min(_MAX_ALPHABET, (vocab_size - len(BERT_SPECIALS)) // 2))
    if not alphabet:
        raise UserError("the text to train a tokenizer on holds no characters: give more text")
    # The trainer numbers `##` characters in the order of a hash table, which changes from run to
    # run and decides ties; naming them beforehand as special tokens fixes their numbers.
    characters = alphabet + [f"##{char}" for char in alphabet]
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        special_tokens=BERT_SPECIALS + characters,
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        show_progress=False,
    )
    engine.train_from_iterator(texts, trainer)
    # Rebuilt from the vocabulary alone, so that only the five are special.
    vocab = engine.get_vocab()
    return Tokenizer(wordpiece_engine(models.WordPiece(vocab, unk_token="[UNK]"), lowercase))


def _alphabet(engine: tokenizers.Tokenizer, texts: list[str], most: int) -> list[str]:
    """The most frequent characters after normalization, in order of code points."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(engine.normalizer.normalize_str(text))
    ranked = sorted((c for c in counts if not c.isspace()), key=lambda c: (-counts[c], c))
    return sorted(ranked[:most])


def _train_sentencepiece(
    kind: str, texts: Iterable[str], vocab_size: int, lowercase: bool
) -> Tokenizer:
    check: list[str] = []
    written = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=_training_lines(texts, check),
            model_writer=written,
            model_type=kind,
            vocab_size=vocab_size,
            normalization_rule_name="nmt_nfkc_cf" if lowercase else "nmt_nfkc",
            pad_id=0,
            unk_id=1,
            bos_id=2,
            eos_id=3,
            pad_piece="[PAD]",
            unk_piece="[UNK]",
            bos_piece="[CLS]",
            eos_piece="[SEP]",
            control_symbols="[MASK]",
            hard_vocab_limit=kind != "unigram",  # unigram: fewer pieces if the text has no more
            pretokenization_delimiter=_DELIMITER,
            max_sentence_length=8 * _MAX_LINE_CHARS,
            num_threads=4,  # a constant: sums over threads decide the last digits of scores
            minloglevel=2,
        )
    except (RuntimeError, OSError) as error:
        raise UserError(_training_failure(kind, vocab_size, str(error))) from None
    engine = convert_sentencepiece(
        written.getvalue(),
        f"the {kind} tokenizer just trained",
        tuple(line for line in check if not _CJK.search(line)),
        split_cjk=True,
    )
    return Tokenizer(engine)


def _training_lines(texts: Iterable[str], check: list[str]) -> Iterator[str]:
    """Lines with CJK characters apart; the first ones are noted in `check` as they were."""
    for text in texts:
        if len(check) < _CHECK_LINES:
            check.append(text[:_MAX_LINE_CHARS])
        for start in range(0, len(text), _MAX_LINE_CHARS):
            line = text[start : start + _MAX_LINE_CHARS].replace(_DELIMITER, " ")
            yield _CJK.sub(lambda m: f"{_DELIMITER}{m[0]}{_DELIMITER}", line)


def _training_failure(kind: str, vocab_size: int, message: str) -> str:
    """SentencePiece's internal check failures in words a person can act on."""
    most = re.search(r"value\s*<=\s*(\d+)", message)
    least = re.search(r"smaller than required_chars\. \d+ vs (\d+)", message)
    if most:
        return (
            f"--vocab-size {vocab_size} is more than this text gives a {kind} tokenizer: use at "
            f"most {most[1]}, or give more text"
        )
    if least:
        return (
            f"--vocab-size {vocab_size} is too small for a {kind} tokenizer on this text, which "
            f"has that many characters alone: use more than {least[1]}"
        )
    return f"cannot train a {kind} tokenizer of {vocab_size} pieces ({' '.join(message.split())[:200]})"
