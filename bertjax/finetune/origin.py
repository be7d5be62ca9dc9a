"""What a run was started from, so that it is not continued from anything else.

The config names files; this is what was in them.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import jax
import numpy as np

from bertjax.checkpoint.manifest import replace_file
from bertjax.errors import UserError
from bertjax.finetune.splits import Splits
from bertjax.sharding import path_name
from bertjax.text.tokenizer import Tokenizer
from bertjax.train.run_directory import RunDirectory

_FILE = "origin.json"


def check_origin(
    directory: RunDirectory, params: Any, tokenizer: Tokenizer, splits: Splits
) -> None:
    """Note what a new run starts from; of one that is continued, compare.

    Raises:
        UserError: the weights, the tokenizer or the examples are not those it was started with.
    """
    origin = {
        "weights": _of_parameters(params),
        "tokenizer": tokenizer.fingerprint,
        **{name: _of_examples(getattr(splits, name)) for name in ("train", "dev", "test")},
    }
    path = directory.path / _FILE
    if not path.exists():
        replace_file(path, (json.dumps(origin, indent=2) + "\n").encode())
        return
    before = json.loads(path.read_text(encoding="utf-8"))
    changed = [name for name in origin if origin[name] != before.get(name)]
    if changed:
        what = {"weights": "weights (--init)", "tokenizer": "tokenizer (--init)"}
        names = ", ".join(what.get(name, f"{name} examples") for name in changed)
        raise UserError(
            f"{directory.path} was started with other {names}: give those back to resume it, or "
            "another --workdir"
        )


def _of_parameters(params: Any) -> str:
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        array = np.ascontiguousarray(leaf)
        digest.update(f"{path_name(path)} {array.shape} {array.dtype}\n".encode())
        digest.update(array.data)
    return digest.hexdigest()


def _of_examples(examples: list) -> str:
    """Of all that the examples hold but where they stood."""
    digest = hashlib.sha256()
    for example in examples:
        digest.update(repr((example.id, example.texts, example.label)).encode() + b"\n")
    return digest.hexdigest()
