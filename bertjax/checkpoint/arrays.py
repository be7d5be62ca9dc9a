"""Pytrees of arrays to and from a folder: the only place that calls Orbax."""

from __future__ import annotations

import atexit
import functools
import glob
import logging
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.sharding import SingleDeviceSharding

from bertjax.errors import UserError
from bertjax.tree import flatten, unflatten

# Devices that hold the same array write a part of it each, if a part has so many bytes.
_SLICE = 1 << 20

Table = dict[str, list[Any]]  # slash-joined path of an array -> [shape, dtype name]


class Writer:
    """Writes one folder at a time in the background."""

    def __init__(self, name: str) -> None:
        """`name` tells this writer's meetings with other processes from another writer's."""
        # Its failures reach us as exceptions; its log of the same would bury the user's one line.
        for logger in ("absl", "asyncio"):
            logging.getLogger(logger).addFilter(_not_from_orbax)
        _hush_abandoned_writes()
        meetings = ocp.options.MultiprocessingOptions(barrier_sync_key_prefix=name)
        copies = ocp.type_handlers.ArrayHandler(
            min_slice_bytes_for_replica_parallel=_SLICE,
            enable_write_sharding_file=False,  # who restores says where each array is to lie
        )
        trees = ocp.PyTreeCheckpointHandler(
            multiprocessing_options=meetings,
            type_handler_registry=ocp.type_handlers.create_type_handler_registry(
                (jax.Array, copies), (np.ndarray, ocp.type_handlers.NumpyHandler())
            ),
        )
        kinds = ocp.handlers.DefaultCheckpointHandlerRegistry()
        kinds.add(None, ocp.args.PyTreeSave, trees)
        self._checkpointer = ocp.AsyncCheckpointer(
            ocp.CompositeCheckpointHandler(
                composite_options=ocp.CompositeOptions(multiprocessing_options=meetings),
                handler_registry=kinds,
            ),
            multiprocessing_options=meetings,
        )

    def begin(self, folder: Path, items: dict[str, Any]) -> None:
        """Copy the arrays off the devices, then go on writing `folder/<item>/` in a thread."""
        args = {name: ocp.args.PyTreeSave(tree) for name, tree in items.items()}
        self._checkpointer.save(_without_wildcards(folder), args=ocp.args.Composite(**args))

    def wait(self) -> None:
        """Wait for the files; raises OSError or ValueError if they could not be written."""
        self._checkpointer.wait_until_finished()


def read(folder: Path, abstract_items: dict[str, Any]) -> dict[str, Any]:
    """Read items into pytrees shaped, typed and sharded as `abstract_items`."""
    if not abstract_items:
        return {}  # Orbax would read them all
    args = {}
    for name, tree in abstract_items.items():
        tree = jax.tree.map(_with_sharding, tree)
        restore_args = ocp.checkpoint_utils.construct_restore_args(tree)
        args[name] = ocp.args.PyTreeRestore(item=tree, restore_args=restore_args)
    checkpointer = ocp.Checkpointer(ocp.CompositeCheckpointHandler())
    restored = checkpointer.restore(_without_wildcards(folder), args=ocp.args.Composite(**args))
    return {name: restored[name] for name in abstract_items}


def _without_wildcards(folder: Path) -> Path:
    """The same folder by a path that means itself as a pattern too.

    Orbax looks for its parts by `glob` and does not escape the path, so that nothing is found
    below `run[lr=1e-3]`.
    """
    text = str(folder)
    if glob.escape(text) == text and "\\" not in text:
        return folder
    return _alias(folder.parent) / folder.name


@functools.cache
def _alias(directory: Path) -> Path:
    link = Path(tempfile.mkdtemp(prefix="bertjax-")) / "to"
    link.symlink_to(directory, target_is_directory=True)
    atexit.register(shutil.rmtree, link.parent, ignore_errors=True)
    return link


def _with_sharding(leaf: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
    """Place a leaf that says nothing about it on the first device of this process."""
    if leaf.sharding is not None:
        return leaf
    sharding = SingleDeviceSharding(jax.local_devices()[0])
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)


def describe(tree: Any) -> Table:
    """List the arrays (or abstract arrays) of a pytree."""
    return {name: [list(x.shape), str(x.dtype)] for name, x in flatten(tree).items()}


def abstract(table: Table) -> dict[str, Any]:
    """The tree of abstract arrays, nested dicts, that `describe` made a table of."""
    shapes = {n: jax.ShapeDtypeStruct(shape, dtype) for n, (shape, dtype) in table.items()}
    return unflatten(shapes)


def total_bytes(items: dict[str, Any]) -> int:
    """Bytes of all arrays in all items, each counted once however it is replicated."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(items))


def require_match(where: str, item: str, stored: Table | None, abstract: Any) -> None:
    """Refuse to restore into arrays that differ from the stored ones; raises UserError."""
    if stored is None:
        raise UserError(f"{where} holds no {item!r}: it was saved for another purpose")
    wanted = describe(abstract)
    different = [
        f"{item}/{name} is {_show(stored.get(name))} there and {_show(wanted.get(name))} here"
        for name in sorted(stored.keys() | wanted.keys())
        if stored.get(name) != wanted.get(name)
    ]
    if different:
        more = f" (and {len(different) - 1} more)" if len(different) > 1 else ""
        raise UserError(
            f"{where} does not fit the configured model and optimizer: {different[0]}{more}: "
            "use the config it was saved with"
        )


def _show(entry: list[Any] | None) -> str:
    return f"{entry[1]}{entry[0]}" if entry else "absent"


@functools.cache  # once a process
def _hush_abandoned_writes() -> None:
    """Drop what TensorStore's threads say of arrays under way when another has failed.

    Orbax raises the first failure and closes the event loop that the rest would report to, each
    of which then goes to `sys.unraisablehook` with a traceback of its own.
    """
    say = sys.unraisablehook

    def say_unless_abandoned(unraisable: Any) -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            say(unraisable)

    sys.unraisablehook = say_unless_abandoned


def _not_from_orbax(record: logging.LogRecord) -> bool:
    return "orbax" not in record.pathname + record.getMessage()
