"""Opening a TFDS data set without TensorFlow."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from bertjax.errors import UserError, nearest


@dataclass(frozen=True)
class OpenedTfds:
    """One split of a data set."""

    name: str  # tfds:NAME:SPLIT
    features: Any  # by name
    num_bytes: int
    data_source: Any  # examples by number


def open_tfds(spec: str) -> OpenedTfds:
    """Open `NAME[:SPLIT]`, where NAME may be a directory; the split is train if none is named.

    Raises:
        UserError: there is no such data set or split here, or its files are not ArrayRecord.
    """
    import tensorflow_datasets as tfds

    name, _, split = spec.partition(":")
    split = split or "train"
    try:
        builder = tfds.builder_from_directory(name) if os.path.isdir(name) else tfds.builder(name)
        if split not in builder.info.splits:
            raise UserError(
                f"tfds:{name}: no split {split!r}: {nearest(split, builder.info.splits)}"
            )
        data_source = builder.as_data_source(split)
    except UserError:
        raise
    except Exception as error:  # TFDS raises many kinds, AssertionError and ImportError among them
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(
            f"tfds:{name}: cannot be opened ({reason}): prepare it first with "
            "file_format='array_record', or give its directory"
        ) from None
    size = builder.info.splits[split].num_bytes
    return OpenedTfds(f"tfds:{name}:{split}", builder.info.features, size, data_source)
