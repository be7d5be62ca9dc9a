"""Whether a start is of the run it says it is, and how a run goes on without what it came from.

initial/    what models that are not begun start from; there until all are trained
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bertjax.checkpoint import CheckpointStore
from bertjax.config import FinetuneConfig, ModelConfig
from bertjax.errors import UserError
from bertjax.finetune.material import RANDOM_WEIGHTS, Start
from bertjax.finetune.splits import Splits
from bertjax.overrides import from_json
from bertjax.runs.directory import RunDirectory
from bertjax.runs.same_run import check_origin, fingerprint, refuse_changes
from bertjax.tasks.task import Example
from bertjax.text.tokenizer import load_tokenizer

# What may differ when a run is resumed: how often it says something, and where its examples are.
# What is in them is compared by fingerprint.
_MAY_CHANGE = ("tune.log_every", "data.train", "data.dev", "data.test", "data.layout")


def check_same_run(
    directory: RunDirectory, cfg: FinetuneConfig, start: Start, splits: Splits
) -> None:
    """Refuse to go on with a run under another config, or from other weights or examples."""
    if directory.config.exists():
        before = from_json(FinetuneConfig, directory.config.read_text(encoding="utf-8"))
        refuse_changes(directory, before, cfg, _MAY_CHANGE)
    parts = {"train": splits.train, "dev": splits.dev, "test": splits.test}
    origin = {f"{name} examples": _fingerprint_of(part) for name, part in parts.items()}
    if not start.is_of_run:
        origin["weights (--init)"] = fingerprint(start.params)
        origin["tokenizer (--init)"] = start.tokenizer.fingerprint
    check_origin(directory, origin, resumes=False)


def keep_start(directory: RunDirectory, start: Start) -> None:
    """Store the weights that the run starts from, and what they are."""
    store = CheckpointStore(directory.initial, keep=1)
    if start.params and store.latest_verified_step() is None:
        meta = {"source": start.source, "task": start.task}
        store.save(0, {"params": start.params}, meta)
        store.wait()


def drop_start(directory: RunDirectory) -> None:
    """Remove what `keep_start` stored; no model of the run needs it any more."""
    shutil.rmtree(directory.initial, ignore_errors=True)


def start_of(workdir: Path) -> tuple[ModelConfig, Start]:
    """The encoder and the start of a run that was begun, from what the run itself holds.

    Raises:
        UserError: the stored weights are damaged.
    """
    directory = RunDirectory(workdir.absolute())
    cfg = from_json(FinetuneConfig, directory.config.read_text(encoding="utf-8"))
    tokenizer = load_tokenizer(directory.tokenizer)
    found = CheckpointStore(directory.initial, keep=1).restore_all()
    if found is None:  # begun with random weights, or finished
        return cfg.model, Start(RANDOM_WEIGHTS, {}, tokenizer, is_of_run=True)
    params, meta = found.items["params"], found.meta
    return cfg.model, Start(meta["source"], params, tokenizer, meta["task"], is_of_run=True)


def finished(directory: RunDirectory, start: Start) -> dict[str, Any] | None:
    """The results of a run that is done and whose start is gone; None if there is more to do.

    Raises:
        UserError: a model has to be trained, and the weights to begin with are gone.
    """
    if not start.is_of_run or start.params:
        return None
    origin = json.loads(directory.origin.read_text(encoding="utf-8"))
    if origin.get("weights (--init)") == fingerprint({}):
        return None  # random weights, which are made anew
    try:
        return json.loads((directory.path / "results.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UserError(
            f"{directory.path} has no results and no weights to begin with: give the --init that "
            "it was started with"
        ) from None


def _fingerprint_of(examples: Sequence[Example]) -> str:
    """Of all that the examples hold but where they stood."""
    digest = hashlib.sha256()
    for example in examples:
        digest.update(repr((example.id, example.texts, example.label)).encode() + b"\n")
    return digest.hexdigest()
