"""A linear-chain conditional random field over the words of a sentence (Lafferty et al. 2001).

A path y of tags has the score start[y₁] + Σ emission[t, yₜ] + Σ transition[yₜ₋₁, yₜ] + end[y_W],
and the probability exp(score) over the sum of all paths' (Lample et al. 2016, section 2.2).

Axis letters: B rows, W words, C tags. Words are the first of a row, padding follows; a row of no
words is allowed. All in float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from bertjax.facts import VECTOR

# Far below any sum of logits and still finite, so that gradients are numbers. Far above the lowest
# float32 too: a sum of many keeps its distance from overflow.
FORBIDDEN = -1e6


@dataclass(frozen=True)
class TagRules:
    """Which tags may begin a sentence, follow one another and end it: the scheme's grammar."""

    start: tuple[bool, ...]  # [C]
    transition: tuple[tuple[bool, ...], ...]  # [C, C]: from the row's tag to the column's
    end: tuple[bool, ...]  # [C]


class Potentials(NamedTuple):
    """Scores of a path besides its emissions, float32."""

    start_C: Array
    transition_CC: Array
    end_C: Array


class CRF(nnx.Module):
    """The learned potentials; what the rules forbid is out of reach of training."""

    def __init__(self, classes: int, rules: TagRules | None):
        self.rules = rules
        self.start = nnx.Param(jnp.zeros(classes), **VECTOR)
        self.transitions = nnx.Param(jnp.zeros((classes, classes)), **VECTOR)
        self.end = nnx.Param(jnp.zeros(classes), **VECTOR)

    def __call__(self) -> Potentials:
        """The potentials, forbidden ones at `FORBIDDEN`."""
        learned = Potentials(self.start[...], self.transitions[...], self.end[...])
        return learned if self.rules is None else restrict(learned, self.rules)


def restrict(potentials: Potentials, rules: TagRules) -> Potentials:
    """Put what the rules forbid at `FORBIDDEN`."""
    allowed = (rules.start, rules.transition, rules.end)
    return Potentials(
        *(jnp.where(np.asarray(a), p, FORBIDDEN) for p, a in zip(potentials, allowed, strict=True))
    )


def log_partition(potentials: Potentials, emissions_BWC: Array, words_BW: Array) -> Array:
    """Log of the sum over all paths of exp(score), [B]; 0 where a row has no words.

    Args:
        potentials: of the field.
        emissions_BWC: float32 scores of each word's tags.
        words_BW: bool, False for padding.
    """
    alpha_BC = potentials.start_C + emissions_BWC[:, 0]

    def step(alpha_BC, word):
        emission_BC, is_word_B = word
        scores_BCC = alpha_BC[:, :, None] + potentials.transition_CC + emission_BC[:, None]
        longer_BC = jax.nn.logsumexp(scores_BCC, axis=1)
        return jnp.where(is_word_B[:, None], longer_BC, alpha_BC), None

    rest = (jnp.moveaxis(emissions_BWC, 1, 0)[1:], words_BW.T[1:])
    alpha_BC, _ = jax.lax.scan(step, alpha_BC, rest)
    total_B = jax.nn.logsumexp(alpha_BC + potentials.end_C, axis=1)
    return jnp.where(words_BW[:, 0], total_B, 0.0)


def log_likelihood(
    potentials: Potentials, emissions_BWC: Array, tags_BW: Array, words_BW: Array
) -> Array:
    """Log-probability of the tags, [B].

    A word whose tag is unknown (−1) is summed over, so a sentence may be labelled in part.
    """
    classes = jnp.arange(emissions_BWC.shape[-1])
    agrees_BWC = (tags_BW[..., None] == classes) | (tags_BW < 0)[..., None]
    # Both sums in one scan: its steps are short, and waiting for them is what it costs.
    both = jnp.stack([jnp.where(agrees_BWC, emissions_BWC, FORBIDDEN), emissions_BWC])
    sums = jax.vmap(log_partition, in_axes=(None, 0, None))(potentials, both, words_BW)
    return sums[0] - sums[1]


def marginals(potentials: Potentials, emissions_BWC: Array, words_BW: Array) -> Array:
    """Probability of each tag of each word, [B, W, C]; zero for padding.

    The gradient of the log-partition by the emissions is exactly that.
    """

    def total(emissions_BWC: Array) -> Array:
        return jnp.sum(log_partition(potentials, emissions_BWC, words_BW))

    return jax.grad(total)(emissions_BWC)


def best_path(potentials: Potentials, emissions_BWC: Array, words_BW: Array) -> Array:
    """Tags of the path with the highest score (Viterbi), int32 [B, W]; −1 for padding."""
    C = emissions_BWC.shape[-1]
    best_BC = potentials.start_C + emissions_BWC[:, 0]

    def step(best_BC, word):
        emission_BC, is_word_B = word
        scores_BCC = best_BC[:, :, None] + potentials.transition_CC
        longer_BC = jnp.max(scores_BCC, axis=1) + emission_BC
        # Padding passes every tag on to itself, so the way back needs no lengths.
        came_from_BC = jnp.where(is_word_B[:, None], jnp.argmax(scores_BCC, axis=1), jnp.arange(C))
        return jnp.where(is_word_B[:, None], longer_BC, best_BC), came_from_BC

    rest = (jnp.moveaxis(emissions_BWC, 1, 0)[1:], words_BW.T[1:])
    best_BC, came_from = jax.lax.scan(step, best_BC, rest)
    last_B = jnp.argmax(best_BC + potentials.end_C, axis=1)

    def back(tag_B, came_from_BC):
        before_B = jnp.take_along_axis(came_from_BC, tag_B[:, None], axis=1)[:, 0]
        return before_B, tag_B

    first_B, later = jax.lax.scan(back, last_B, came_from, reverse=True)
    path_BW = jnp.concatenate([first_B[None], later]).T
    return jnp.where(words_BW, path_BW, -1).astype(jnp.int32)
