"""A frozen encoder is run once: what the head sees of it is kept for all epochs and models."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from bertjax import model, sharding
from bertjax.config import FinetuneConfig
from bertjax.finetuning import parameters
from bertjax.finetuning.batches import evaluation_plan, row_indices
from bertjax.finetuning.inference import to_devices
from bertjax.finetuning.material import Material
from bertjax.finetuning.settle import task_shape
from bertjax.finetuning.step import compute_of
from bertjax.model.task import encoder_states
from bertjax.tasks.task import Rows


@contextmanager
def frozen_states(
    cfg: FinetuneConfig, material: Material, encoder: model.Params, mesh: Mesh, directory: Path
) -> Iterator[None]:
    """Give all rows their `states` while the block runs, if the encoder is frozen as it came.

    They lie in a memory-mapped file in `directory`, which may be large (4 bytes · tokens · D, times
    the fused layers) and is removed at the end.
    """
    same_for_all = bool(encoder) and not cfg.tune.reinit_layers
    if cfg.tune.layers != 0 or not same_for_all or not cfg.tune.epochs:
        yield
        return
    shape = task_shape(cfg)
    params, _ = parameters.initial_parameters(cfg, shape, encoder, cfg.tune.seeds[0])
    everywhere, rows_apart = sharding.replicated(mesh), sharding.batch_sharding(mesh)

    def states(params: Any, batch: dict[str, jax.Array]) -> jax.Array:
        compute = compute_of(cfg, mesh)
        return encoder_states(cfg.model, cfg.head, shape, params, batch, compute=compute)

    for left in directory.glob("states.*"):  # by a run that was killed
        shutil.rmtree(left)
    run = jax.jit(states, in_shardings=(everywhere, rows_apart), out_shardings=everywhere)
    with tempfile.TemporaryDirectory(prefix="states.", dir=directory) as folder:
        for name, encoded in material.encoded.items():
            rows, size = encoded.rows, cfg.tune.evaluation_batch_size
            file = Path(folder) / name
            for plan in evaluation_plan(rows, material.evaluation_forms, size):
                pad = material.tokenizer.special.pad
                batch = to_devices(mesh, rows, plan, size, pad)
                found = np.asarray(run(params, batch))
                found = found.reshape(-1, *found.shape[2:])  # lines end to end
                if not rows.states:
                    rows.states = _room(file, rows, found.shape[1:])
                for begin, row in zip(plan.begins, row_indices(rows, plan), strict=True):
                    rows.states[row][:] = found[begin : begin + len(rows.tokens[row])]
        try:
            yield
        finally:
            for encoded in material.encoded.values():
                encoded.rows.states = []


def _room(file: Path, rows: Rows, shape: tuple[int, ...]) -> list[np.ndarray]:
    """A part [n, ...] of one mapped file for every row."""
    ends = np.cumsum([len(tokens) for tokens in rows.tokens])
    flat = np.memmap(file, np.float32, "w+", shape=(int(ends[-1]), *shape))
    return np.split(flat, ends[:-1])
