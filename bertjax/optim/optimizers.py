"""AdamW, LAMB and Muon as optax chains."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from optax import contrib

from bertjax.config import OptimConfig
from bertjax.facts import Facts
from bertjax.optim.schedules import Turns, learning_rate
from bertjax.tree import path_name

Moves = Callable[[str], Any]  # path -> int32 scalar: 1 where that parameter moves, else 0


def scale_by_adam(
    cfg: OptimConfig, moves: Moves | None = None
) -> optax.GradientTransformationExtraArgs:
    """Adam's direction; the moments stay as they were unless `finite`, an extra argument, holds.

    With bias correction that of Kingma & Ba 2015, without it m / (√v + eps) with the raw moments
    (google-research/bert optimization.py). With `moves` the bias is that of as many steps as the
    parameter has moved in, each having a count of its own, as in torch; else all share one.

    The skipping is in the coefficients and the direction is computed from the new moments, not
    again from the old: so each moment is overwritten in place, in one pass over it, where a
    selection between old and new ones afterwards would need a copy of both.
    """

    def init(params):
        zeros, count = jax.tree.map(jnp.zeros_like, params), jnp.zeros([], jnp.int32)
        counts = count if moves is None else jax.tree.map(lambda _: count, params)
        return optax.ScaleByAdamState(counts, zeros, zeros)

    def update(grads, state, params=None, *, finite=True, **_):
        del params
        keep_1, keep_2 = jnp.where(finite, cfg.b1, 1.0), jnp.where(finite, cfg.b2, 1.0)
        take_1, take_2 = jnp.where(finite, 1 - cfg.b1, 0.0), jnp.where(finite, 1 - cfg.b2, 0.0)
        grads = jax.tree.map(lambda g: jnp.where(finite, g, 0.0), grads)
        mu = jax.tree.map(lambda m, g: keep_1 * m + take_1 * g, state.mu, grads)
        nu = jax.tree.map(lambda v, g: keep_2 * v + take_2 * g * g, state.nu, grads)
        mu, nu = jax.lax.optimization_barrier((mu, nu))
        taken = jnp.where(finite, 1, 0)

        def counted(path, count):
            return count + (taken if moves is None else taken * moves(path_name(path)))

        def scales(beta):
            one = jnp.float32(1)
            found = jax.tree.map(
                lambda n: 1 / (1 - beta ** jnp.maximum(n, 1)) if cfg.bias_correction else one, count
            )
            return found if moves is not None else jax.tree.map(lambda _: found, mu)

        count = jax.tree_util.tree_map_with_path(counted, state.count)
        updates = jax.tree.map(
            lambda m, v, by_1, by_2: m * by_1 / (jnp.sqrt(v * by_2) + cfg.eps),
            *(mu, nu, scales(cfg.b1), scales(cfg.b2)),
        )
        return updates, optax.ScaleByAdamState(count, mu, nu)

    return optax.GradientTransformationExtraArgs(init, update)


def clip_by_global_norm(limit: float) -> optax.GradientTransformation:
    """Scale all gradients by min(1, limit / norm) (Pascanu et al. 2013).

    One factor for all: optax divides each element instead, which costs a pass and a copy.
    """

    def clip(grads, _):
        factor = jnp.minimum(1.0, limit / optax.tree.norm(grads))
        return jax.tree.map(lambda g: g * factor, grads)

    return optax.stateless(clip)


def _steady(
    inner: optax.GradientTransformation,
) -> optax.GradientTransformationExtraArgs:
    """`inner`, its state as it was where the extra argument `finite` does not hold."""

    def update(grads, state, params=None, *, finite=True, **_):
        updates, new = inner.update(grads, state, params)
        return updates, jax.tree.map(lambda n, o: jnp.where(finite, n, o), new, state)

    return optax.GradientTransformationExtraArgs(inner.init, update)


def _scale_by_learning_rate(rate: optax.Schedule) -> optax.GradientTransformationExtraArgs:
    """-rate at `position`, or at the number of finite updates so far, for all."""

    def init(params):
        del params
        return optax.ScaleByScheduleState(jnp.zeros([], jnp.int32))

    def update(updates, state, params=None, *, finite=True, position=None, **_):
        del params
        factor = -rate(state.count if position is None else position)
        count = state.count + jnp.where(finite, 1, 0)
        return jax.tree.map(lambda u: factor * u, updates), optax.ScaleByScheduleState(count)

    return optax.GradientTransformationExtraArgs(init, update)


def _where(facts: Mapping[str, Facts], holds: Callable[[str], bool]) -> Callable[[Any], Any]:
    """The mask of optax for parameters of the groups for which `holds` does."""

    def mask(params: Any) -> Any:
        return jax.tree_util.tree_map_with_path(
            lambda path, _: holds(facts[path_name(path)].group), params
        )

    return mask


def _muon() -> optax.GradientTransformation:
    """Orthogonalised momentum; all layers' matrices of one name go through it as [L, in, out].

    One by one a thousand small products would leave most of an accelerator idle, and take the
    compiler a minute. The state holds the momentum of each parameter by itself.
    """
    axes = contrib.MuonDimensionNumbers(reduction_axis=1, output_axis=2)
    inner = contrib.scale_by_muon(
        weight_dimension_numbers=lambda tree: jax.tree.map(lambda _: axes, tree)
    )

    def kind(path, leaf):  # the name inside a layer, and the shape
        return f"{jax.tree_util.keystr(path[-3:])} {leaf.shape}"

    def stack(tree):
        of_kind: dict[str, list[Any]] = {}
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
            of_kind.setdefault(kind(path, leaf), []).append(leaf)
        return {name: jnp.stack(leaves) for name, leaves in of_kind.items()}

    def unstack(stacked, like):
        matrices = {name: iter(array) for name, array in stacked.items()}
        return jax.tree_util.tree_map_with_path(lambda *leaf: next(matrices[kind(*leaf)]), like)

    def update(grads, state, params=None):
        del params
        updates, new = inner.update(stack(grads), state._replace(mu=stack(state.mu)))
        return unstack(updates, grads), new._replace(mu=unstack(new.mu, grads))

    return optax.GradientTransformation(inner.init, update)


def _to_adams_rms() -> optax.GradientTransformation:
    """Scale orthogonal updates [m, n], of RMS 1/√max(m, n), to the RMS of 0.2 usual for Adam."""
    return optax.stateless(
        lambda updates, _: jax.tree.map(lambda u: 0.2 * max(u.shape) ** 0.5 * u, updates)
    )


def optimizer(
    cfg: OptimConfig, steps: int | Turns, facts: Mapping[str, Facts], moves: Moves | None = None
) -> optax.GradientTransformationExtraArgs:
    """The chain from gradients to updates; decay is multiplied by the learning rate.

    `facts` are the parameters', by path: biases and norms (`vector`) are not decayed, as in BERT,
    ALBERT, LAMB and ModernBERT. `moves` is of parameters that do not all move from the first step
    on (`scale_by_adam`).

    `update` takes `finite`, a bool scalar: where it is false, the state comes back as it was, and
    the updates are not to be used. `position`, if given, is the place in the schedule in steps;
    otherwise that is the number of updates so far.

    - `adamw`: with or without bias correction (BERT has none).
    - `lamb`: You et al. 2020 as in google-research/albert lamb_optimizer.py: the trust ratio is
      ‖w‖/‖r‖, 1 where either is zero and for biases and norms, not clamped.
    - `muon`: orthogonalised momentum on the blocks' matrices (Jordan 2024), scaled to Adam's
      usual RMS of 0.2 (Liu et al. 2025, Moonlight); the rest has Adam with its own learning rate,
      `muon_adam_ratio` times the other, by which its decay is multiplied too.
    """
    decays = _where(facts, lambda group: group != "vector")
    orthogonal = _where(facts, lambda group: group == "block_matrix")
    others = _where(facts, lambda group: group != "block_matrix")
    decay = optax.add_decayed_weights(cfg.weight_decay, mask=decays)
    parts = []
    if cfg.clip_norm:
        parts.append(clip_by_global_norm(cfg.clip_norm))
    if cfg.optimizer == "muon":
        muon = optax.chain(_steady(_muon()), _to_adams_rms(), decay)
        adam = optax.chain(scale_by_adam(cfg, moves), decay)
        parts += [optax.masked(muon, orthogonal), optax.masked(adam, others)]
        parts.append(optax.masked(optax.scale(cfg.muon_adam_ratio), others))
    elif cfg.optimizer == "lamb":
        parts += [
            scale_by_adam(cfg, moves),
            decay,
            optax.masked(optax.scale_by_trust_ratio(), decays),
        ]
    else:
        parts += [scale_by_adam(cfg, moves), decay]
    return optax.chain(*parts, _scale_by_learning_rate(learning_rate(cfg, steps)))


def optimizer_by_rates(
    cfg: OptimConfig,
    steps: int | Turns,
    facts: Mapping[str, Facts],
    rates: Any,
    moves: Moves | None = None,
) -> optax.GradientTransformationExtraArgs:
    """The `optimizer` of `cfg` with each parameter's update, decay included, times its rate.

    The update is scaled and not the gradient: Adam divides a scaled gradient by its own scale
    again, which is why XLNet's layer-wise decay has no effect.
    """

    def scale(updates, _):
        return jax.tree.map(lambda update, rate: update * rate, updates, rates)

    return optax.chain(optimizer(cfg, steps, facts, moves), optax.stateless(scale))
