"""AdamW, LAMB and Muon as optax chains, with parameter groups that must cover everything."""

from __future__ import annotations

import re
from typing import Any

import jax
import jax.numpy as jnp
import optax
from optax import contrib

from bertjax.config import OptimConfig
from bertjax.optim.schedules import learning_rate

# Every parameter path is in exactly one group; a new layer must be placed here to be trained.
GROUPS = {
    "table": r"embeddings/\w+_embeddings/embedding",
    "block_matrix": r"layer_\d+/(attention|feed_forward)/\w+/kernel",
    "head_matrix": r"(masked_lm/transform|pooler/dense|next_sentence/classifier|head/.+)/kernel",
    "vector": r".*/(bias|scale)|head/(mix|crf)/\w+",
}


def parameter_groups(params: Any) -> Any:
    """The group name of every parameter, as a tree like `params`.

    Raises:
        ValueError: a path is in no group or in two.
    """

    def group(path, _):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        matches = [g for g, pattern in GROUPS.items() if re.fullmatch(pattern, name)]
        if len(matches) != 1:
            raise ValueError(f"parameter {name} is in {len(matches)} groups {matches}: mend GROUPS")
        return matches[0]

    return jax.tree_util.tree_map_with_path(group, params)


def scale_by_adam_without_bias_correction(
    b1: float, b2: float, eps: float
) -> optax.GradientTransformation:
    """m / (√v + eps) with the raw moments (google-research/bert optimization.py)."""

    def init(params):
        zeros = jax.tree.map(jnp.zeros_like, params)
        return optax.ScaleByAdamState(jnp.zeros([], jnp.int32), zeros, zeros)

    def update(grads, state, params=None):
        del params
        m = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state.mu, grads)
        v = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, state.nu, grads)
        updates = jax.tree.map(lambda m, v: m / (jnp.sqrt(v) + eps), m, v)
        return updates, optax.ScaleByAdamState(state.count + 1, m, v)

    return optax.GradientTransformation(init, update)


def _adam(cfg: OptimConfig) -> optax.GradientTransformation:
    if cfg.bias_correction:
        return optax.scale_by_adam(cfg.b1, cfg.b2, cfg.eps)
    return scale_by_adam_without_bias_correction(cfg.b1, cfg.b2, cfg.eps)


def _decays(params: Any) -> Any:
    """Biases and norms are not decayed, as in BERT, ALBERT, LAMB and ModernBERT."""
    return jax.tree.map(lambda group: group != "vector", parameter_groups(params))


def _is_block_matrix(params: Any) -> Any:
    return jax.tree.map(lambda group: group == "block_matrix", parameter_groups(params))


def _not_block_matrix(params: Any) -> Any:
    return jax.tree.map(lambda group: group != "block_matrix", parameter_groups(params))


def _matrices(tree: Any) -> Any:
    """All block matrices are [in, out], heads already flat."""
    return jax.tree.map(lambda _: contrib.MuonDimensionNumbers(), tree)


def _to_adams_rms() -> optax.GradientTransformation:
    """Scale orthogonal updates [m, n], of RMS 1/√max(m, n), to the RMS of 0.2 usual for Adam."""
    return optax.stateless(
        lambda updates, _: jax.tree.map(lambda u: 0.2 * max(u.shape) ** 0.5 * u, updates)
    )


def optimizer(cfg: OptimConfig, steps: int) -> optax.GradientTransformation:
    """The chain from clipped gradients to updates; decay is multiplied by the learning rate.

    - `adamw`: with or without bias correction (BERT has none).
    - `lamb`: You et al. 2020 as in google-research/albert lamb_optimizer.py: the trust ratio is
      ‖w‖/‖r‖, 1 where either is zero and for biases and norms, not clamped.
    - `muon`: orthogonalised momentum on the blocks' matrices (Jordan 2024), scaled to Adam's
      usual RMS of 0.2 (Liu et al. 2025, Moonlight); Adam at `muon_adam_ratio` for the rest.
    """
    rate = learning_rate(cfg, steps)
    decay = optax.add_decayed_weights(cfg.weight_decay, mask=_decays)
    parts = []
    if cfg.clip_norm:
        parts.append(optax.clip_by_global_norm(cfg.clip_norm))
    if cfg.optimizer == "muon":
        orthogonal = contrib.scale_by_muon(weight_dimension_numbers=_matrices)
        muon = optax.chain(orthogonal, _to_adams_rms())
        adam = optax.chain(_adam(cfg), optax.scale(cfg.muon_adam_ratio))
        parts += [optax.masked(muon, _is_block_matrix), optax.masked(adam, _not_block_matrix)]
        parts.append(decay)
    elif cfg.optimizer == "lamb":
        parts += [_adam(cfg), decay, optax.masked(optax.scale_by_trust_ratio(), _decays)]
    else:
        parts += [_adam(cfg), decay]
    return optax.chain(*parts, optax.scale_by_learning_rate(rate))
