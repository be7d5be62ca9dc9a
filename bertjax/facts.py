"""What is known of a parameter besides its values: said once, where the parameter is made.

Sharding, optimizers, layer-wise rates, freezing and conversion read it here; none of them looks at
the names in a path.
"""

from __future__ import annotations

from typing import Any, NamedTuple

AXES = ("vocab", "embed", "heads", "mlp")
GROUPS = ("table", "block_matrix", "matrix", "vector")
ROLES = ("bias", "norm", "added")


class Facts(NamedTuple):
    """One parameter's."""

    # Of each dimension: vocab (a row a piece, padded) | embed (hidden size) | heads | mlp (what
    # tensor parallelism splits) | None; nothing at all where every device holds the whole.
    axes: tuple[str | None, ...]
    group: str  # table | block_matrix (Muon's) | matrix (outside blocks) | vector (never decayed)
    depth: int | None  # 0: embeddings, i + 1: layer i, L + 1: above the layers, None: a head
    roles: tuple[str, ...] = ()  # bias | norm: of one | added: put into a pretrained layer


def made_as(group: str, *axes: str | None, roles: tuple[str, ...] = ()) -> dict[str, Any]:
    """What a module writes into the metadata of a parameter that it makes."""
    assert group in GROUPS and all(axis in (None, *AXES) for axis in axes)
    assert all(role in ROLES for role in roles)
    return {"group": group, "axes": axes, "roles": roles}


VECTOR = made_as("vector")
BIAS = made_as("vector", roles=("bias",))
