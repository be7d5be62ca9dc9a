"""SentencePiece models made elsewhere, against the sentencepiece runtime."""

import io
import lzma
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import sentencepiece
import tokenizers
from sentencepiece import sentencepiece_model_pb2 as proto

from bertjax.errors import UserError
from bertjax.text.sentencepiece_json import engine_from_model
from bertjax.text.tokenizer import SpecialIds, load_tokenizer

Train = Callable[..., bytes]


@pytest.fixture(scope="module")
def lines(shared_data: Path) -> list[str]:
    """English and Chinese paragraphs."""
    texts = []
    for name, count in (("en_wiki", 300), ("zh_wiki", 100)):
        with lzma.open(shared_data / name / "valid.txt.xz", "rt", encoding="utf-8") as file:
            texts += [line for line in map(str.strip, file) if line][:count]
    return texts


@pytest.fixture(scope="module")
def sentencepiece_model(lines: list[str]) -> Train:
    """Train with sentencepiece's own normalization, as others do."""

    def train(kind: str, rule: str, **options: object) -> bytes:
        model = io.BytesIO()
        arguments = {
            "control_symbols": ["[MASK]"],
            **{"pad_id": 0, "unk_id": 1, "bos_id": 2, "eos_id": 3},
            **{"pad_piece": "<pad>", "bos_piece": "[CLS]", "eos_piece": "[SEP]"},
            **options,
        }
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines[:200]),
            model_writer=model,
            model_type=kind,
            vocab_size=1200,
            normalization_rule_name=rule,
            minloglevel=2,
            **arguments,
        )
        return model.getvalue()

    return train


ODD_ENGLISH = [
    *("", " ", "   ", "Leading", "  two  spaces ", "tab\tand\nnewline\r\nhere", "no\u00a0break"),
    *(
        "naïve café Ünïcödé",
        "nai\u0308ve cafe\u0301",
        "ＦＵＬＬ　ｗｉｄｔｈ",
        "ﬁne ½ №",
        "😀 👍🏽 x😀y",
    ),
]


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
@pytest.mark.parametrize("rule", ["nmt_nfkc", "nmt_nfkc_cf"])
def test_model_file_gives_the_ids_of_sentencepiece(
    kind: str,
    rule: str,
    lines: list[str],
    sentencepiece_model: Train,
    tmp_path: Path,
) -> None:
    model = sentencepiece_model(kind, rule)
    (tmp_path / "spm.model").write_bytes(model)
    tokenizer = load_tokenizer(tmp_path)
    runtime = sentencepiece.SentencePieceProcessor(model_proto=model)
    # A run such as 000 ties ("0" + "00", "00" + "0") and float rounding decides; see the module.
    texts = [line for line in lines[200:300] if not re.search(r"(.)\1\1", line)] + ODD_ENGLISH
    assert len(texts) > 80
    assert tokenizer.encode_batch(texts) == runtime.encode(texts)
    assert tokenizer.special == SpecialIds(pad=0, unk=1, cls=2, sep=3, mask=4)


def test_user_defined_symbols_of_a_unigram_model_are_kept(
    sentencepiece_model: Train, lines: list[str], tmp_path: Path
) -> None:
    """As in the models of google-research/albert."""
    model = sentencepiece_model("unigram", "nmt_nfkc_cf", user_defined_symbols=["(", ")", "-", "£"])
    (tmp_path / "spm.model").write_bytes(model)
    texts = ["(a) well-known £5 ((x))--", *lines[200:250]]
    runtime = sentencepiece.SentencePieceProcessor(model_proto=model)
    assert load_tokenizer(tmp_path).encode_batch(texts) == runtime.encode(texts)


@pytest.mark.parametrize(
    ("kind", "options", "reason"),
    [
        ("bpe", {"user_defined_symbols": ["("]}, "user_defined_symbols"),
        ("unigram", {"byte_fallback": True}, "byte_fallback"),
        ("unigram", {"treat_whitespace_as_suffix": True}, "treat_whitespace_as_suffix"),
        ("unigram", {"remove_extra_whitespaces": False}, "remove_extra_whitespaces"),
        ("unigram", {"add_dummy_prefix": False}, "add_dummy_prefix"),
        ("unigram", {"split_by_whitespace": False}, "spans words"),
        ("word", {"hard_vocab_limit": False}, "neither unigram nor bpe"),
        ("unigram", {"control_symbols": ["[M]"]}, r"no \[MASK\] or <mask> among its 1200 pieces"),
    ],
)
def test_models_without_an_exact_equivalent_are_refused(
    kind: str,
    options: dict[str, object],
    reason: str,
    sentencepiece_model: Train,
    tmp_path: Path,
) -> None:
    path = tmp_path / "spm.model"
    path.write_bytes(sentencepiece_model(kind, "nmt_nfkc", **options))
    with pytest.raises(UserError, match=reason) as refused:
        load_tokenizer(path)
    assert str(refused.value).startswith(f"{path}: ") and "\n" not in str(refused.value)


def test_a_conversion_that_changes_ids_is_refused(
    sentencepiece_model: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "spm.model"
    path.write_bytes(sentencepiece_model("unigram", "nmt_nfkc_cf"))
    # A table that SentencePiece applies and the conversion would lose.
    monkeypatch.setattr(
        "tokenizers.normalizers.Precompiled", lambda _: tokenizers.normalizers.NFD()
    )
    with pytest.raises(UserError, match="cannot be converted exactly"):
        load_tokenizer(path)


@pytest.mark.parametrize("damage", ["not UTF-8", "table", "cut in half"])
def test_damaged_models_are_refused(damage: str, sentencepiece_model: Train) -> None:
    parsed = proto.ModelProto.FromString(sentencepiece_model("unigram", "nmt_nfkc"))
    if damage == "table":
        parsed.normalizer_spec.precompiled_charsmap = b"\x04\x00\x00\x00abcd"
    data = parsed.SerializeToString()
    if damage == "not UTF-8":
        data = data.replace("▁the".encode(), b"\xff\xfe\x81the", 1)
    if damage == "cut in half":
        data = data[: len(data) // 2]
    with pytest.raises(UserError, match="not a SentencePiece model, or damaged"):
        engine_from_model(data, "spm.model")


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_models_cut_where_a_piece_ends_are_refused(kind: str, sentencepiece_model: Train) -> None:
    """What is left is a valid model with fewer pieces, of which BPE ones would pass for unigram."""
    whole = proto.ModelProto.FromString(sentencepiece_model(kind, "nmt_nfkc"))
    for count in (600, 1199, 1200):
        data = proto.ModelProto(pieces=whole.pieces[:count]).SerializeToString()
        assert whole.SerializeToString().startswith(data)
        assert len(sentencepiece.SentencePieceProcessor(model_proto=data)) == count
        with pytest.raises(UserError, match="damaged: copy it again"):
            engine_from_model(data, "spm.model")


@pytest.mark.parametrize("data", [b"", b"\x00\x01not a protobuf"])
def test_other_files_are_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "spm.model"
    path.write_bytes(data)
    with pytest.raises(UserError, match="not a SentencePiece model") as refused:
        load_tokenizer(path)
    assert str(refused.value).startswith(f"{path}: ") and "\n" not in str(refused.value)
