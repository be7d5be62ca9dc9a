"""Dynamic masking on the device: which tokens are predicted, and what stands in their place.

Everything here is per row and jit-able. A row's mask depends only on (seed, epoch, row), so any
mask can be replayed. Random numbers are drawn first (`Draws`) and choices made from them without
further randomness; the tests give the same draws to a plain oracle that follows the published
procedures and expect the same mask.

Two algorithms choose units (a piece, a word, or a run of words) within a budget of pieces:
units that never overlap are taken all at once by prefix sums (`_take_disjoint`), n-grams and
spans one after the other (`_take_runs`).
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bertjax.config import MaskingConfig
from bertjax.text.special import SpecialIds


class Draws(NamedTuple):
    """All randomness of one row; arrays are [T], used at the index of a unit's first token."""

    order: Array  # uniform: units are visited in this order; also the Bernoulli draw
    length: Array  # uniform: how many words an n-gram or span has
    share: Array  # uniform: mask, random or keep
    random_id: Array  # uint32: the replacement, reduced to the allowed ids
    position: Array  # uniform: positions drawn with replacement (ELECTRA)
    rounding: Array  # uniform scalar: fairseq's probabilistic rounding


def slots(cfg: MaskingConfig, seq_len: int) -> int:
    """K: prediction slots a row of `seq_len` tokens needs.

    For a fixed count that is the count of a full row. For a random count (Bernoulli, or words of
    unequal length) it is the mean plus six standard deviations; what would not fit is left out.
    There is one slot at least; at rate 0 it stays empty.
    """
    if cfg.slots:
        return min(cfg.slots, seq_len)
    mean = cfg.rate * seq_len
    if cfg.count == "bernoulli" or cfg.count_unit == "unit":
        mean += 6 * (mean * (1 - cfg.rate)) ** 0.5 + 1
    elif cfg.count == "fairseq":
        mean += 1
    return int(min(seq_len, max(1, round(mean))))


def draw(key: Array, seq_len: int) -> Draws:
    """Draw one row's random numbers."""
    keys = jax.random.split(key, 6)
    uniforms = [jax.random.uniform(k, (seq_len,)) for k in keys[:4]]
    return Draws(
        order=uniforms[0],
        length=uniforms[1],
        share=uniforms[2],
        position=uniforms[3],
        random_id=jax.random.bits(keys[4], (seq_len,), jnp.uint32),
        rounding=jax.random.uniform(keys[5]),
    )


def row_key(cfg: MaskingConfig, seed: Array | int, example_id: Array) -> Array:
    """The key of a row: `example_id` is uint32 [2], (epoch, row of the plan).

    `static_copies` n makes n fixed masks that take turns, as Google's dupe_factor does.
    """
    epoch = example_id[0] % cfg.static_copies if cfg.static_copies else example_id[0]
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), epoch), example_id[1])


def mask_batch(
    cfg: MaskingConfig,
    batch: dict[str, Array],
    *,
    special: SpecialIds,
    vocab_size: int,
    seed: Array | int,
    rate: Array | None = None,
) -> dict[str, Array]:
    """Corrupt a batch's tokens and say what must be predicted.

    Args:
        cfg: what to choose and what to put in its place.
        batch: int32 [B, T] `tokens` and `segments` (0 is padding), bool [B, T] `word_starts`,
            uint32 [B, 2] `example_ids`.
        special: ids of the special tokens.
        vocab_size: V, without padding: ids at or above it are never drawn.
        seed: of the run.
        rate: float32, at most that of `cfg`, in place of it; None: that of `cfg`.

    Returns:
        The batch with `tokens` replaced, and, sorted by position and padded with position 0 of
        weight 0: int32 [B, K] `predict_positions` and `predict_labels`, float32 [B, K]
        `predict_weights`.
    """
    seq_len = batch["tokens"].shape[1]

    def row(tokens, segments, word_starts, example_id):
        draws = draw(row_key(cfg, seed, example_id), seq_len)
        return mask_row(cfg, tokens, segments, word_starts, draws, special, vocab_size, rate)

    masked, positions, weights = jax.vmap(row)(
        batch["tokens"], batch["segments"], batch["word_starts"], batch["example_ids"]
    )
    labels = jnp.take_along_axis(batch["tokens"], positions, axis=1)
    return batch | {
        "tokens": masked,
        "predict_positions": positions,
        "predict_labels": labels,
        "predict_weights": weights,
    }


def mask_row(
    cfg: MaskingConfig,
    tokens: Array,
    segments: Array,
    word_starts: Array,
    draws: Draws,
    special: SpecialIds,
    vocab_size: int,
    rate: Array | None = None,
) -> tuple[Array, Array, Array]:
    """Mask one row: all inputs [T] -> tokens [T], positions int32 [K], weights float32 [K]."""
    seq_len = tokens.shape[0]
    num_slots = slots(cfg, seq_len)
    choosable = _choosable(cfg, tokens, segments, special)
    starts = choosable & (word_starts if cfg.unit != "piece" else True)
    # The first choosable token after a special one begins a unit whatever the tokenizer says.
    starts |= choosable & ~jnp.roll(choosable, 1).at[0].set(False)
    unit_of = jnp.where(choosable, jnp.cumsum(starts) - 1, seq_len)  # [T]; seq_len: no unit
    head_of = _first_index(unit_of, seq_len)  # [T units]: index of each unit's first token
    lengths = jax.ops.segment_sum(choosable.astype(jnp.int32), unit_of, seq_len)

    num_units = jnp.sum(starts)
    length_n = jnp.sum((segments != 0) if cfg.count_specials else choosable)
    counted = length_n if cfg.count_unit == "piece" else num_units
    budget = _budget(cfg, counted, seq_len, draws, rate)
    if cfg.with_replacement:
        chosen = _take_with_replacement(choosable, jnp.minimum(budget, num_slots), draws)
        run_of = jnp.arange(seq_len)
    else:
        visit = jnp.where(lengths > 0, draws.order[head_of], jnp.inf)
        pieces = jnp.minimum(budget, num_slots)
        eligible = lengths > 0
        if cfg.count == "bernoulli" or cfg.count_unit == "unit":
            pieces = jnp.asarray(num_slots)
            wanted = jnp.minimum(budget, num_units)
            below = visit < (cfg.rate if rate is None else rate)
            eligible = below if cfg.count == "bernoulli" else _rank(visit) < wanted
        if cfg.unit in ("ngram", "span"):
            size = draws.length[head_of]
            run_of_unit = _take_runs(cfg, lengths, visit, size, num_units, pieces)
        else:
            taken = _take_disjoint(lengths, visit, eligible, pieces)
            run_of_unit = jnp.where(taken, jnp.arange(seq_len), seq_len)
        run_of_unit = jnp.append(run_of_unit, seq_len)[unit_of]  # [T]: unit its run begins at
        chosen = run_of_unit < seq_len
        run_of = head_of[jnp.minimum(run_of_unit, seq_len - 1)]  # [T]: token its run begins at

    masked = _replace(cfg, tokens, chosen, run_of, draws, special, vocab_size)
    positions = jnp.nonzero(chosen, size=num_slots, fill_value=0)[0].astype(jnp.int32)
    weights = (jnp.arange(num_slots) < jnp.sum(chosen)).astype(jnp.float32)
    return masked, positions, weights


def _choosable(cfg: MaskingConfig, tokens: Array, segments: Array, special: SpecialIds) -> Array:
    real = segments != 0
    if cfg.mask_specials:
        return real
    for token in (special.pad, special.cls, special.sep, special.mask):
        real &= tokens != token
    return real


def _first_index(unit_of: Array, seq_len: int) -> Array:
    """Index of the first token of each unit; seq_len − 1 for units that do not exist."""
    index = jnp.arange(seq_len)
    first = jax.ops.segment_min(index, unit_of, seq_len)
    return jnp.clip(first, 0, seq_len - 1)


def _rank(values: Array) -> Array:
    return jnp.argsort(jnp.argsort(values))


def _budget(cfg: MaskingConfig, n: Array, seq_len: int, draws: Draws, rate: Array | None) -> Array:
    """How many pieces (or units) to choose in a row that has n of them."""
    if rate is not None:  # a float32 that only a running program knows
        product = rate * n
        if cfg.count == "fairseq":
            return jnp.floor(product + draws.rounding).astype(jnp.int32)
        if cfg.count == "floor":
            return jnp.floor(product).astype(jnp.int32)
        least = jnp.where(rate > 0, 1, 0)
        return jnp.maximum(least, jnp.round(product)).astype(jnp.int32)
    # A table made in double precision: round() must see 0.15·30 as 4.5, not as its float32.
    products = [cfg.rate * i for i in range(seq_len + 1)]
    if cfg.count == "fairseq":
        mean = jnp.asarray(np.asarray(products, np.float32))[n]
        return jnp.floor(mean + draws.rounding).astype(jnp.int32)
    if cfg.count == "floor" or not cfg.rate:
        table = [int(x) for x in products]
    else:
        table = [max(1, round(x)) for x in products]
    return jnp.asarray(table, jnp.int32)[n]


def _take_with_replacement(choosable: Array, budget: Array, draws: Draws) -> Array:
    """ELECTRA (pretrain_helpers.mask): `budget` uniform draws; duplicates count once."""
    seq_len = choosable.shape[0]
    candidates = jnp.nonzero(choosable, size=seq_len, fill_value=seq_len)[0]
    count = jnp.sum(choosable)
    drawn = candidates[jnp.minimum(jnp.floor(draws.position * count).astype(jnp.int32), count - 1)]
    drawn = jnp.where((jnp.arange(seq_len) < budget) & (count > 0), drawn, seq_len)
    return jnp.zeros(seq_len, bool).at[drawn].set(True, mode="drop")


def _take_disjoint(lengths: Array, visit: Array, eligible: Array, budget: Array) -> Array:
    """Visit units in order; take each that still fits (bert create_pretraining_data.py).

    A unit that would overflow is passed over, and shorter ones after it may still fit. Each
    round takes the longest prefix that fits and drops what can no longer fit; what is left of
    the budget falls below the length of the unit that stopped it, so a row needs few rounds.

    Shapes: all [units] but the scalar budget; returns bool [units].
    """
    order = jnp.argsort(visit)
    length, open_ = lengths[order], eligible[order]

    def fitting(state):
        taken, left = state
        return open_ & ~taken & (length <= left)

    def round_(state):
        fits = fitting(state)
        fits &= jnp.cumsum(jnp.where(fits, length, 0)) <= state[1]
        return state[0] | fits, state[1] - jnp.sum(jnp.where(fits, length, 0))

    start = (jnp.zeros(lengths.shape, bool), jnp.asarray(budget, jnp.int32))
    taken, _ = jax.lax.while_loop(lambda state: jnp.any(fitting(state)), round_, start)
    return jnp.zeros_like(taken).at[order].set(taken)


def run_length_cdf(cfg: MaskingConfig) -> np.ndarray:
    """Unnormalised cumulative weights of run lengths 1, 2, ...: 1/n or geometric."""
    if cfg.unit == "ngram":
        weights = [1.0 / n for n in range(1, cfg.max_ngram + 1)]
    else:
        weights = [cfg.span_p * (1 - cfg.span_p) ** n for n in range(cfg.span_max)]
    return np.cumsum(np.asarray(weights, np.float32), dtype=np.float32)


def _take_runs(
    cfg: MaskingConfig, lengths: Array, visit: Array, size: Array, num_units: Array, budget: Array
) -> Array:
    """Take runs of words in random order (albert create_pretraining_data.py; SpanBERT 3.1).

    A run that would overflow the budget is tried shorter, and passed over if it overlaps one
    taken before. Returns int [units]: the unit each taken unit's run begins at, or T.
    """
    seq_len = lengths.shape[0]
    cdf = jnp.asarray(run_length_cdf(cfg))
    longest = cdf.shape[0]
    n_choices = 1 + jnp.arange(longest)
    order = jnp.argsort(visit)
    ends = jnp.concatenate([jnp.zeros(1, jnp.int32), jnp.cumsum(lengths)])  # [units + 1]
    unit = jnp.arange(seq_len)

    def more(state):
        step, left, _ = state
        return (step < num_units) & (left > 0)

    def visit_one(state):
        step, left, run_of = state
        first = order[step]
        # What is drawn beyond the last unit ends there; shorter lengths are no likelier for it.
        possible = jnp.minimum(longest, num_units - first)
        longer = (cdf <= size[first] * cdf[-1]) & (n_choices < possible)
        wanted = 1 + jnp.sum(longer)
        fits = ends[jnp.minimum(first + n_choices, seq_len)] - ends[first] <= left
        n = jnp.max(jnp.where(fits & (n_choices <= wanted), n_choices, 0))
        run = (unit >= first) & (unit < first + n)
        run &= ~jnp.any(run & (run_of < seq_len))
        return step + 1, left - jnp.sum(jnp.where(run, lengths, 0)), jnp.where(run, first, run_of)

    start = (0, jnp.asarray(budget, jnp.int32), jnp.full(seq_len, seq_len))
    return jax.lax.while_loop(more, visit_one, start)[2]


def _replace(
    cfg: MaskingConfig,
    tokens: Array,
    chosen: Array,
    run_of: Array,
    draws: Draws,
    special: SpecialIds,
    vocab_size: int,
) -> Array:
    """Put [MASK], a random token or the token itself at each chosen position."""
    if cfg.exact_shares:  # cramming: the first 80 % of the chosen in random order, then 10 %
        rank, count = _rank(jnp.where(chosen, draws.order, jnp.inf)), jnp.sum(chosen)
        to_mask = rank < jnp.round(cfg.mask_share * count)
        to_change = rank < jnp.round((cfg.mask_share + cfg.random_share) * count)
    else:
        share = draws.share if cfg.share_unit == "piece" else draws.share[run_of]
        to_mask = share < cfg.mask_share
        to_change = share < cfg.mask_share + cfg.random_share
    masked = jnp.where(chosen & to_mask, special.mask, tokens)
    highest = jnp.max(masked) + 1
    random_id = _random_ids(cfg, draws.random_id, special, vocab_size, highest)
    return jnp.where(chosen & to_change & ~to_mask, random_id, masked).astype(tokens.dtype)


def _random_ids(
    cfg: MaskingConfig, bits: Array, special: SpecialIds, vocab_size: int, highest: Array
) -> Array:
    """Reduce uint32 draws to the allowed ids. `highest` is one more than the row's largest id."""
    if cfg.random_ids == "row_max":
        return (bits % highest.astype(jnp.uint32)).astype(jnp.int32)
    if cfg.random_ids == "vocabulary":
        return (bits % jnp.uint32(vocab_size)).astype(jnp.int32)
    reserved = sorted({special.pad, special.unk, special.cls, special.sep, special.mask})
    ids = (bits % jnp.uint32(vocab_size - len(reserved))).astype(jnp.int32)
    for token in reserved:  # ascending, so each step skips over one reserved id
        ids += ids >= token
    return ids
