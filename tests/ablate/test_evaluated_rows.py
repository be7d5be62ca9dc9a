"""Which runs are evaluated on the same rows: what their configs say, and the rows themselves."""

from __future__ import annotations

import numpy as np
import pytest

from bertjax.ablate.evaluated_rows import other_rows
from bertjax.config import DataConfig, Phase, PretrainConfig
from bertjax.data.batches import evaluation_batches
from bertjax.data.corpus import open_corpus
from bertjax.overrides import apply_overrides
from bertjax.train.data import Data

PAIRS = PretrainConfig(data=DataConfig(phases=(Phase(32, 16),)))
FULL = apply_overrides(PAIRS, ["data.format=full_sentences"])
TWO = 'data.phases=[{"seq_len":32,"fraction":0.5},{"seq_len":32,"fraction":0.5,"mask_rate":[0.3]}]'
LONGER = 'data.phases=[{"seq_len":32,"fraction":0.5},{"seq_len":48,"fraction":0.5}]'
CASES = [
    (PAIRS, "data.phases.0.batch_size=4", []),
    (PAIRS, "data.phases.0.mask_rate=0.3", []),
    (PAIRS, "seed=1", []),
    (PAIRS, "data.format=segment_pair+nsp_rows", []),
    (PAIRS, "data.format=segment_pair+sop", ["data.format"]),
    (PAIRS, "data.short_seq_prob=0.9", ["data.short_seq_prob"]),
    (PAIRS, "data.max_packed=2", ["data.max_packed"]),
    (PAIRS, TWO, ["data.phases"]),
    (FULL, TWO, []),
    (FULL, "data.short_seq_prob=0.9", []),
    (FULL, LONGER, ["data.phases"]),
    (FULL, "data.phases.0.seq_len=48", ["data.phases"]),
    (FULL, "train.eval_rows=8", ["train.eval_rows"]),
]


@pytest.mark.parametrize(("cfg", "typed", "differ"), CASES)
def test_rows_are_the_same_where_it_is_said(cfg, typed, differ, corpus):
    """The last phase's; what is said goes by the config, and the rows are made of the corpus."""
    other = apply_overrides(cfg, [typed])
    assert other_rows({"a": cfg, "b": other}, {"a": "x", "b": "x"}) == differ
    alike = all(
        np.array_equal(mine[name], theirs[name])
        for mine, theirs in zip(_rows(cfg, corpus), _rows(other, corpus), strict=False)
        for name in mine
    )
    counts = [sum(len(one["tokens"]) for one in _rows(run, corpus)) for run in (cfg, other)]
    assert (alike and counts[0] == counts[1]) == (not differ)


def _rows(cfg: PretrainConfig, corpus) -> list[dict[str, np.ndarray]]:
    held_out = {"text": open_corpus(corpus, "validation")}
    (source,) = Data(held_out, held_out).evaluation(cfg, len(cfg.data.phases) - 1).values()
    return list(evaluation_batches(source, min(cfg.train.eval_rows, 64), 8))


def test_another_corpus_has_other_rows():
    configs = {name: FULL for name in "abc"}
    assert other_rows(configs, {"a": "x,y", "b": "x,z", "c": ""}) == ["corpus"]
    assert other_rows(configs, {"a": "x,y", "b": "x,y", "c": ""}) == []


def test_weights_of_corpora_are_of_the_mean():
    two = 'data.corpora=[{"path":"a"},{"path":"b"}]'
    cfg = apply_overrides(FULL, [two])
    for weights, differ in (("2,2", []), ("1,3", ["data.phases"])):
        other = apply_overrides(cfg, [f"data.phases.0.weights={weights}"])
        assert other_rows({"a": cfg, "b": other}, {"a": "", "b": ""}) == differ
