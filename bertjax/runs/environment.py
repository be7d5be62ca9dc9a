"""Versions and devices of a process, as a run's files and a model card have them."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

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
    "array-record",
    "numpy",
    "tokenizers",
    "sentencepiece",
    "tensorflow-datasets",
    "safetensors",
)
# Of these, and of what comes with a GPU, those that a number of a training step may depend on.
_COMPUTING = (
    *("jax", "jaxlib", "flax", "optax", "numpy"),
    *("jax-cuda12-plugin", "jax-cuda13-plugin", "nvidia-cudnn-cu12", "nvidia-cudnn-cu13"),
    *("nvidia-cublas-cu12", "nvidia-cublas", "libtpu"),
)


# environment.json, as `written.read` has it.
FORM = {
    "bertjax": str,
    "python": str,
    "system": str,
    "packages": {str: str},
    "devices": {str: int},
}


def describe_environment() -> dict[str, Any]:
    """Versions, platform and devices of this process, from a fixed list of keys."""
    devices = jax.devices()
    return {
        "bertjax": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": _versions(_PACKAGES),
        "backend": jax.default_backend(),
        "devices": {
            kind: sum(d.device_kind == kind for d in devices)
            for kind in sorted({d.device_kind for d in devices})
        },
        "processes": jax.process_count(),
    }


def what_computes() -> dict[str, str]:
    """All outside of a config that the numbers of a run may depend on, to the last bit."""
    config: Any = jax.config  # whose fields are not typed
    device, flags = jax.devices()[0], os.environ.get("XLA_FLAGS", "").split()
    found = {
        "bertjax": f"{__version__} with code {code_digest()}",
        **_versions(_COMPUTING),
        "devices": f"{jax.device_count()} × {device.device_kind}",
        "processes": str(jax.process_count()),
        "runtime": " ".join(str(device.client.platform_version).split()),
        "precision of products": str(config.jax_default_matmul_precision),
        # Those with a path say where something is written, and a path may be private.
        "XLA_FLAGS": " ".join(flag for flag in sorted(flags) if "/" not in flag),
    }
    if device.platform == "cpu":  # whose kind says nothing
        found |= {"processor": _processor(), "cores": str(_cores())}
    return found


def code_digest() -> str:
    """The first digits of the SHA-256 of every Python file of this package."""
    package = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def _versions(packages: tuple[str, ...]) -> dict[str, str]:
    versions = {}
    for package in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return versions


def _processor() -> str:
    """The model of this machine's processor; which instructions XLA uses depends on it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
