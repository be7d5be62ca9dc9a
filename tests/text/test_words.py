"""Word starts against BERT's own word splitter, against whitespace and against jieba."""

import json
import lzma
import sys
import warnings
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import tokenizer_kinds
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as Engine
from tokenizers import decoders, models, pre_tokenizers, trainers

from bertjax.errors import UserError
from bertjax.text.chinese_words import chinese_word_starts
from bertjax.text.tokenizer import Tokenizer, load_tokenizer
from bertjax.text.tokenizer_training import train_tokenizer
from bertjax.text.words import is_cjk, word_starts_table


def flags_of(text: str, tokenizer: Tokenizer) -> np.ndarray:
    return chinese_word_starts(text, *tokenizer.encode_with_offsets(text), tokenizer)


def paragraphs(directory: Path, count: int) -> list[str]:
    with lzma.open(directory / "valid.txt.xz", "rt", encoding="utf-8") as file:
        return [line for line in map(str.strip, file) if line][:count]


@pytest.fixture(scope="module")
def english(shared_data: Path) -> list[str]:
    return paragraphs(shared_data / "en_wiki", 200)


@pytest.fixture(scope="module")
def chinese(shared_data: Path) -> list[str]:
    return paragraphs(shared_data / "zh_wiki", 150)


@pytest.fixture(scope="module", params=["wordpiece", "unigram", "bpe", "original"])
def chinese_tokenizer(
    request: pytest.FixtureRequest, chinese: list[str], shared_data: Path
) -> Tokenizer:
    if request.param == "original":
        return load_tokenizer(shared_data / "vocab" / "bert-base-chinese-vocab.txt")
    return train_tokenizer(request.param, chinese, 3000 if request.param == "wordpiece" else 1700)


@pytest.mark.parametrize(
    ("mark", "expected"),
    [
        ("##", {"the": 1, "##s": 0, ",": 1, "##,": 0, "中": 1, "##中": 0, "é": 1, "😀": 1}),
        (
            "▁",
            {"▁the": 1, "s": 0, "▁": 1, ",": 1, "),": 1, "$": 1, "7": 0}
            | {"中": 1, "é": 0, "д": 0, "の": 0, "한": 0, "😀": 1, "": 0},
        ),
        (
            "Ġ",
            {"Ġthe": 1, "s": 0, "Ġ": 1, "Ċ": 1, ",": 1, ").": 1, "$": 1, "7": 0}
            | {"ä¸Ń": 1, "ä¸": 0, "Ń": 0, "Ã©": 0, "âĢĻ": 1, "ĠÃ": 1},  # 中, its parts, é, ’
        ),
    ],
)
def test_table(mark: str, expected: dict[str, int]) -> None:
    found = word_starts_table(list(expected), mark, [])
    assert dict(zip(expected, found.astype(int).tolist(), strict=True)) == expected


def test_special_tokens_always_start_a_word() -> None:
    for mark in ("##", "▁", "Ġ"):
        assert word_starts_table(["x", "##a", "mask"], mark, [1, 2])[1:].all()


def test_wordpiece_words_are_those_of_bert(english: list[str], shared_data: Path) -> None:
    tokenizer = load_tokenizer(shared_data / "vocab" / "bert-base-uncased-vocab.txt")
    legacy = pytest.importorskip("transformers.models.bert.tokenization_bert_legacy")
    splitter = legacy.BasicTokenizer(do_lower_case=True)
    for text in english:
        ids = np.array(tokenizer.encode_batch([text])[0])
        starts = np.flatnonzero(tokenizer.starts_word[ids])
        found = [
            "".join(tokenizer.token(i).removeprefix("##") for i in word)
            for word in np.split(ids, starts[1:])
        ]
        expected = splitter.tokenize(text)
        assert len(found) == len(expected)
        assert all(f in (e, "[UNK]") for f, e in zip(found, expected, strict=True))


def byte_level(texts: list[str]) -> Tokenizer:
    engine = Engine(models.BPE())
    engine.pre_tokenizer = pre_tokenizers.ByteLevel()
    engine.decoder = decoders.ByteLevel()
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    engine.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=800,
            special_tokens=specials,
            initial_alphabet=alphabet,
            show_progress=False,
        ),
    )
    return Tokenizer(json.loads(engine.to_str()))


@pytest.mark.parametrize("kind", ["unigram", "bpe", "bytes"])
def test_words_without_punctuation_are_those_between_spaces(kind: str, english: list[str]) -> None:
    tokenizer = byte_level(english) if kind == "bytes" else train_tokenizer(kind, english, 2000)
    for text in english:
        plain = ["".join(filter(str.isalpha, word)) for word in text.split()]
        plain = [word for word in plain if word.isascii() and word]
        ids = tokenizer.encode_batch([" ".join(plain)])[0]
        starts = np.flatnonzero(tokenizer.starts_word[ids])
        decoded = [tokenizer.decode(word).strip() for word in np.split(ids, starts[1:])]
        assert [w.lower() for w in decoded if w] == [w.lower() for w in plain]


@pytest.fixture(scope="session")
def jieba() -> ModuleType:
    """The segmenter in Python, which is not what bertjax takes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its source holds escapes that Python deprecates
        module = pytest.importorskip("jieba", reason="what word starts are held to")
        module.setLogLevel("WARNING")
        module.initialize()
    return module


def test_chinese_starts_are_those_of_jieba(
    chinese: list[str], chinese_tokenizer: Tokenizer, jieba: ModuleType
) -> None:
    """Every CJK character starts a word exactly where jieba says, and no other flag changes."""
    inside = 0
    for text in chinese:
        ids, offsets = chinese_tokenizer.encode_with_offsets(text)
        flags = chinese_word_starts(text, ids, offsets, chinese_tokenizer)
        assert [ids] == chinese_tokenizer.encode_batch([text])  # flags never change ids
        assert flags.dtype == bool and len(flags) == len(ids)
        position, starts = 0, set()
        for word in jieba.lcut(text):
            starts.add(position)
            position += len(word)
        for i, (begin, end) in enumerate(offsets):
            token = chinese_tokenizer.token(ids[i])
            if is_cjk(text[begin]) and end > begin and token != "▁":
                assert flags[i] == (begin in starts), (text, i)
                inside += not flags[i]
            else:
                assert flags[i] == chinese_tokenizer.starts_word[ids[i]]
    assert inside > 1000


@pytest.fixture(scope="module")
def bert_chinese(shared_data: Path) -> Tokenizer:
    return load_tokenizer(shared_data / "vocab" / "bert-base-chinese-vocab.txt")


@pytest.mark.parametrize(
    "words_by_hand",
    [
        "他 在 北京大学 学习 python 语言 。",
        "售价 999 美元 ， 相当于 7 , 000 元 。",
        "我们 使用 transformer 模型 处理 中文 文本 ！",
        "《 红楼梦 》 是 清代 作家 曹雪芹 的 作品",
        "2024 年 3 月 15 日 ， 天气 很 好",
        "gpu 加速 了 训练 ( 约 3 . 5 倍 )",
    ],
)
@pytest.mark.parametrize("spaced", [False, True])
def test_chinese_sentences(words_by_hand: str, spaced: bool, bert_chinese: Tokenizer) -> None:
    expected = words_by_hand.split()
    sentence = (" " if spaced else "").join(expected)
    ids = bert_chinese.encode_batch([sentence])[0]
    marked = "".join(
        " " * flag + bert_chinese.token(i).removeprefix("##")
        for i, flag in zip(ids, flags_of(sentence, bert_chinese).tolist(), strict=True)
    )
    assert marked.split() == expected


@pytest.mark.parametrize("prefix", [False, True])
def test_bytes_of_a_character_are_in_one_word(prefix: bool) -> None:
    """A piece that ends with the first byte of the next word keeps that word with its own."""
    tokenizer = Tokenizer(json.loads(tokenizer_kinds.roberta(prefix).to_str()))
    text = "我爱大学 the river 我们 北京天安门"
    ids = tokenizer.encode_batch([text])[0]
    assert "äº¬å" in map(tokenizer.token, ids)
    starts = np.flatnonzero(flags_of(text, tokenizer))
    words = [tokenizer.decode(word).strip() for word in np.split(ids, starts[1:])]
    expected = ["我", "爱", "大学", "the", "river", "我们", "北京天安门"]
    assert [word for word in words if word] == expected


MIXED = st.text(
    st.one_of(
        st.sampled_from("北京大学的一了，。《》 aZ9.-\t😀é\u0301\0▁"), st.characters(codec="utf-8")
    )
)


@settings(max_examples=60)
@given(text=MIXED)
def test_any_text_has_a_flag_for_each_id(chinese_tokenizer: Tokenizer, text: str) -> None:
    before = chinese_tokenizer.encode_batch([text])[0]
    table = chinese_tokenizer.starts_word.copy()
    flags = flags_of(text, chinese_tokenizer)
    assert chinese_tokenizer.encode_batch([text])[0] == before
    assert (flags.dtype, flags.shape) == (bool, (len(before),))
    np.testing.assert_array_equal(chinese_tokenizer.starts_word, table)


def test_missing_segmenter_names_the_extra(
    chinese: list[str], bert_chinese: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rjieba", None)
    with pytest.raises(UserError, match=r"pip install 'bertjax\[zh\]'"):
        flags_of(chinese[0], bert_chinese)
    starts = flags_of("only english here", bert_chinese)  # and rjieba is not needed for it
    ids = bert_chinese.encode_batch(["only english here"])[0]
    assert starts.tolist() == bert_chinese.starts_word[ids].tolist()
