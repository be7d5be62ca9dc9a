"""Masks equal the published procedures, and keep every promise the presets make."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import jax
import numpy as np
import oracle_masking as oracle
import pytest
from scipy import stats

from bertjax.config import MaskingConfig
from bertjax.errors import UserError
from bertjax.objectives import masking
from bertjax.objectives.presets import PRESETS
from bertjax.text.special import SpecialIds

SPECIAL = SpecialIds(pad=0, unk=7, cls=2, sep=3, mask=5)  # not contiguous: skipping must work
RESERVED = [0, 7, 2, 3, 5]
V, T, B = 60, 48, 24


def make_batch(seed: int, seq_len: int = T, rows: int = B) -> dict[str, np.ndarray]:
    """Rows of random length with [CLS], a [SEP] inside and at the end, and words of 1-5 pieces."""
    rng = np.random.default_rng(seed)
    tokens = np.zeros((rows, seq_len), np.int32)
    segments = np.zeros((rows, seq_len), np.int32)
    starts = np.zeros((rows, seq_len), bool)
    ordinary = np.setdiff1d(np.arange(V), RESERVED)
    for b in range(rows):
        n = rng.integers(3, seq_len + 1) if b else seq_len
        tokens[b, :n] = rng.choice(ordinary, n)
        segments[b, :n] = 1
        starts[b, :n] = rng.random(n) < rng.choice([0.3, 0.6, 1.0])
        tokens[b, 0] = SPECIAL.cls
        tokens[b, n - 1] = SPECIAL.sep
        if n > 8:
            tokens[b, rng.integers(2, n - 2)] = SPECIAL.sep
    ids = np.stack([np.full(rows, seed), np.arange(rows)], 1).astype(np.uint32)
    return {"tokens": tokens, "segments": segments, "word_starts": starts, "example_ids": ids}


@partial(jax.jit, static_argnums=0)
def mask(cfg: MaskingConfig, batch, seed=0):
    return masking.mask_batch(cfg, batch, special=SPECIAL, vocab_size=V, seed=seed)


# Tiny shapes need none of XLA's optimisations, which are most of the time of a new config.
mask_plainly = jax.jit(
    mask.__wrapped__, static_argnums=0, compiler_options={"xla_backend_optimization_level": 0}
)


@partial(jax.jit, static_argnums=(0, 2))
def draws_of(cfg: MaskingConfig, ids, seq_len):
    return jax.vmap(lambda i: masking.draw(masking.row_key(cfg, 0, i), seq_len))(ids)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_equals_the_plain_oracle(name):
    cfg = PRESETS[name]
    for seed in range(2):
        batch = make_batch(seed)
        got = jax.device_get(mask(cfg, batch))
        draws = jax.device_get(draws_of(cfg, batch["example_ids"], T))
        for b in range(B):
            row = masking.Draws(*(x[b] for x in draws))
            want, chosen = oracle.mask_row(
                cfg,
                batch["tokens"][b].tolist(),
                batch["segments"][b].tolist(),
                batch["word_starts"][b].tolist(),
                row,
                SPECIAL,
                V,
                masking.slots(cfg, T),
            )
            weights = got["predict_weights"][b] > 0
            assert got["predict_positions"][b][weights].tolist() == chosen
            assert got["tokens"][b].tolist() == want
            assert (got["predict_labels"][b][weights] == batch["tokens"][b][chosen]).all()


@pytest.mark.parametrize("name", ["google_static", "cramming", "google_wwm", "albert_ngram"])
def test_the_number_of_predictions_is_exact(name):
    """Pieces: exactly K. Words: never more, and short only where no remaining word fits.

    A word that would fit is left in one case: as the first of an n-gram that met one taken before.
    """
    cfg = PRESETS[name]
    for seed in range(5, 15):
        batch = make_batch(seed)
        got = jax.device_get(mask(cfg, batch))
        n = (batch["segments"] != 0).sum(1)
        choosable = n if cfg.mask_specials else n - np.isin(batch["tokens"], [2, 3]).sum(1)
        want = np.minimum([max(1, round(cfg.rate * int(x))) for x in n], masking.slots(cfg, T))
        want = np.minimum(want, choosable)
        count = got["predict_weights"].sum(1)
        if cfg.unit == "piece":
            np.testing.assert_array_equal(count, want)
            continue
        assert (count <= want).all() and count.sum() > B
        longest = cfg.max_ngram if cfg.unit == "ngram" else 1
        for b in range(B):
            chosen = set(got["predict_positions"][b][got["predict_weights"][b] > 0].tolist())
            columns = [batch[key][b].tolist() for key in ("tokens", "segments", "word_starts")]
            units = oracle.units_of(cfg, *columns, SPECIAL)
            taken = [unit[0] in chosen for unit in units]
            for i, unit in enumerate(units):
                assert any(taken[i : i + longest]) or len(unit) > want[b] - count[b]


@pytest.mark.parametrize(
    "name", ["google_wwm", "fairseq_wwm", "ernie1", "albert_ngram", "spanbert"]
)
def test_words_are_chosen_whole_or_not_at_all(name):
    cfg = PRESETS[name]
    batch = make_batch(6)
    got = jax.device_get(mask(cfg, batch))
    for b in range(B):
        chosen = set(got["predict_positions"][b][got["predict_weights"][b] > 0].tolist())
        columns = [batch[key][b].tolist() for key in ("tokens", "segments", "word_starts")]
        for unit in oracle.units_of(cfg, *columns, SPECIAL):
            assert len(chosen & set(unit)) in (0, len(unit))
    assert got["predict_weights"].sum() > B


def test_special_tokens_and_padding_are_never_chosen_nor_drawn():
    cfg = MaskingConfig(rate=0.9, mask_share=0.0, random_share=1.0)
    batch = make_batch(8)
    got = jax.device_get(mask(cfg, batch))
    changed = got["tokens"] != batch["tokens"]
    assert not np.isin(batch["tokens"][changed], [0, 2, 3, 5]).any()
    assert not np.isin(got["tokens"][changed], RESERVED).any()
    assert (got["tokens"] < V).all()
    weighted = got["predict_weights"] > 0
    assert not np.isin(got["predict_labels"][weighted], [0, 2, 3, 5]).any()


@pytest.mark.parametrize("name", ["albert_ngram", "spanbert"])
def test_lengths_beyond_the_end_of_a_row_end_there(name):
    """At the last word but one p(1) is that of anywhere: 6/11 of ALBERT's, not 2/3."""
    cfg = replace(PRESETS[name], rate=1.0, slots=2)
    one = masking.run_length_cdf(cfg)[0] / masking.run_length_cdf(cfg)[-1]
    rows = 4000
    ids = np.stack([np.zeros(rows), np.arange(rows)], 1).astype(np.uint32)
    draws = jax.device_get(draws_of(cfg, ids, 2))
    first = draws.order[:, 0] < draws.order[:, 1]  # its length decides whether both are one run
    runs = jax.vmap(lambda order, size: masking._take_runs(cfg, np.ones(2, int), order, size, 2, 2))
    begins = np.asarray(runs(draws.order, draws.length))
    assert (begins < 2).all()
    alone = (begins[first][:, 1] == 1).sum()
    assert stats.binomtest(int(alone), int(first.sum()), float(one)).pvalue > 1e-3


def many_draws(cfg: MaskingConfig, epochs: int = 40):
    """Original and masked token of every prediction over several epochs of one batch."""
    batch = make_batch(0)
    before, after = [], []
    for epoch in range(epochs):
        ids = batch["example_ids"].copy()
        ids[:, 0] = epoch
        got = jax.device_get(mask(cfg, batch | {"example_ids": ids}))
        weighted = got["predict_weights"] > 0
        before.append(got["predict_labels"][weighted])
        after.append(np.take_along_axis(got["tokens"], got["predict_positions"], 1)[weighted])
    return np.concatenate(before), np.concatenate(after)


@pytest.mark.slow
@pytest.mark.parametrize("shares", [(0.8, 0.1), (1.0, 0.0), (0.0, 0.5), (0.85, 0.0)])
def test_branch_shares_pass_a_chi_square(shares):
    """`random` may draw the original; that shows as kept, and is expected so."""
    cfg = MaskingConfig(mask_share=shares[0], random_share=shares[1])
    before, after = many_draws(cfg)
    same = shares[1] / (V - len(RESERVED))
    expected = np.array([shares[0], shares[1] - same, 1 - sum(shares) + same]) * len(before)
    seen = np.array(
        [
            (after == SPECIAL.mask).sum(),
            ((after != SPECIAL.mask) & (after != before)).sum(),
            (after == before).sum(),
        ]
    )
    assert seen.sum() == len(before)
    live = expected > 0
    assert (seen[~live] == 0).all()
    if live.sum() > 1:
        assert stats.chisquare(seen[live], expected[live]).pvalue > 1e-4


@pytest.mark.slow
def test_random_ids_are_uniform_over_their_support():
    cfg = MaskingConfig(rate=0.5, mask_share=0.0, random_share=1.0)
    _, after = many_draws(cfg)
    counts = np.bincount(after, minlength=V)
    assert (counts[RESERVED] == 0).all()
    assert stats.chisquare(np.delete(counts, RESERVED)).pvalue > 1e-4
    _, after = many_draws(replace(cfg, random_ids="vocabulary"))
    assert (np.bincount(after, minlength=V) > 0).all()


def test_bernoulli_rate():
    before, _ = many_draws(PRESETS["hf"])
    batch = make_batch(0)
    choosable = (batch["segments"] != 0) & ~np.isin(batch["tokens"], [2, 3])
    trials = 40 * int(choosable.sum())
    assert stats.binomtest(len(before), trials, 0.15).pvalue > 1e-4


@pytest.mark.parametrize("name", ["fairseq", "fairseq_wwm"])
def test_fairseq_chooses_special_tokens_as_often_as_others(name):
    """MaskTokensDataset draws among all tokens of a row, to which <s> was prepended before."""
    before, _ = many_draws(PRESETS[name])
    assert stats.binomtest(int((before == SPECIAL.cls).sum()), 40 * B, 0.15).pvalue > 1e-3


def test_dynamic_masks_change_each_epoch_and_static_ones_come_back():
    batch = make_batch(0)

    def positions(cfg, epoch):
        ids = batch["example_ids"].copy()
        ids[:, 0] = epoch
        return np.asarray(mask(cfg, batch | {"example_ids": ids})["predict_positions"])

    dynamic = MaskingConfig()
    assert (positions(dynamic, 0) != positions(dynamic, 1)).any()
    static = MaskingConfig(static_copies=2)
    assert (positions(static, 0) == positions(static, 2)).all()
    assert (positions(static, 0) != positions(static, 1)).any()
    once = MaskingConfig(static_copies=1)
    assert (positions(once, 0) == positions(once, 7)).all()


def test_a_rows_mask_depends_on_its_key_alone():
    """Any row can be replayed out of its batch."""
    batch = make_batch(3)
    whole = jax.device_get(mask(PRESETS["google_wwm"], batch))
    some = jax.device_get(mask(PRESETS["google_wwm"], {k: v[10:20] for k, v in batch.items()}))
    for key in ("tokens", "predict_positions", "predict_weights"):
        np.testing.assert_array_equal(whole[key][10:20], some[key])


def test_a_row_with_nothing_to_mask_has_no_predictions():
    batch = {k: v[:2].copy() for k, v in make_batch(0).items()}
    batch["segments"][0] = 0
    batch["tokens"][0] = SPECIAL.pad
    for name in ("google_static", "electra", "albert_ngram", "hf", "fairseq_wwm"):
        got = mask(PRESETS[name], batch)
        assert float(got["predict_weights"][0].sum()) == 0
        np.testing.assert_array_equal(got["tokens"][0], batch["tokens"][0])


# One of each way to choose.
EACH_WAY = ["google_wwm", "electra", "albert_ngram", "hf", "fairseq", "fairseq_wwm", "flax_models"]


@pytest.mark.slow
@pytest.mark.parametrize("name", EACH_WAY)
def test_at_rate_zero_nothing_is_predicted(name):
    batch = make_batch(2, rows=6)
    got = mask_plainly(replace(PRESETS[name], rate=0.0), batch)
    assert not got["predict_weights"].any()
    np.testing.assert_array_equal(got["tokens"], batch["tokens"])


@pytest.mark.parametrize("seq_len", [8, 128, 512])
def test_slots_hold_what_the_rate_asks_for(seq_len):
    """Of random counts all but one in a million, and not many more."""
    assert masking.slots(MaskingConfig(), seq_len) == max(1, round(0.15 * seq_len))
    assert masking.slots(MaskingConfig(slots=3), seq_len) == 3
    for name in ("hf", "modernbert", "neobert", "ernie1", "fairseq_wwm"):
        rate = PRESETS[name].rate
        most = int(stats.binom.isf(1e-6, seq_len, rate))
        assert most <= masking.slots(PRESETS[name], seq_len) <= min(seq_len, 1.2 * most + 4), name
    whole, rest = divmod(0.15 * seq_len, 1)
    assert masking.slots(PRESETS["fairseq"], seq_len) - whole - (rest > 0) in (0, 1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"unit": "span", "count": "bernoulli"}, "masking.unit=span"),
        ({"unit": "ngram", "count_unit": "unit"}, "masking.count_unit=unit"),
        ({"with_replacement": True, "unit": "word"}, "masking.with_replacement=true"),
        ({"with_replacement": True, "count": "bernoulli"}, "masking.count=bernoulli"),
    ],
)
def test_a_count_that_the_choice_would_not_keep_is_refused(options, words):
    with pytest.raises(UserError, match=words):
        MaskingConfig(**options)
