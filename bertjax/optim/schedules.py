"""Learning-rate schedules: step -> rate, traced inside the training step."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import optax

from bertjax.config import OptimConfig


class Turns(NamedTuple):
    """The steps at which a schedule turns: numbers, or scalars under a trace.

    As data they let programs for runs of any number of steps be one.
    """

    warmup: Any  # steps of warm-up
    start: Any  # where the way down begins
    last: Any  # where it ends


def turns(cfg: OptimConfig, steps: int) -> Turns:
    """Where the schedule of a run of `steps` steps turns."""
    last = max(1, steps - 1)
    warmup = round(cfg.warmup_fraction * steps)
    if cfg.schedule != "constant":
        warmup = min(warmup, last - 1)  # which leaves the peak and the end a step each
    start = 0 if cfg.decay_from_zero else warmup
    if cfg.schedule == "wsd":
        start = max(warmup, last - max(1, round(cfg.decay_fraction * steps)))
    return Turns(warmup, start, last)


def learning_rate(cfg: OptimConfig, steps: int | Turns) -> optax.Schedule:
    """The schedule of a run of so many steps, or of one with these turns; they count from 0.

    Linear warm-up over `warmup_fraction` of them, the peak, and the way down to `final_fraction`
    of it:

    - `linear`, `polynomial` (power), `cosine`: from the end of warm-up;
    - `wsd`: constant, then linear in the last `decay_fraction` of all steps (Hu et al. 2024);
    - `slanted`: linear, as the way up is, from `final_fraction` of the peak at the first step
      (Howard & Ruder 2018, slanted triangular rates; cut_frac is `warmup_fraction`, 1 / ratio is
      `final_fraction`);
    - `constant`: none, whatever `final_fraction` is.

    But for `slanted`, step s of W warm-up steps has the rate of s + 1 of them, so the first update
    is not lost on a rate of zero, and the last step has `final_fraction` exactly.
    google-research/bert, optax and transformers begin at zero and reach the end value at step
    `steps`, which no run takes. They end one step's share of the way short of it, which is a
    quarter where a wsd falls in four steps.

    With `decay_from_zero` the way down is counted from step 0, so the rate drops as warm-up ends:
    1 − s / (steps − 1), to `power` if that is polynomial. google-research/bert optimization.py
    (linear) and NVIDIA's PolyWarmUp have 1 − s / steps there: their last step has the rate of
    1 / steps and not of zero. `wsd` is not changed by it.

    The steps may be fractions, as those of runs by the clock are. A run of one step takes it at
    the peak.
    """
    warmup, start, last = steps if isinstance(steps, Turns) else turns(cfg, steps)

    def rate(step):
        step = jnp.asarray(step, jnp.float32)
        # The share of the way down that is left; exact at both of its ends, which a quotient of
        # two equal numbers need not be.
        left = jnp.where(step <= start, 1.0, jnp.clip((last - step) / (last - start), 0.0, 1.0))
        if cfg.schedule == "constant":
            shape = jnp.ones_like(left)
        elif cfg.schedule == "cosine":
            shape = 0.5 * (1 - jnp.cos(jnp.pi * left))
        else:
            shape = left ** (cfg.power if cfg.schedule == "polynomial" else 1.0)
        decayed = cfg.final_fraction + (1 - cfg.final_fraction) * shape
        if cfg.schedule == "slanted":
            warming = cfg.final_fraction + (1 - cfg.final_fraction) * step / warmup
        else:
            warming = jnp.minimum((step + 1) / warmup, 1.0)  # where there is any
        return cfg.learning_rate * jnp.where(step < warmup, warming, decayed)

    return rate
