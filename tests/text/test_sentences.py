import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertjax.text.sentences import MAX_SENTENCE_CHARS, language_of, split_sentences


@pytest.mark.parametrize(
    "marked",
    [
        "It rained. | We stayed.",
        "I met Dr. Smith on Jan. 5 at 3.14 p.m. sharp. | He was late.",
        "J. R. R. Tolkien served in the U.S. Army. | He came back.",
        "He came from the U.S. | The train was late.",
        'She said "Go!" | Then she left (quickly.) | Nobody followed.',
        '"Why?" he asked. | “Because.” | Silence…',
        "Wait... | Then it came... and went.",
        "See Fig. 3 and vol. 2, i.e. the second. | No. | Nothing is there.",
        "Founded by Acme Inc. in 1990. | It grew!! | Did it?",
        "Version 2.0. | 3 people use it.",
    ],
)
def test_english_sentences(marked: str) -> None:
    expected = marked.split(" | ")
    assert split_sentences(" ".join(expected), "en") == expected


@pytest.mark.parametrize(
    "marked",
    [
        "今天下雨。|我们在家！|真的吗？|是；|对。",
        "他说：“你好。”|然后走了……|（再见！）|没有人在",
        "北京大学成立于1898年。|It is old! |很大。",
    ],
)
def test_chinese_sentences(marked: str) -> None:
    expected = [s.strip() for s in marked.split("|")]
    assert split_sentences(marked.replace("|", ""), "zh") == expected


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(
    "marked",
    [
        "यह शहर है।|मैं कल गया था।|क्यों?",
        "هل هذا صحيح؟|نعم. |هذا صحيح.",
        "یہ شہر ہے۔|وہ گیا۔",
        "今日は雨です。|「行こう！」|彼は言った。",
        "Սա քաղաք է։|Նա գնաց։",
        "ይህ ከተማ ነው።|ሄደ፧|አዎ።",
        "នេះជាទីក្រុង។|គាត់បានទៅ។",
        "བོད་ཡིག།|ལྷ་ས།",
    ],
)
def test_marks_of_other_scripts_end_sentences(marked: str, language: str) -> None:
    expected = [s.strip() for s in marked.split("|")]
    assert split_sentences(marked.replace("|", ""), language) == expected


def test_every_mark_that_unicode_calls_terminal_ends_a_sentence() -> None:
    """Oracle: the property Sentence_Terminal, of the first plane, as the `regex` package has it."""
    regex = pytest.importorskip("regex")
    marks = [chr(c) for c in range(0x80, 0xD800) if regex.match(r"\p{STerm}", chr(c))]
    marks += [chr(c) for c in range(0xE000, 0x10000) if regex.match(r"\p{STerm}", chr(c))]
    assert len(marks) > 80
    for mark in set(marks) - {"\u2024", "\uff0e"}:  # leaders, and decimal points
        assert split_sentences(f"अब{mark}ਕਖ", "en") == [f"अब{mark}", "ਕਖ"], ascii(mark)


@pytest.mark.parametrize(
    "marked",
    [
        "他在 IBM 工作。|He works there. |Dr. Smith 也在。|好。",
        "1. 第一条 2. 第二条。|见 Fig. 3 的说明。|他说 OK. |然后走了。",
    ],
)
def test_english_in_chinese(marked: str) -> None:
    expected = [s.strip() for s in marked.split("|")]
    assert split_sentences(marked.replace("|", ""), "zh") == expected


def test_chinese_in_english() -> None:
    text = "The sign said 你好。 Nobody could read it. It means hello！ Yes."
    expected = ["The sign said 你好。", "Nobody could read it.", "It means hello！", "Yes."]
    assert split_sentences(text, "en") == expected


def test_line_breaks_end_sentences() -> None:
    assert split_sentences("a title\nand Mr.\nSmith said\n\nno", "en") == [
        "a title",
        "and Mr.",
        "Smith said",
        "no",
    ]


texts = st.text(st.sampled_from(list("aB. \n!?\"'()…。！”3\t\u3000\x1c你")) | st.characters())


@given(texts, st.sampled_from(["en", "zh"]))
def test_every_character_survives(text: str, language: str) -> None:
    sentences = split_sentences(text, language)
    assert re.sub(r"\s", "", "".join(sentences)) == re.sub(r"\s", "", text)
    assert all(s and s == s.strip() for s in sentences)


@given(texts, texts, st.sampled_from(["en", "zh"]))
def test_lines_split_independently(one: str, other: str, language: str) -> None:
    both = split_sentences(one + "\n" + other, language)
    assert both == split_sentences(one, language) + split_sentences(other, language)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("unit", [".", ". ", '."', "a", ".\t", "。", "A.B "])
def test_long_lines_take_linear_time_and_bounded_sentences(unit: str, language: str) -> None:
    text = unit * (600_000 // len(unit)) + "x"
    began = time.process_time()
    sentences = split_sentences(text, language)
    assert time.process_time() - began < 2  # a quadratic rule takes minutes
    assert max(map(len, sentences)) <= MAX_SENTENCE_CHARS
    assert re.sub(r"\s", "", "".join(sentences)) == re.sub(r"\s", "", text)


def test_language_by_share_of_ideographs() -> None:
    assert language_of("plain English") == "en"
    assert language_of("naïve café — déjà vu") == "en"
    assert language_of("中文维基百科 has 1,000 articles") == "zh"
    assert language_of("The character 中 appears once in this English sentence.") == "en"
    assert language_of("") == "en"
