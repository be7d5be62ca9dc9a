"""What the difference between two arms of an experiment is worth: intervals, tests, seeds.

Axis letters: S seeds, N examples, K counts. An arm is one setting, trained from S seeds and
measured on N examples. Differences are those of two arms with the same seeds and examples, so that
what the arms share cancels. Plain NumPy and SciPy.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import scipy  # whose parts load when they are asked for: a second of a command that asks for none

from bertjax.errors import UserError

LEVEL = 0.05  # of every test; intervals hold 1 - LEVEL
POWER = 0.8
_MOST_SEEDS = 100_000  # an answer beyond it is "none"
_QUANTILES = (np.arange(10_000) + 0.5) / 10_000


@dataclass(frozen=True)
class Interval:
    """A difference between arms, and between which values it lies with 95 % confidence."""

    difference: float
    low: float
    high: float
    p: float  # of no difference, two-sided
    df: float  # of Student's t; 0: the differences do not vary, so nothing is known of the noise
    seeds: int
    sd: float  # of the difference from seed to seed
    floor: float = 0.0  # the standard error that more seeds do not lower: that of the examples


def paired_t(differences_S: np.ndarray) -> Interval:
    """The interval of Student's paired t over seeds: for losses, whose examples are many.

    Raises:
        UserError: fewer than two seeds, or a difference that is not finite.
    """
    differences_S = _checked(differences_S, 1)
    S, variance = len(differences_S), float(differences_S.var(ddof=1))
    return _interval(float(differences_S.mean()), variance / S, S - 1, S, variance, 0.0)


def two_way_t(differences_SN: np.ndarray) -> Interval:
    """The interval of a mean over seeds and examples, where both are samples.

    The variance is that of a table with two random factors, and its degrees of freedom are
    Satterthwaite's (1946). With one example alone this is `paired_t`.

    Args:
        differences_SN: float [S, N].

    Raises:
        UserError: fewer than two seeds, no example, or a difference that is not finite.
    """
    differences_SN = _checked(differences_SN, 2)
    S, N = differences_SN.shape
    if N == 1:
        return paired_t(differences_SN[:, 0])
    r_S, c_N, mean = differences_SN.mean(1), differences_SN.mean(0), float(differences_SN.mean())
    residuals_SN = differences_SN - r_S[:, None] - c_N + mean
    of_seeds, of_examples = float(r_S.var(ddof=1)) / S, float(c_N.var(ddof=1)) / N
    # The residual is in both, and is taken off once.
    residual = float(np.square(residuals_SN).sum()) / ((S - 1) * (N - 1)) / (S * N)
    variance = max(of_seeds + of_examples - residual, of_seeds, of_examples)
    spread = of_seeds**2 / (S - 1) + of_examples**2 / (N - 1)
    df = variance**2 / spread if spread else 0.0
    floor = math.sqrt(max(of_examples - residual, 0.0))
    return _interval(mean, variance, df, S, of_seeds * S, floor)


def metric_t(
    metric: Callable[[np.ndarray], np.ndarray], a_SNK: np.ndarray, b_SNK: np.ndarray
) -> Interval:
    """The interval of the difference a - b of a metric of totals, such as F1 of its three counts.

    `two_way_t` of the jackknife's pseudo-values (Tukey 1958): their mean over the examples of a
    seed is the metric of that seed but for a term of order 1/N, without its bias of that order.

    Args:
        metric: totals [..., K] over all examples -> values [...].
        a_SNK: counts of each example under each seed of one arm.
        b_SNK: those of the other arm.

    Raises:
        UserError: fewer than two seeds or examples, or a metric that is not finite.
    """
    return two_way_t(_pseudo_values(metric, a_SNK) - _pseudo_values(metric, b_SNK))


def grouped_t(difference: float, without_G: np.ndarray) -> Interval:
    """The interval of a difference that one sample of examples gives, for any metric.

    The examples are cut into G groups, and Student's t is that of the pseudo-values of the
    jackknife that leaves out one group at a time (Tukey 1958). The interval's `seeds` are groups.

    Args:
        difference: of the two arms' metrics over all examples.
        without_G: the same without each of the groups, which are equally large or nearly so.

    Raises:
        UserError: fewer than two groups, or a metric that is not finite.
    """
    without_G = np.asarray(without_G, np.float64)
    G = len(without_G)
    return paired_t(G * difference - (G - 1) * without_G)


def holm(p_values: np.ndarray) -> np.ndarray:
    """Holm's (1979) p-values, float64 [C], of C comparisons that one report makes.

    Raises:
        UserError: a value that is no probability.
    """
    p_C = np.asarray(p_values, np.float64)
    if bad := [p for p in p_C.tolist() if not 0 <= p <= 1]:
        raise UserError(f"a p-value of {bad[0]}: give numbers from 0 to 1")
    order = np.argsort(p_C, kind="stable")
    steps_C = p_C[order] * np.arange(len(p_C), 0, -1)
    adjusted_C = np.empty_like(p_C)
    adjusted_C[order] = np.minimum(np.maximum.accumulate(steps_C), 1.0)
    return adjusted_C


def smallest_effect(sd: float, seeds: int, power: float = POWER, comparisons: int = 1) -> float:
    """The smallest difference that the paired t of `seeds` seeds finds with probability `power`.

    Args:
        sd: standard deviation of the difference from seed to seed; the effect has its unit.
        seeds: of each arm.
        power: 0.05 to 1, exclusive.
        comparisons: that one report makes; the effect is found at the first of Holm's steps too.

    Raises:
        UserError: fewer than two seeds, a deviation that is none, or a power out of range.
    """
    _check_plan(sd, power)
    if seeds < 2:
        raise UserError(f"{seeds} seeds: a difference has an interval from 2 seeds on")
    if sd == 0:
        return 0.0
    highest = 1.0
    while _power(highest, seeds, comparisons) < power:
        highest *= 2
    gap = partial(_power, seeds=seeds, comparisons=comparisons)
    return sd * float(scipy.optimize.brentq(lambda e: gap(e) - power, 0.0, highest))


def seeds_needed(
    sd: float, effect: float, power: float = POWER, floor: float = 0.0, comparisons: int = 1
) -> int | None:
    """The fewest seeds with which the paired t finds `effect` with probability `power`.

    Args:
        sd: standard deviation of the difference from seed to seed.
        effect: the difference to be found, of either sign.
        power: 0.05 to 1, exclusive.
        floor: a standard error that more seeds do not lower (`Interval.floor`).
        comparisons: that one report makes, as `smallest_effect` has them.

    Returns:
        A number from 2 on; None if 100,000 seeds do not find it.

    Raises:
        UserError: a deviation or an effect that is none, or a power out of range.
    """
    _check_plan(sd, power)
    if not math.isfinite(effect):
        raise UserError(f"an effect of {effect}: give a number")

    def found(seeds: int) -> bool:
        error = math.hypot(sd, floor * math.sqrt(seeds))
        return _power(abs(effect) / error if error else math.inf, seeds, comparisons) >= power

    few, many = 1, 2
    while not found(many):
        if many > _MOST_SEEDS or effect == 0:
            return None
        few, many = many, many * 2
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if found(middle) else (middle, many)
    return many if many <= _MOST_SEEDS else None


def signal_to_noise(scores_AC: np.ndarray) -> float:
    """How far the arms lie apart, in deviations of one arm from checkpoint to checkpoint.

    The range of the arms' means over the root mean square of the deviations of an arm's last
    checkpoints (Heineman et al. 2025, "Signal and Noise"; the means by which both are divided
    there cancel). Infinite without noise.

    Args:
        scores_AC: of A arms at their last C checkpoints.

    Raises:
        UserError: fewer than two arms or checkpoints, or a score that is not finite.
    """
    scores_AC = np.asarray(scores_AC, np.float64)
    if scores_AC.ndim != 2 or min(scores_AC.shape) < 2:
        raise UserError(f"scores {list(scores_AC.shape)}: give at least 2 arms and 2 checkpoints")
    _check_finite(scores_AC)
    signal = float(np.ptp(scores_AC.mean(axis=1)))
    noise = math.sqrt(float(scores_AC.var(axis=1, ddof=1).mean()))
    return signal / noise if noise else math.inf


def sentence(
    interval: Interval,
    a: str,
    b: str,
    unit: str,
    *,
    better: str = "high",
    p: float | None = None,
    comparisons: int = 1,
) -> str:
    """What an interval of the difference a - b says, in words.

    Args:
        interval: of a's score less b's.
        a: name of one arm.
        b: name of the other.
        unit: of the score, as in "better by 0.012 nats a piece".
        better: high | low: which scores are the better ones.
        p: of `holm` where one report makes several comparisons; by default the interval's own.
        comparisons: how many those are.
    """
    p = interval.p if p is None else p
    spoken = f"95 % interval {_number(interval.low)} to {_number(interval.high)}, p = {p:.2g}"
    if p < LEVEL:
        first = (interval.difference > 0) == (better == "high")
        size = _number(abs(interval.difference))
        return f"{a if first else b} is better by {size} {unit} ({a} − {b}: {spoken})"
    if interval.df == 0:
        why = "the seeds do not differ, so nothing is known of the noise"
    else:
        needed = seeds_needed(
            interval.sd, interval.difference, floor=interval.floor, comparisons=comparisons
        )
        why = (
            f"about {max(needed, interval.seeds + 1):,} seeds would be needed"
            if needed
            else "no number of seeds would do: more examples are needed"
        )
    gap = f"{a} − {b} is {_number(interval.difference)} {unit}"
    return f"not resolvable at this budget: {gap} ({spoken}); {why}"


def _number(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")


def _interval(
    mean: float, variance: float, df: float, seeds: int, seed_variance: float, floor: float
) -> Interval:
    sd = math.sqrt(seed_variance)
    # Sums of equal numbers differ in their last bits.
    if variance <= (1e-12 * mean) ** 2:
        return Interval(mean, -math.inf, math.inf, 1.0, 0.0, seeds, 0.0)
    error = math.sqrt(variance)
    half = float(scipy.special.stdtrit(df, 1 - LEVEL / 2)) * error
    p = 2 * float(scipy.special.stdtr(df, -abs(mean) / error))
    return Interval(mean, mean - half, mean + half, p, df, seeds, sd, floor)


def _power(effect: float, seeds: int, comparisons: int) -> float:
    """Probability that the paired t finds `effect`, in deviations of one difference."""
    limit = float(scipy.special.stdtrit(seeds - 1, 1 - LEVEL / comparisons / 2))
    shift = effect * math.sqrt(seeds)
    # The noncentral F of SciPy loses its digits in the first two cases.
    if seeds > 1000:
        return float(scipy.special.ndtr(shift - limit) + scipy.special.ndtr(-limit - shift))
    if shift > 100:  # the mean over the deviations that so few seeds may have
        half = (seeds - 1) / 2
        edges_Q = limit * np.sqrt(scipy.special.gammaincinv(half, _QUANTILES) / half)
        return float(scipy.special.ndtr(shift - edges_Q).mean())
    return 1 - float(
        scipy.special.ncfdtr(1, seeds - 1, shift**2, limit**2)
    )  # that of t, both sides


def _pseudo_values(
    metric: Callable[[np.ndarray], np.ndarray], counts_SNK: np.ndarray
) -> np.ndarray:
    counts_SNK = np.asarray(counts_SNK, np.float64)
    N, totals_S1K = counts_SNK.shape[1], counts_SNK.sum(axis=1, keepdims=True)
    if N < 2:
        raise UserError(f"{N} examples: a metric of totals has an interval from 2 examples on")
    return N * metric(totals_S1K) - (N - 1) * metric(totals_S1K - counts_SNK)


def _checked(differences: np.ndarray, axes: int) -> np.ndarray:
    differences = np.asarray(differences, np.float64)
    assert differences.ndim == axes, differences.shape
    if len(differences) < 2:
        raise UserError(
            f"{len(differences)} seeds: a difference has an interval from 2 seeds on: train both "
            "arms from more seeds"
        )
    if differences.size == 0:
        raise UserError("0 examples: a difference has an interval from 1 example on")
    _check_finite(differences)
    return differences


def _check_finite(values: np.ndarray) -> None:
    if bad := int(np.count_nonzero(~np.isfinite(values))):
        raise UserError(
            f"{bad:,} of {values.size:,} scores are not finite numbers: leave out the run that "
            "diverged, under every arm"
        )


def _check_plan(sd: float, power: float) -> None:
    if not 0 <= sd < math.inf:
        raise UserError(f"a standard deviation of {sd}: give a number of at least 0")
    if not LEVEL < power < 1:
        raise UserError(f"a power of {power}: give a number above {LEVEL} and below 1")
