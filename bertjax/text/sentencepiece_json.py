"""A SentencePiece model as a `tokenizers` pipeline that gives the same ids."""

from __future__ import annotations

from collections.abc import Iterable

import sentencepiece
import tokenizers
from sentencepiece import sentencepiece_model_pb2 as proto
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers

from bertjax.errors import UserError

UNIGRAM = proto.TrainerSpec.UNIGRAM
BPE = proto.TrainerSpec.BPE
NORMAL = proto.ModelProto.SentencePiece.NORMAL
UNKNOWN = proto.ModelProto.SentencePiece.UNKNOWN
CONTROL = proto.ModelProto.SentencePiece.CONTROL
USER_DEFINED = proto.ModelProto.SentencePiece.USER_DEFINED

# Every conversion must give the ids of the sentencepiece runtime on these. None holds a run of
# three equal characters, where rounding decides.
PROBES = (
    "",
    " ",
    "The quick brown fox jumps over the lazy dog.",
    "  two  spaces,\ta tab and a trailing space ",
    "Prices rose 3.5% to $1,260 (about €970) -- e-mail: someone@example.com",
    "naïve café, Ünïcödé; nai\u0308ve cafe\u0301",
    "ｆｕｌｌ－ｗｉｄｔｈ　ＴＥＸＴ ½ ﬁne №5",
    "emoji 😀👍🏽 and 👩\u200d👩\u200d👧",
    "汉字和日本語のカタカナ 한국어 русский עברית हिन्दी ไทย",
)


def engine_from_model(
    model: bytes, source: str, before: normalizers.Normalizer | None = None
) -> tokenizers.Tokenizer:
    """Convert the bytes of a `.model` file; unigram and BPE only.

    `before` is applied to text ahead of the model's own normalization. Raises `UserError`, which
    begins with `source`, for a model that cannot be converted exactly. What no check can promise
    for a model made elsewhere: `tokenizers` applies a normalization table by grapheme where
    SentencePiece looks for the longest match, which differs for rare combining marks; and unigram
    ties, such as "0" + "00" and "00" + "0", are broken by rounding errors.
    """
    parsed = _parse(model, source)
    _refuse_inexact(parsed, source)
    try:
        engine = _engine(parsed, before)
    except Exception:  # the library raises nothing narrower
        raise _damaged(source) from None
    check_same_ids(engine, model, PROBES, source, before)
    return engine


def _engine(
    parsed: proto.ModelProto, before: normalizers.Normalizer | None
) -> tokenizers.Tokenizer:
    unigram = parsed.trainer_spec.model_type == UNIGRAM
    engine = tokenizers.Tokenizer(_unigram(parsed) if unigram else _bpe(parsed))
    engine.normalizer = _normalizer(parsed, before)
    # "first": text that follows a special token without a space does not begin a word.
    engine.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    engine.decoder = decoders.Metaspace(prepend_scheme="first")
    engine.add_special_tokens(
        [
            AddedToken(p.piece, normalized=False)
            for p in parsed.pieces
            if p.type in (UNKNOWN, CONTROL)
        ]
    )
    return engine


def check_same_ids(
    engine: tokenizers.Tokenizer,
    model: bytes,
    lines: Iterable[str],
    source: str,
    before: normalizers.Normalizer | None = None,
) -> None:
    """Raise `UserError` naming the first line on which `engine` and SentencePiece differ."""
    runtime = sentencepiece.SentencePieceProcessor(model_proto=model)
    for line in lines:
        expected = runtime.encode(before.normalize_str(line) if before else line)
        found = engine.encode(line, add_special_tokens=False).ids
        if found != expected:
            raise UserError(
                f"{source}: cannot be converted exactly: {line[:80]!r} gives {len(found)} pieces "
                f"where SentencePiece gives {len(expected)}, or other ones: train one with "
                "bertjax prepare, or give a tokenizer.json"
            )


def _parse(model: bytes, source: str) -> proto.ModelProto:
    try:
        sentencepiece.SentencePieceProcessor(model_proto=model)
    except RuntimeError:
        raise _damaged(source) from None
    parsed = proto.ModelProto.FromString(model)
    # A file cut between two pieces still parses, but these come after the last one.
    whole = parsed.HasField("trainer_spec") and parsed.HasField("normalizer_spec")
    if not whole or not all(isinstance(p.piece, str) for p in parsed.pieces):  # bytes: not UTF-8
        raise _damaged(source)
    return parsed


def _damaged(source: str) -> UserError:
    return UserError(f"{source}: not a SentencePiece model, or damaged: copy it again")


def _refuse_inexact(parsed: proto.ModelProto, source: str) -> None:
    trainer, normalizer = parsed.trainer_spec, parsed.normalizer_spec
    bpe = trainer.model_type == BPE
    kinds = {piece.type for piece in parsed.pieces}
    wrong = {
        "model_type is neither unigram nor bpe": trainer.model_type not in (UNIGRAM, BPE),
        "byte_fallback is on": trainer.byte_fallback,
        "treat_whitespace_as_suffix is on": trainer.treat_whitespace_as_suffix,
        "escape_whitespaces is off": not normalizer.escape_whitespaces,
        "remove_extra_whitespaces is off": not normalizer.remove_extra_whitespaces,
        "add_dummy_prefix is off": not normalizer.add_dummy_prefix,
        "a bpe model has user_defined_symbols": bpe and USER_DEFINED in kinds,
        "a piece spans words": any("▁" in p.piece[1:] for p in parsed.pieces if p.type == NORMAL),
    }
    for reason, found in wrong.items():
        if found:
            raise UserError(
                f"{source}: {reason}, which has no exact equivalent in a tokenizer.json: "
                "train one with bertjax prepare, or give a tokenizer.json"
            )


def _normalizer(
    parsed: proto.ModelProto, before: normalizers.Normalizer | None
) -> normalizers.Normalizer:
    charsmap = parsed.normalizer_spec.precompiled_charsmap
    steps = [before] if before else []
    if charsmap:
        steps.append(normalizers.Precompiled(charsmap))
    # SentencePiece removes the space before the text as well, but there Metaspace makes one.
    steps += [normalizers.Replace(Regex(r" +\z"), ""), normalizers.Replace(Regex(" {2,}"), " ")]
    return normalizers.Sequence(steps)


def _unigram(parsed: proto.ModelProto) -> models.Unigram:
    best = max(p.score for p in parsed.pieces if p.type == NORMAL)
    # SentencePiece (unigram_model.cc) scores a user-defined symbol above anything it covers.
    scores = [
        len(p.piece) * best - 0.1 if p.type == USER_DEFINED else p.score for p in parsed.pieces
    ]
    # Every JSON reader takes 15 digits exactly, which keeps the file the same through others.
    pieces = [
        (p.piece, float(f"{score:.15g}")) for p, score in zip(parsed.pieces, scores, strict=True)
    ]
    unknown = next(i for i, p in enumerate(parsed.pieces) if p.type == UNKNOWN)
    return models.Unigram(pieces, unknown, byte_fallback=False)


def _bpe(parsed: proto.ModelProto) -> models.BPE:
    """Rebuild the merges: SentencePiece joins the pair whose union has the best score."""
    ids = {p.piece: i for i, p in enumerate(parsed.pieces)}
    normal = {p.piece: p.score for p in parsed.pieces if p.type == NORMAL}
    merges = []
    for piece in sorted(normal, key=lambda name: (-normal[name], ids[name])):
        splits = [(piece[:i], piece[i:]) for i in range(1, len(piece))]
        pairs = [(left, right) for left, right in splits if left in normal and right in normal]
        merges += sorted(pairs, key=lambda pair: (ids[pair[0]], ids[pair[1]]))
    unknown = next(p.piece for p in parsed.pieces if p.type == UNKNOWN)
    return models.BPE(ids, merges, unk_token=unknown, fuse_unk=True)
