"""One split of a corpus on its way to disk: flat arrays, and ArrayRecord shards for TFDS."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from array_record.python.array_record_module import ArrayRecordWriter

from bertjax.data.documents import FEATURES

SHARD_BYTES = 256 << 20  # of examples; a shard ends with the document that passes this
DATASET_NAME = "bertjax_corpus"
_SHARD_NAME = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"


class SplitWriter:
    """Appends documents to the files of one split; a context manager that closes them."""

    def __init__(self, directory: Path, split: str):
        self.directory, self.split = directory, split
        self.shard_lengths: list[int] = []
        self.example_bytes = 0
        self.tokens = 0
        flat = directory / "flat" / split
        flat.mkdir(parents=True)
        self._files = ExitStack()
        self._tokens = self._files.enter_context((flat / "tokens.bin").open("wb"))
        self._boundaries = self._files.enter_context((flat / "boundaries.bin").open("wb"))
        self._document_starts = _StartsFile(flat / "document_starts.npy")
        self._sentence_starts = _StartsFile(flat / "sentence_starts.npy")
        self._shard: Any = None
        self._shard_bytes = 0

    def append(
        self,
        tokens: np.ndarray,
        boundaries: np.ndarray,
        document_lengths: np.ndarray,
        sentence_lengths: np.ndarray,
        examples: Iterable[bytes],
    ) -> None:
        """Append documents laid end to end; lengths in tokens, one example a document."""
        self._tokens.write(tokens.tobytes())
        self._boundaries.write(boundaries.tobytes())
        self._document_starts.append_lengths(document_lengths)
        self._sentence_starts.append_lengths(sentence_lengths)
        self.tokens += len(tokens)
        for example in examples:
            self._append_example(example)

    def _append_example(self, example: bytes) -> None:
        if self._shard is None:
            path = self._shard_path(len(self.shard_lengths), None)
            # A group of one makes every document its own seek; varints hardly compress.
            self._shard = ArrayRecordWriter(str(path), "group_size:1,uncompressed")
            self.shard_lengths.append(0)
            self._shard_bytes = 0
        self._shard.write(example)
        self.shard_lengths[-1] += 1
        self._shard_bytes += len(example)
        self.example_bytes += len(example)
        if self._shard_bytes >= SHARD_BYTES:
            self._close_shard()

    def _close_shard(self) -> None:
        shard, self._shard = self._shard, None
        try:
            shard.close()
        except RuntimeError as error:  # ArrayRecord reports a full disk only here
            raise OSError(str(error)) from None

    def _shard_path(self, index: int, count: int | None) -> Path:
        of = "unfinished" if count is None else f"of-{count:05d}"
        return self.directory / f"{DATASET_NAME}-{self.split}.array_record-{index:05d}-{of}"

    def __enter__(self) -> SplitWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Close everything; shards get their names, which hold their number, on success only."""
        with self._files:
            if self._shard is not None:
                self._close_shard()
            self._document_starts.close()
            self._sentence_starts.close()
        if kind is None:
            for index in range(len(self.shard_lengths)):
                final = self._shard_path(index, len(self.shard_lengths))
                self._shard_path(index, None).rename(final)


class _StartsFile:
    """A .npy file of int64 offsets that grows; its length is filled in when it is closed."""

    def __init__(self, path: Path):
        self._file = path.open("wb")
        self._end, self._count = 0, 0
        self._write_header()
        self.append_lengths(np.zeros(1, np.int64))

    def append_lengths(self, lengths: np.ndarray) -> None:
        ends = self._end + np.cumsum(lengths)
        self._file.write(ends.astype("<i8").tobytes())
        self._count += len(ends)
        self._end = int(ends[-1]) if len(ends) else self._end

    def _write_header(self) -> None:
        # NumPy pads the header of a one-dimensional array of any length to the same size.
        description = {"descr": "<i8", "fortran_order": False, "shape": (self._count,)}
        np.lib.format.write_array_header_1_0(self._file, description)

    def close(self) -> None:
        self._file.seek(0)
        self._write_header()
        self._file.close()


def write_tfds_metadata(directory: Path, splits: Iterable[SplitWriter]) -> None:
    """Write the two JSON files by which TFDS finds and decodes the shards.

    Written by hand because TFDS's own writer adds the time and the path of the build.
    """
    info = {
        "name": DATASET_NAME,
        "version": "1.0.0",
        "description": "Tokenized documents with sentence and word starts.",
        "fileFormat": "array_record",
        "splits": [
            {
                "name": split.split,
                "filepathTemplate": _SHARD_NAME,
                "shardLengths": [str(n) for n in split.shard_lengths],
                "numBytes": str(split.example_bytes),
            }
            for split in splits
        ],
    }
    list_of_ints = {
        "pythonClassName": "tensorflow_datasets.core.features.tensor_feature.Tensor",
        "tensor": {"dtype": "int32", "encoding": "none", "shape": {"dimensions": ["-1"]}},
    }
    features = {
        "pythonClassName": "tensorflow_datasets.core.features.features_dict.FeaturesDict",
        "featuresDict": {"features": dict.fromkeys(FEATURES, list_of_ints)},
    }
    for name, content in (("dataset_info.json", info), ("features.json", features)):
        (directory / name).write_text(json.dumps(content, indent=2) + "\n")
