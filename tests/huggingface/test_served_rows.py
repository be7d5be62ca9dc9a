"""The rows that are trained on are the rows that transformers serves from the exported directory.

Every kind of tokenizer, every family of tasks, and pairs of pretraining; on fixed texts and on
generated ones. Nothing is trained. The counts are printed at the end of the session.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import oracle_transformers as oracle
import pytest
import tokenizer_kinds as kinds
import transformers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bertjax.config import ExamplesConfig, FinetuneConfig, TaskConfig
from bertjax.data.assemble import assemble
from bertjax.data.corpus import Corpus
from bertjax.data.documents import tokenize
from bertjax.data.pairs import Pairs
from bertjax.tasks.families import task_of
from bertjax.tasks.task import Example, Rows
from bertjax.text.sentences import sentence_spans
from bertjax.text.tokenizer import Tokenizer, load_tokenizer

LENGTH = 24  # of rows; most pairs do not fit
STEP, LONGEST_QUESTION = 3, 8
ENDINGS = ("one", "two", "three")


class Served:
    """A tokenizer of ours, and what AutoTokenizer makes of its export."""

    def __init__(self, kind: str, scratch: Any):
        self.kind = kind
        kinds.KINDS[kind](scratch / "brought")
        self.ours = load_tokenizer(scratch / "brought")
        self.theirs = self._export(self.ours, scratch / "hf")
        self.our_words = self.ours.for_words()
        self.their_words = self.theirs
        if self.our_words is not self.ours:
            self.their_words = self._export(self.our_words, scratch / "hf-words")

    def _export(self, tokenizer: Tokenizer, out: Any) -> Any:
        roberta = tokenizer.framing.second_type == 0
        cfg = oracle.random_config(
            3, vocab_size=tokenizer.vocab_size, num_layers=1, next_sentence_head=not roberta,
            family="roberta" if roberta else "bert", type_vocab_size=1 if roberta else 2,
        )  # fmt: skip
        oracle.export(cfg, oracle.random_params(cfg, 3), tokenizer, out)
        return transformers.AutoTokenizer.from_pretrained(out)


@pytest.fixture(scope="module", params=kinds.KINDS)
def served(request, tmp_path_factory) -> Served:
    return Served(request.param, tmp_path_factory.mktemp("served"))


def encoded(tokenizer: Tokenizer, family: str, texts: list[tuple[str, ...]], **data: Any) -> Rows:
    choices = ENDINGS if family == "multiple_choice" else ()
    columns = ExamplesConfig(max_length=LENGTH, choices=choices, **data)
    task = TaskConfig(family=family, scheme="none", max_query=LONGEST_QUESTION)
    examples = [Example(f"f:{i}", str(i), each) for i, each in enumerate(texts)]
    labels = ("a", "b") if family in ("classification", "multi_label", "tagging") else ()
    return task_of(FinetuneConfig(task=task, data=columns), labels).encode(examples, tokenizer)


def assert_same(rows: Rows, batch: Any) -> int:
    """Tokens, and token types where the model is fed any; returns how many rows there were."""
    assert [row.tolist() for row in rows.tokens] == batch["input_ids"]
    if "token_type_ids" in batch:
        assert [row.tolist() for row in rows.token_types] == batch["token_type_ids"]
    return len(rows.tokens)


CUT = {"truncation": True, "max_length": LENGTH}


def single(family: str) -> Callable[[Served, list[str]], int]:
    def check(served: Served, texts: list[str]) -> int:
        rows = encoded(served.ours, family, [(text,) for text in texts])
        return assert_same(rows, served.theirs(texts, **CUT))

    return check


def pairs(served: Served, texts: list[str]) -> int:
    rows = encoded(served.ours, "classification", list(pairwise(texts)))
    return assert_same(rows, served.theirs(texts[:-1], texts[1:], **CUT))


def tagging(served: Served, texts: list[str]) -> int:
    sentences = [text.split(" ") for text in texts]
    rows = encoded(served.our_words, "tagging", [tuple(words) for words in sentences])
    batch = served.their_words(sentences, is_split_into_words=True, **CUT)
    for i, places in enumerate(rows.ragged["word_positions"]):
        first: dict[int, int] = {}  # of a word: its first token
        with_text: dict[int, int] = {}  # and the first that is more than white space
        for place, word in enumerate(batch.word_ids(i)):
            if word is not None:
                token = served.their_words.convert_ids_to_tokens(batch["input_ids"][i][place])
                first.setdefault(word, place)
                if served.theirs.convert_tokens_to_string([token, token]).strip():
                    with_text.setdefault(word, place)
        expected = [with_text.get(word, place) for word, place in first.items()]
        assert places.tolist() == expected
        assert rows.details[i][0].tolist() == list(first)
    return assert_same(rows, batch)


def span_qa(served: Served, texts: list[str]) -> int:
    room = LENGTH - served.ours.framing.special_tokens(2)
    found = 0
    for question, context in [*pairwise(texts), *(("a?", text) for text in texts)]:
        length = len(served.theirs(question, add_special_tokens=False)["input_ids"])
        if length > LONGEST_QUESTION or not context:
            continue
        batch = served.theirs(
            question, context, truncation="only_second", max_length=LENGTH,
            stride=room - length - STEP, return_overflowing_tokens=True,
        )  # fmt: skip
        rows = encoded(served.ours, "span_qa", [(question, context)], window_step=STEP)
        found += assert_same(rows, batch)
    return found


def multiple_choice(served: Served, texts: list[str]) -> int:
    many = [(texts[i], *texts[i + 1 : i + 4]) for i in range(len(texts) - 3)]
    rows = encoded(served.ours, "multiple_choice", many)
    firsts = [text for text, *endings in many for _ in endings]
    seconds = [ending for _, *endings in many for ending in endings]
    return assert_same(rows, served.theirs(firsts, seconds, **CUT)) if many else 0


def sentences_stand_apart(text: str) -> bool:
    """Whether white space lies between all sentences; none need follow 。 or another script's."""
    spans = sentence_spans(text, "en")
    return all(start > end for (_, end), (start, _) in pairwise(spans))


def pretraining(served: Served, texts: list[str]) -> int:
    """Pairs of segments of a corpus: the rows of those stretches of its text."""
    # Stretches begin at white space: what begins in the middle of a text is no text by itself.
    documents = [" ".join(text.split()) for text in texts]
    documents = [f"A {text}. The end. Is it? {text} Yes." for text in documents if text]
    documents = [text for text in documents if "[" not in text and "<" not in text]
    documents = [text for text in documents if sentences_stand_apart(text)]
    if len(documents) < 2:
        return 0
    made = tokenize(documents, served.ours, "en")
    corpus = Corpus(
        made.tokens, made.boundaries, made.document_starts, made.sentence_starts,
        served.ours.special, served.ours.vocab_size, "", "",
        (served.ours.framing.separators, served.ours.framing.second_type),
    )  # fmt: skip
    stretches = [
        (text[spans[i - 1][1] if i else 0 : end])
        for text in documents
        for spans in [sentence_spans(text, "en")]
        for i, (_, end) in enumerate(spans)
    ]
    if len(stretches) != len(made.sentence_starts) - 1:
        return 0  # a sentence without a token
    plan = Pairs.plan(
        corpus, 600, pairs="nsp", single_sentences=False, short_seq_prob=0.5, key=1,
        fixed_partners=False,
    )  # fmt: skip
    spans = plan.spans(np.arange(len(plan)), np.zeros(len(plan), np.int64))
    ends = np.searchsorted(corpus.sentence_starts, spans.source + spans.length)
    starts = np.searchsorted(corpus.sentence_starts, spans.source)
    segments = ["".join(stretches[a:b]) for a, b in zip(starts, ends, strict=True)]
    packed = np.ones(len(plan), np.int64)
    batch = assemble(corpus, spans, packed, 600, 1)
    expected = served.theirs(segments[::2], segments[1::2])
    sizes = spans.sizes()
    assert [row[:n].tolist() for row, n in zip(batch["tokens"], sizes, strict=True)] == expected[
        "input_ids"
    ]
    if "token_type_ids" in expected:
        types = [row[:n].tolist() for row, n in zip(batch["token_types"], sizes, strict=True)]
        assert types == expected["token_type_ids"]
    return len(plan)


FAMILIES: dict[str, Callable[[Served, list[str]], int]] = {
    "classification": single("classification"),
    "multi_label": single("multi_label"),
    "regression": single("regression"),
    "pairs": pairs,
    "tagging": tagging,
    "span_qa": span_qa,
    "multiple_choice": multiple_choice,
    "pretraining": pretraining,
}


@cache
def documented_rows() -> dict[str, dict[str, int]]:
    """The table of docs/results.md: rows by kind of tokenizer and family of tasks."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "results.md").read_text()
    lines = page.partition("## Rows that are trained on and served")[2].split("\n## ")[0]
    cells = [[c.strip() for c in line.split("|")[1:-1]] for line in lines.splitlines()]
    header, _, *rows = [row for row in cells if row]
    return {kind: dict(zip(header[1:], map(int, row), strict=True)) for kind, *row in rows}


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_trained_on_are_rows_served(served: Served, family: str, record_property) -> None:
    check = FAMILIES[family]
    counted = [check(served, kinds.TEXTS)]

    @settings(max_examples=25, suppress_health_check=list(HealthCheck))
    @given(st.lists(kinds.texts, min_size=4, max_size=8))
    def generated(texts: list[str]) -> None:
        counted.append(check(served, texts))

    generated()
    # As docs/results.md has it: rows of the fixed texts, which are the same in every run.
    assert counted[0] == documented_rows()[served.kind][family] > 0
    record_property(f"served rows: {family}", sum(counted))
