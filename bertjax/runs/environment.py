"""Versions and devices of a process, as a run's environment.json and a model card have them."""

from __future__ import annotations

import contextlib
import importlib.metadata
import platform

import jax

from bertjax.version import __version__

# All that environment.json may hold besides devices and platform: a run directory is made to be
# shared, so no variables, host names, user names or paths get in.
_PACKAGES = (
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "grain",
    "array-record",
    "numpy",
    "tokenizers",
    "sentencepiece",
    "tensorflow-datasets",
    "safetensors",
)


def describe_environment() -> dict:
    """Versions, platform and devices of this process, from a fixed list of keys."""
    versions = {}
    for package in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    devices = jax.devices()
    return {
        "bertjax": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": versions,
        "backend": jax.default_backend(),
        "devices": {
            kind: sum(d.device_kind == kind for d in devices)
            for kind in sorted({d.device_kind for d in devices})
        },
        "processes": jax.process_count(),
    }
