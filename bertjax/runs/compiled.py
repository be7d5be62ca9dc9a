"""Where JAX keeps what it compiles, in a line for people."""

from __future__ import annotations

from typing import Any

import jax


def kept_programs() -> str:
    """The folder in which compiled programs are kept for later commands, and how to have none."""
    config: Any = jax.config  # whose fields are not typed
    folder = config.jax_compilation_cache_dir
    if not (folder and config.jax_enable_compilation_cache):
        return "cache  none: every command compiles anew"
    return f"cache  {folder} keeps what is compiled; JAX_ENABLE_COMPILATION_CACHE=false: nothing"
