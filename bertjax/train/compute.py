"""How the networks of a run are computed on its devices, and by which attention."""

from __future__ import annotations

from jax.sharding import Mesh

from bertjax import model
from bertjax.config import Phase, PretrainConfig
from bertjax.model.attention import Call, choose


def compute_of(cfg: PretrainConfig, mesh: Mesh) -> model.Compute:
    """How the model of a run is computed on the devices of `mesh`."""
    return compute_on(cfg, mesh.devices.flat[0].platform)


def compute_on(cfg: PretrainConfig, platform: str) -> model.Compute:
    """The same on devices of that platform, which need not be here."""
    if cfg.data.format == "full_rows":
        rows = "full"
    else:
        rows = "packed" if cfg.data.max_packed > 1 else "padded"
    return model.Compute(
        dtype=cfg.train.compute_dtype,
        platform=platform,
        attention=cfg.train.attention,
        rows=rows,
        scan_layers=cfg.train.scan_layers,
        remat=cfg.train.remat,
    )


def attention_of(cfg: PretrainConfig, compute: model.Compute, phase: Phase) -> tuple[str, str]:
    """The backend of the model's attention in the rows of `phase`, and why it is that one.

    Raises:
        UserError: `train.attention` names one that cannot compute them on these devices, for the
            model or its generator.
    """
    calls = attention_calls(cfg, compute, phase)
    of_model, *_ = [choose(compute.attention, call) for call, _ in calls]
    return of_model


def attention_calls(
    cfg: PretrainConfig, compute: model.Compute, phase: Phase
) -> list[tuple[Call, int]]:
    """The kinds of calls of attention in rows of `phase`, and their heads; the model's first."""
    return [
        (
            compute.call(phase.seq_len, one.head_size, one.attention_dropout > 0, window),
            one.num_heads,
        )
        for one in cfg.in_phase(phase).networks
        for window in dict.fromkeys(spec.window for spec in one.layer_specs)
    ]
