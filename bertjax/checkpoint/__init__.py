"""Checkpoints: written by Orbax in the background, trusted by a manifest of hashes."""

from bertjax.checkpoint.store import CheckpointStore, Restored

__all__ = ["CheckpointStore", "Restored"]
