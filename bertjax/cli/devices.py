"""Whether there is something to compute on."""

from __future__ import annotations

import os

import jax

from bertjax.errors import UserError


def require_devices() -> None:
    """Have JAX look for its devices; UserError where it finds none of the kind asked for.

    For `--distributed`, only once the cluster is joined.
    """
    try:
        jax.devices()
    # Without CUDA's plugin, JAX_PLATFORMS=cuda ends in an assertion that says nothing (jax 0.10).
    except (RuntimeError, AssertionError) as error:
        asked = os.environ.get("JAX_PLATFORMS", "")
        said = str(error).partition(" (set JAX_PLATFORMS")[0]
        raise UserError(
            f"JAX finds no device for JAX_PLATFORMS={asked}{f': {said}' if said else ''}: a GPU "
            "needs its driver (does nvidia-smi list it?) and pip install 'bertjax[cuda]', a TPU "
            "'bertjax[tpu]'; JAX_PLATFORMS=cpu computes without"
        ) from None
