"""Loss, bits a byte and cloze accuracy of text, and states of words, against transformers."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import oracle_transformers as oracle
import pytest
import torch
import transformers
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bertjax.errors import UserError
from bertjax.probe.held_out_text import _masked, text_scores
from bertjax.probe.tagged_words import read_tagged, tag_scores

TEXTS = ["ab cd9, w3 w5 zq. " * 4, "", "naïve 东京 ef w7", "w1 w2 w3", "\u200b", "[MASK] a"]


@pytest.fixture
def tiny(tmp_path):
    cfg = oracle.random_config(4, next_sentence_head=False, max_positions=24)
    params = oracle.random_params(cfg, 4)
    tokenizer = oracle.tiny_tokenizer(cfg.vocab_size, 1, tmp_path)
    return cfg, params, tokenizer, oracle.export(cfg, params, tokenizer, tmp_path / "hf")


def test_text_scores_are_those_of_a_slow_loop(tiny):
    cfg, params, tokenizer, directory = tiny
    reference = transformers.AutoModelForMaskedLM.from_pretrained(directory).eval()
    rows, text_of, byte_of = [], [], []
    for number, text in enumerate(TEXTS):
        ids, offsets = tokenizer.encode_with_offsets(text)
        ends = [0, *(end for _, end in offsets)]
        if not ids:
            continue
        ends[-1] = len(text)
        sizes = [len(text[a:b].encode()) for a, b in pairwise(ends)]
        assert sum(sizes) == len(text.encode())
        for part in np.array_split(np.arange(len(ids)), -(-len(ids) // 22)):
            rows.append(np.array(ids)[part])
            text_of.append(number)
            byte_of.append(np.array(sizes)[part])
    totals = np.zeros((5, len(TEXTS)))
    for i, row in enumerate(rows):
        places = _masked(i, len(row) + 2)
        tokens = torch.tensor([tokenizer.special.cls, *row.tolist(), tokenizer.special.sep])
        hidden = tokens.clone()
        hidden[places] = tokenizer.special.mask
        with torch.no_grad():
            logs = reference(hidden[None]).logits[0, places].log_softmax(-1)
        for place, log in zip(places, logs, strict=True):
            rank = (log > log[tokens[place]]).sum().item()
            size = byte_of[i][place - 1]
            totals[:, text_of[i]] += (-log[tokens[place]].item(), 1, rank < 1, rank < 5, size)
    nats, count, first, among, size = totals.sum(axis=1)
    scores = text_scores(cfg, params, tokenizer, TEXTS)
    assert scores["loss"].headline == pytest.approx(nats / count, abs=1e-5)
    assert scores["bits_per_byte"].headline == pytest.approx(nats / math.log(2) / size, abs=1e-5)
    assert scores["top1"].headline == pytest.approx(first / count)
    assert scores["top5"].headline == pytest.approx(among / count)
    np.testing.assert_allclose(scores["loss"].values, totals[0] / totals[1].mean(), atol=1e-4)
    assert count == sum(max(1, round(0.15 * len(row))) for row in rows)


def test_text_without_a_piece_is_refused(tiny):
    with pytest.raises(UserError, match="no text has a piece"):
        text_scores(*tiny[:3], ["\u200b"])


def conllu(sentences: list[list[tuple[str, str]]]) -> str:
    lines = (
        "".join(f"{i}\t{word}\t_\t{tag}" + "\t_" * 6 + "\n" for i, (word, tag) in enumerate(s, 1))
        for s in sentences
    )
    return "\n".join(lines)


def test_word_states_are_those_of_transformers_and_accuracy_that_of_scikit_learn(tiny, tmp_path):
    cfg, params, tokenizer, directory = tiny
    draw = np.random.default_rng(0)
    kinds = {"NOUN": ["w1", "abc", "w5"], "VERB": ["w2", "zq"], "PUNCT": [".", ","]}

    def sentence():
        tags = draw.choice(list(kinds), draw.integers(2, 8))
        # A word now and then has another's tag, so that no classifier is right everywhere.
        return [(str(draw.choice(kinds[t])), t if draw.random() < 0.8 else "X") for t in tags]

    files = {name: [sentence() for _ in range(n)] for name, n in (("train", 60), ("test", 40))}
    for name, sentences in files.items():
        (tmp_path / f"{name}.conllu").write_text(conllu(sentences))
    train, test = (read_tagged(str(tmp_path / f"{name}.conllu")) for name in files)
    scores = tag_scores(cfg, params, tokenizer, train, test)
    assert list(scores) == [f"60/layer_{i}" for i in range(cfg.num_layers + 1)]

    reference = transformers.AutoModel.from_pretrained(directory).eval()
    theirs = transformers.AutoTokenizer.from_pretrained(directory)

    def states(examples):
        found, tags = [], []
        for example in examples:
            encoded = theirs(list(example.texts), is_split_into_words=True, return_tensors="pt")
            firsts = [encoded.word_ids().index(i) for i in range(len(example.texts))]
            with torch.no_grad():
                layers = reference(**encoded, output_hidden_states=True).hidden_states
            found.append(torch.stack(layers)[:, 0, firsts].numpy().transpose(1, 0, 2))
            tags += example.label
        return np.concatenate(found).astype(np.float64), np.array(tags)

    (x_train, y_train), (x_test, y_test) = states(train), states(test)
    for layer in range(cfg.num_layers + 1):
        fitted = make_pipeline(StandardScaler(), LogisticRegression(tol=1e-8, max_iter=2000))
        fitted.fit(x_train[:, layer], y_train)
        expected = fitted.score(x_test[:, layer], y_test)
        assert scores[f"60/layer_{layer}"].headline == pytest.approx(expected, abs=0.015)


def test_what_is_no_treebank_is_refused(tmp_path):
    for text, message in (
        ("", "no sentence in it|empty"),
        ("the\tDET\n", "not with a word's number"),
        (conllu([[("a", "_")]]), "no tag in column 4"),
    ):
        (tmp_path / "x.conllu").write_text(text)
        with pytest.raises(UserError, match=message):
            read_tagged(str(tmp_path / "x.conllu"))
