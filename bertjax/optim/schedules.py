"""Learning-rate schedules: step -> rate, traced inside the training step."""

from __future__ import annotations

import jax.numpy as jnp
import optax

from bertjax.config import OptimConfig


def learning_rate(cfg: OptimConfig, steps: int) -> optax.Schedule:
    """The schedule of a run of `steps` steps.

    Linear warm-up over `warmup_fraction`, then, from the peak at progress 0 to `final_fraction`
    of it at progress 1:

    - `linear`, `polynomial` (power), `cosine`, `constant`;
    - `wsd`: constant, then linear over the last `decay_fraction` of all steps (Hu et al. 2024).

    Progress runs from the end of warm-up to the last step; with `decay_from_zero` from step 0,
    so that the rate drops as warm-up ends, which is what google-research/bert optimization.py
    (linear) and NVIDIA's PolyWarmUp do.

    Step s (from 0) uses the rate at s + 1 warm-up steps, so the first update is not lost on a
    rate of zero; google-research/bert starts at zero.
    """
    warmup = round(cfg.warmup_fraction * steps)
    start = 0 if cfg.decay_from_zero else warmup

    def rate(step):
        step = jnp.asarray(step, jnp.float32)
        progress = jnp.clip((step - start) / max(1, steps - start), 0.0, 1.0)
        if cfg.schedule == "constant":
            shape = jnp.ones_like(progress)
        elif cfg.schedule == "cosine":
            shape = 0.5 * (1 + jnp.cos(jnp.pi * progress))
        elif cfg.schedule == "wsd":
            left = (steps - step) / max(1.0, cfg.decay_fraction * steps)
            shape = jnp.clip(left, 0.0, 1.0)
        else:
            shape = (1 - progress) ** (cfg.power if cfg.schedule == "polynomial" else 1.0)
        decayed = cfg.final_fraction + (1 - cfg.final_fraction) * shape
        warming = (step + 1) / max(1, warmup)
        return cfg.learning_rate * jnp.where(step < warmup, warming, decayed)

    return rate
