"""Trees of arrays by path: the one spelling of a parameter's name everywhere in the package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax


def path_name(path: tuple[Any, ...]) -> str:
    """`layer_0/attention/query/kernel` for a key path of `jax.tree_util`."""
    return jax.tree_util.keystr(path, simple=True, separator="/")


def flatten(tree: Any) -> dict[str, Any]:
    """Map the path of every leaf to the leaf, in JAX's order of leaves."""
    return {path_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def unflatten(leaves: Mapping[str, Any]) -> dict[str, Any]:
    """Return the nested dict that `flatten` was given."""
    tree: dict[str, Any] = {}
    for path, leaf in leaves.items():
        *parents, name = path.split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[name] = leaf
    return tree
