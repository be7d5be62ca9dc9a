"""Folders of which one file at a time is fuzzed, among the others that are as they were written."""

from __future__ import annotations

import contextlib
import json
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

from fuzz_target import Target

from bertjax.ablate import report, side_by_side
from bertjax.cli.info import run as info

Files = Callable[[], Mapping[str, bytes]]  # of a folder, by their paths in it
Read = Callable[[Path], Any]  # of the folder


def targets_of(name: str, files: Files, readers: Mapping[str, Read]) -> Iterator[Target]:
    """A target for each file of a folder that has a reader."""
    for file, read in readers.items():
        yield Target(
            f"{name}/{file}", file, read, lambda file=file: [files()[file]],
            lambda folder: fill(files, folder),
        )  # fmt: skip


def fill(files: Files, folder: Path) -> None:
    """Write the files into a folder."""
    for name, data in files().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def files_in(folder: Path) -> dict[str, bytes]:
    """The files of a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def as_json(value: Any) -> bytes:
    """A value as bertjax writes it."""
    return json.dumps(value, indent=1).encode()


def describe(folder: Path) -> None:
    """`bertjax info`."""
    info(Namespace(path=folder))


def without_pictures(read: Read) -> Read:
    """A reader that draws nothing, as without matplotlib, which takes nine tenths of its time."""

    def undrawn(folder: Path) -> None:
        with contextlib.ExitStack() as patches:
            for page in (report, side_by_side):
                patches.enter_context(mock.patch.object(page, "can_draw", lambda: False))
            read(folder)

    return undrawn
