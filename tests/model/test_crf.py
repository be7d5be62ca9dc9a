"""The CRF against every path there is, and what its sums and rules promise."""

from __future__ import annotations

from functools import cache
from itertools import pairwise, product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp

from bertjax.model import crf
from bertjax.model.crf import Potentials, TagRules

C, W = 3, 4
LENGTHS = (4, 0, 1, 3)
WORDS = np.arange(W) < np.array(LENGTHS)[:, None]

# O, B, I of one entity type: IOB2. An I only after B or I; nothing else is forbidden.
IOB2 = TagRules(
    start=(True, True, False),
    transition=((True, True, False), (True, True, True), (True, True, True)),
    end=(True, True, True),
)
# S, B, E: a B is followed by an E at once, so that sentences cannot end in B either.
CHUNKS = TagRules(
    start=(True, True, False),
    transition=((True, True, False), (False, False, True), (True, True, False)),
    end=(True, False, True),
)


def random_field(seed: int, rules: TagRules | None = None) -> tuple[Potentials, np.ndarray]:
    draw = np.random.default_rng(seed)
    learned = Potentials(*(draw.normal(0, 1, s).astype(np.float32) for s in (C, (C, C), C)))
    emissions = draw.normal(0, 2, (len(LENGTHS), W, C)).astype(np.float32)
    return (learned if rules is None else crf.restrict(learned, rules)), emissions


def is_allowed(path: tuple[int, ...], rules: TagRules | None) -> bool:
    if rules is None or not path:
        return True
    pairs = all(rules.transition[a][b] for a, b in pairwise(path))
    return rules.start[path[0]] and rules.end[path[-1]] and pairs


def all_paths(
    field: Potentials, emissions: np.ndarray, length: int, rules: TagRules | None
) -> dict[tuple[int, ...], float]:
    """The score of every allowed path of one row, by its definition, in double precision."""
    start, transition, end = (np.asarray(p, np.float64) for p in field)
    scores = {}
    for path in product(range(C), repeat=length):
        if is_allowed(path, rules):
            total = sum(float(emissions[t, tag]) for t, tag in enumerate(path))
            if path:
                total += start[path[0]] + end[path[-1]]
            scores[path] = total + sum(transition[a, b] for a, b in pairwise(path))
    return scores


@cache
def compiled(name: str):
    return jax.jit(getattr(crf, name))


@pytest.mark.parametrize("rules", [None, IOB2, CHUNKS], ids=["free", "iob2", "chunks"])
@pytest.mark.parametrize("seed", range(3))
def test_sums_marginals_and_best_path_equal_those_over_all_paths(seed, rules) -> None:
    field, emissions = random_field(seed, rules)
    partition = compiled("log_partition")(field, emissions, WORDS)
    marginals = compiled("marginals")(field, emissions, WORDS)
    best = compiled("best_path")(field, emissions, WORDS)
    assert best.dtype == jnp.int32
    for row, length in enumerate(LENGTHS):
        scores = all_paths(field, emissions[row], length, rules)
        total = logsumexp(list(scores.values()))
        assert float(partition[row]) == pytest.approx(total, abs=1e-4)
        expected = np.zeros((W, C))
        for path, score in scores.items():
            for t, tag in enumerate(path):
                expected[t, tag] += np.exp(score - total)
        np.testing.assert_allclose(marginals[row], expected, atol=1e-5)
        assert tuple(best[row, :length].tolist()) == max(scores, key=scores.__getitem__)
        assert (best[row, length:] == -1).all()


@pytest.mark.parametrize("rules", [None, CHUNKS], ids=["free", "chunks"])
def test_likelihood_of_whole_and_partial_labels(rules) -> None:
    field, emissions = random_field(7, rules)
    tags = np.array([[0, 1, 2, 0], [-1] * 4, [0, -1, -1, -1], [1, 2, 0, -1]], np.int32)
    for known in (tags, np.where(np.arange(W) == 1, -1, tags)):
        found = compiled("log_likelihood")(field, emissions, known, WORDS)
        for row, length in enumerate(LENGTHS):
            scores = all_paths(field, emissions[row], length, rules)
            agreeing = [
                score
                for path, score in scores.items()
                if all(k in (-1, tag) for k, tag in zip(known[row], path, strict=False))
            ]
            expected = logsumexp(agreeing) - logsumexp(list(scores.values()))
            assert float(found[row]) == pytest.approx(expected, abs=1e-4)
    assert float(found[1]) == 0.0


@pytest.mark.parametrize("scale", [1.0, 1e3])
def test_gradients_are_finite_and_padding_has_none(scale) -> None:
    field, emissions = random_field(1, CHUNKS)
    tags = np.array([[0, 1, 2, 0], [-1] * 4, [0, -1, -1, -1], [1, 2, 0, -1]], np.int32)

    def total(field, emissions):
        return jnp.sum(crf.log_likelihood(field, emissions, tags, WORDS))

    by_field, by_emissions = jax.jit(jax.grad(total, argnums=(0, 1)))(field, scale * emissions)
    assert all(np.isfinite(leaf).all() for leaf in (*by_field, by_emissions))
    assert not by_emissions[~WORDS].any()
    # What a gold path takes it gives: probabilities of a word's tags sum to one on both sides.
    np.testing.assert_allclose(by_emissions.sum(-1), 0, atol=1e-3)
    assert np.abs(by_emissions[0]).max() > 1e-3


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.1, 10.0, 1e4]))
def test_forbidden_tags_are_never_on_the_path_nor_probable(seed, scale) -> None:
    """However strongly the words ask for them."""
    field, emissions = random_field(seed, CHUNKS)
    emissions = (scale * emissions).astype(np.float32)
    best = np.asarray(compiled("best_path")(field, emissions, WORDS))
    marginals = np.asarray(compiled("marginals")(field, emissions, WORDS))
    assert np.isfinite(marginals).all()
    for row, length in enumerate(LENGTHS):
        assert is_allowed(tuple(best[row, :length].tolist()), CHUNKS)
        if length:
            assert marginals[row, 0, 2] == 0 and marginals[row, length - 1, 1] == 0


def test_words_and_rows_do_not_touch_their_neighbours() -> None:
    field, emissions = random_field(2)
    noisy = np.where(WORDS[..., None], emissions, 1e5).astype(np.float32)
    for name in ("log_partition", "marginals", "best_path"):
        np.testing.assert_array_equal(
            compiled(name)(field, emissions, WORDS), compiled(name)(field, noisy, WORDS)
        )


def test_what_is_forbidden_is_not_learnt() -> None:
    module = crf.CRF(C, CHUNKS)
    field, allowed = module(), CHUNKS
    for found, ok in zip(field, (allowed.start, allowed.transition, allowed.end), strict=True):
        np.testing.assert_array_equal(found, np.where(ok, 0.0, crf.FORBIDDEN))
