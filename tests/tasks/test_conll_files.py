"""Columns of tagged words as people have them: comments, marks, separators, treebanks."""

from __future__ import annotations

import json
import lzma

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertjax.config import ExamplesConfig, FinetuneConfig, TaskConfig
from bertjax.errors import UserError
from bertjax.tasks.families import read_examples
from bertjax.tasks.task import Example
from bertjax.text.account import Account


def config(scheme: str = "none", labels=(), **data) -> FinetuneConfig:
    task = TaskConfig(family="tagging", scheme=scheme, labels=labels)
    return FinetuneConfig(task=task, data=ExamplesConfig(**data))


def read(path, cfg: FinetuneConfig, labelled: bool = True) -> list[Example]:
    return read_examples(str(path), cfg, labelled=labelled)[0]


def pairs(path, cfg: FinetuneConfig) -> list[list[tuple[str, str]]]:
    return [list(zip(e.texts, e.label, strict=True)) for e in read(path, cfg)]


word = st.sampled_from(["#", "#tag", "a", "Hà Nội", "1 000", "中\u3000国", "-", "I-X", "="])
tag = st.sampled_from(["O", "B-X", "I-X", "B-Y"])
sentences = st.lists(st.lists(st.tuples(word, tag), min_size=1, max_size=4), min_size=1, max_size=5)
COMMENTS = ["# id 33cc\tdomain=en", "# text = a b", "#", "# a b c d e f", "#begin document (x);"]


@given(
    sentences,
    st.lists(st.sampled_from(COMMENTS), max_size=2),
    st.sampled_from(["", "-DOCSTART- -X- O O\n\n", "-DOCSTART-\tO\n"]),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
)
def test_comments_and_marks_are_no_words(tmp_path_factory, drawn, comments, mark, newline, tabs):
    """Words with spaces where tabs separate; `#` is a word where its line ends in a known tag."""
    if not tabs:
        drawn = [[(w.replace(" ", "_"), t) for w, t in sentence] for sentence in drawn]
    separator = "\t" if tabs else " "
    blocks = []
    for sentence in drawn:
        lines = [separator.join((w, "_", t)) for w, t in sentence]
        blocks.append("\n".join([*comments, *lines]) + "\n")
    path = tmp_path_factory.mktemp("conll") / "a.conll"
    # One word that is no `#`, from which the tags and the width of the file are known.
    known = separator.join(("known", "_", "O")) + "".join(
        "\n" + separator.join(("known", "_", t)) for t in ("B-X", "I-X", "B-Y")
    )
    text = mark + "\n".join(blocks) + "\n" + known + "\n"
    path.write_text(text.replace("\n", newline), newline="")
    assert pairs(path, config())[:-1] == drawn


def test_a_sentence_without_an_end_is_noted(tmp_path):
    (tmp_path / "a.conll").write_text("word O\n" * 300 + "\n" + "word B-X\n" * 501)
    account = Account()
    read_examples(str(tmp_path / "a.conll"), config(), account=account)
    assert account.notes == [
        f"{tmp_path}/a.conll:302: a sentence of 501 words: put a blank line after each sentence"
    ]


def test_multiconer_germeval_and_conll_2012(tmp_path):
    path = tmp_path / "a.conll"
    rows = [
        "# id 1\tdomain=en",
        "paris _ _ B-LOC",
        "is _ _ O",
        "",
        "# id 2\tdomain=en",
        "anna _ _ O",
    ]
    path.write_text("\n".join(rows) + "\n")
    assert pairs(path, config("IOB2")) == [[("paris", "B-LOC"), ("is", "O")], [("anna", "O")]]
    assert [e.texts for e in read(path, config(), labelled=False)] == [("paris", "is"), ("anna",)]
    path.write_text("#\thttp://x [2009-10-17]\n1\tSchartau\tB-PER\tO\n2\tsagte\tO\tO\n")
    cfg = config("IOB2", text="2", label="3")
    assert pairs(path, cfg) == [[("Schartau", "B-PER"), ("sagte", "O")]]
    with pytest.raises(UserError, match=r"the first column numbers the words.*data\.text"):
        read(path, config())
    path.write_text("#begin document (a); part 000\nx 0 0 Paul B-X\n#end document\nx 0 0 He O\n")
    assert pairs(path, config(text="4")) == [[("Paul", "B-X")], [("He", "O")]]


TREEBANK = """# sent_id = 1
# text = Vámonos al mar.
1-2\tVámonos\t_\t_\t_\t_\t_\t_\t_\t_
1\tVamos\tir\tVERB\t_\t_\t0\troot\t_\t_
2\tnos\tnosotros\tPRON\t_\t_\t1\tobj\t_\t_
3-4\tal\t_\t_\t_\t_\t_\t_\t_\t_
3\ta\ta\tADP\t_\t_\t5\tcase\t_\t_
4\tel\tel\tDET\t_\t_\t5\tdet\t_\t_
5\tmar\tmar\tNOUN\t_\t_\t1\tobl\t_\tSpaceAfter=No
5.1\tgone\tgo\tVERB\t_\t_\t_\t_\t_\t_
6\t.\t.\tPUNCT\t_\t_\t1\tpunct\t_\t_

"""


def test_treebanks_are_read_as_the_conllu_package_reads_them(tmp_path, shared_data):
    conllu = pytest.importorskip("conllu")
    real = shared_data / "ud_english_ewt" / "en_ewt-ud-dev.conllu.xz"
    text = TREEBANK + lzma.decompress(real.read_bytes()).decode()
    path = tmp_path / "a.CONLLU"
    path.write_text(text, encoding="utf-8")
    expected = [
        [(token["form"], token["upos"]) for token in sentence if isinstance(token["id"], int)]
        for sentence in conllu.parse(text)
    ]
    assert pairs(path, config()) == expected


def test_lines_of_a_treebank_that_are_none(tmp_path):
    path = tmp_path / "a.conllu"
    path.write_text(TREEBANK + TREEBANK.replace("2\tnos\tn", "2 nos\tn"))
    with pytest.raises(UserError, match=r":17: begins with '2 nos', not with a word's number"):
        read(path, config())
    assert len(read(path, config(skip_bad_rows=True))) == 1
    path.write_text(TREEBANK.replace("NOUN", "_") + TREEBANK)
    with pytest.raises(UserError, match=r":9: no tag in column 4 \('_'\)"):
        read(path, config())


ROW = {"tokens": ["Paul", "B."], "ner_tags": ["B-P", "I-P"]}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", json.dumps(ROW)),
        ("a.json", json.dumps([ROW])),
        ("a.csv", "tokens,ner_tags\n\"['Paul', 'B.']\",\"['B-P', 'I-P']\"\n"),
        ("b.csv", "tokens,ner_tags\n\"['Paul' 'B.']\",\"['B-P' 'I-P']\"\n"),  # NumPy's way
        ("b.jsonl", json.dumps({"tokens": "Paul B.", "ner_tags": ["B-P", "I-P"]})),
    ],
)
def test_lists_of_words_and_tags_in_every_layout(tmp_path, name, content):
    (tmp_path / name).write_text(content + "\n")
    cfg = config("IOB2", text="tokens", label="ner_tags")
    (example,) = read(tmp_path / name, cfg)
    assert (example.texts, example.label) == (("Paul", "B."), ("B-P", "I-P"))


def test_numbers_of_tags_need_their_names(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"tokens": ["Paul", "B."], "ner_tags": [1, 2]}) + "\n")
    cfg = config(text="tokens", label="ner_tags")
    with pytest.raises(UserError, match=r"holds numbers: name the tags in task\.labels"):
        read(path, cfg)
    cfg = config("IOB2", ("O", "B-P", "I-P"), text="tokens", label="ner_tags")
    assert read(path, cfg)[0].label == ("B-P", "I-P")


def test_a_text_in_the_place_of_words_is_cut_at_its_spaces(tmp_path):
    path = tmp_path / "a.jsonl"
    rows = [{"text": "Paul slept"}, {"text": "我爱北京"}]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    found = read(path, config(), labelled=False)
    assert [e.texts for e in found] == [("Paul", "slept"), tuple("我爱北京")]


def test_marks_of_joined_files_are_no_words(tmp_path):
    path = tmp_path / "a.conll"
    parts = ["-DOCSTART- O\n\na O\n\n", "-DOCSTART- O\n\nb O\n", "c O\n"]
    path.write_bytes(b"".join(part.encode("utf-8-sig") for part in parts))
    assert pairs(path, config()) == [[("a", "O")], [("b", "O"), ("c", "O")]]


@pytest.mark.parametrize("nothing", ["\u200b", "\ufeff\u200e", "\u200d", "\x07"])
def test_a_word_of_which_nothing_is_seen_is_none(tmp_path, nothing):
    path = tmp_path / "a.conll"
    path.write_text(f"a O\n\nb O\nx{nothing} O\n {nothing} O\n\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"a\.conll:5: no word in column 1"):
        pairs(path, config())
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"text": ["a", nothing], "label": ["O", "O"]}) + "\n")
    with pytest.raises(UserError, match="lists of strings that are not empty"):
        pairs(path, config())
    path.write_text(json.dumps({"text": ["a", " "], "label": ["O", "O"]}) + "\n")
    assert pairs(path, config()) == [[("a", "O"), (" ", "O")]]  # of Chinese text, by characters
