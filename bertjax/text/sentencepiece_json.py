"""A SentencePiece model as a `tokenizer.json`, checked against the SentencePiece runtime."""

from __future__ import annotations

import sentencepiece
import tokenizers
from sentencepiece import sentencepiece_model_pb2 as protobuf
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers

from bertjax.errors import UserError
from bertjax.text.tokenizer import SPECIAL_NAMES, add_bert_specials
from bertjax.text.words import CJK_RANGES

_UNIGRAM, _BPE = 1, 2  # TrainerSpec.ModelType
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _BYTE = 1, 2, 3, 4, 6  # SentencePiece.Type

# A CJK character is a token of its own, as in BERT; the space mark before one stays with it.
CJK_PATTERN = "▁?[" + "".join(f"{chr(a)}-{chr(b)}" for a, b in CJK_RANGES) + "]"

# What a conversion is checked on, besides any lines the caller has.
PROBES = (
    "",
    " ",
    "Hello, world!",
    "  two  spaces   and\ttabs \n",
    "naïve café, Ångström; coöperation",
    "ＦＵＬＬ ｗｉｄｔｈ １２３ ﬁ ½ ™",
    "3.14159, 1,000,000 and 2e-5",
    "don't stop: it's 'quoted' (really) [sic] {x}",
    "emoji 😀 👩‍👩‍👧 and ♥",
    "Ελληνικά русский עברית العربية ไทย 한국어",
    "supercalifragilisticexpialidocious" * 3,
    "a\u00adb\u200bc\ufeffd e\u0301",
)


def convert_sentencepiece(
    data: bytes, name: str, lines: tuple[str, ...] = (), split_cjk: bool = False
) -> tokenizers.Tokenizer:
    """Build an engine that gives the same ids as a serialized SentencePiece model.

    Args:
        data: the bytes of a `.model` file, unigram or BPE.
        name: what to call it in errors.
        lines: text to check the ids on, besides a fixed set of odd lines.
        split_cjk: keep CJK characters apart, for a model trained with them apart.

    Raises:
        UserError: not a SentencePiece model, of a kind that has no exact counterpart, or with
            different ids on any of the lines.
    """
    model = protobuf.ModelProto()
    try:
        model.ParseFromString(data)
        runtime = sentencepiece.SentencePieceProcessor(model_proto=data)
    except Exception:  # protobuf's and sentencepiece's own types
        raise UserError(f"{name} is not a SentencePiece model, or is damaged") from None
    engine = _engine(model, name, split_cjk)
    for line in (*PROBES, *lines):
        want = runtime.encode(line)
        got = engine.encode(line, add_special_tokens=False).ids
        if got != want:
            raise UserError(
                f"{name} cannot be converted exactly: {line[:60]!r} gives ids {want[:8]} in "
                f"SentencePiece and {got[:8]} in tokenizers; use --tokenizer wordpiece"
            )
    return engine


def _engine(model, name: str, split_cjk: bool) -> tokenizers.Tokenizer:
    kind, spec = model.trainer_spec.model_type, model.normalizer_spec
    if kind not in (_UNIGRAM, _BPE):
        raise UserError(
            f"{name} is neither a unigram nor a BPE model (model_type {kind}): train one of those"
        )
    pieces = [(p.piece, p.score) for p in model.pieces]
    unknown = next((i for i, p in enumerate(model.pieces) if p.type == _UNKNOWN), None)
    bytes_back = any(p.type == _BYTE for p in model.pieces)
    if kind == _UNIGRAM:
        engine = tokenizers.Tokenizer(models.Unigram(pieces, unknown, bytes_back))
    else:
        engine = tokenizers.Tokenizer(
            models.BPE(
                {piece: i for i, (piece, _) in enumerate(pieces)},
                _merges(model),
                unk_token=None if unknown is None else pieces[unknown][0],
                fuse_unk=True,
                byte_fallback=bytes_back,
            )
        )
    steps: list = []
    if spec.precompiled_charsmap:
        steps.append(normalizers.Precompiled(spec.precompiled_charsmap))
    if spec.remove_extra_whitespaces:
        steps += [normalizers.Strip(), normalizers.Replace(Regex(" {2,}"), " ")]
    if steps:
        engine.normalizer = normalizers.Sequence(steps)
    marks = pre_tokenizers.Metaspace(
        prepend_scheme="always" if spec.add_dummy_prefix else "never",
        split=model.trainer_spec.split_by_whitespace,
    )
    apart = [pre_tokenizers.Split(Regex(CJK_PATTERN), "isolated")] if split_cjk else []
    engine.pre_tokenizer = pre_tokenizers.Sequence([marks, *apart])
    engine.decoder = decoders.Metaspace()
    known = {name for names in SPECIAL_NAMES.values() for name in names}
    engine.add_special_tokens([p.piece for p in model.pieces if p.piece in known])
    add_bert_specials(engine)
    return engine


def _merges(model) -> list[tuple[str, str]]:
    """Every way to make a piece of two pieces, by the score of what it makes.

    SentencePiece merges the neighbours whose sum is the best piece; merge rules in that order
    do the same.
    """
    score = {p.piece: p.score for p in model.pieces if p.type in (_NORMAL, _USER_DEFINED)}
    order = {p.piece: i for i, p in enumerate(model.pieces)}
    merges = []
    for piece in sorted(score, key=lambda p: (-score[p], order[p])):
        ways = [(piece[:i], piece[i:]) for i in range(1, len(piece))]
        ways = [(a, b) for a, b in ways if a in score and b in score]
        merges += sorted(ways, key=lambda way: (order[way[0]], order[way[1]]))
    return merges
