"""Whether a start is of the run it says it is, and how a run goes on without what it came from.

initial/    what models that are not begun start from; there until all are trained
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bertjax import written
from bertjax.checkpoint import CheckpointStore
from bertjax.config import FinetuneConfig, ModelConfig
from bertjax.errors import UserError
from bertjax.finetuning import results
from bertjax.finetuning.material import RANDOM_WEIGHTS, Start
from bertjax.finetuning.member import Member
from bertjax.finetuning.splits import Splits
from bertjax.overrides import read_config
from bertjax.runs.directory import RunDirectory
from bertjax.runs.same_run import check_origin, fingerprint, refuse_changes
from bertjax.tasks.task import Example
from bertjax.text.tokenizer import load_tokenizer

# What may differ when a run is resumed: how often it says something, and where its examples are.
# What is in them is compared by fingerprint.
_MAY_CHANGE = (
    "tune.log_every",
    *("data.train", "data.dev", "data.test", "data.unlabelled", "data.layout"),
)

WEIGHTS = "weights (--init)"


def check_same_run(
    directory: RunDirectory, cfg: FinetuneConfig, start: Start, splits: Splits
) -> None:
    """Refuse to go on with a run under another config, or from other weights or examples."""
    if directory.config.exists():
        before = read_config(FinetuneConfig, directory.config)
        refuse_changes(directory, before, cfg, _MAY_CHANGE)
    parts = {"train": splits.train, "dev": splits.dev, "test": splits.test}
    if splits.unlabelled:  # runs of before say nothing of any
        parts["unlabelled"] = splits.unlabelled
    origin = {f"{name} examples": examples_fingerprint(part) for name, part in parts.items()}
    if not start.is_of_run:
        origin[WEIGHTS] = fingerprint(start.params)
        origin["tokenizer (--init)"] = start.tokenizer.fingerprint
    about = {"source": start.source, "task": start.task}
    check_origin(directory, origin, resumes=False, about=about)


def keep_start(directory: RunDirectory, cfg: FinetuneConfig, start: Start) -> None:
    """Store the weights that a run starts from, where its checkpoints alone do not hold them.

    Those of a single model that is trained whole do.
    """
    store = CheckpointStore(directory.initial, keep=1)
    several = cfg.tune.models > 1 or cfg.transfer.by_rounds
    needed = several or cfg.tune.layers != -1 or cfg.tune.method != "full"
    if needed and start.params and store.latest_verified_step() is None:
        store.save(0, {"params": start.params}, {})
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
    cfg = read_config(FinetuneConfig, directory.config)
    tokenizer = load_tokenizer(directory.tokenizer)
    found = CheckpointStore(directory.initial, keep=1).restore_all()
    about = origin_of(directory)
    params = {} if found is None else found.items["params"]
    source = RANDOM_WEIGHTS if about.get(WEIGHTS) == fingerprint({}) else about.get("source", "")
    return cfg.model, Start(source, params, tokenizer, about.get("task", ""), is_of_run=True)


def finished(directory: RunDirectory, start: Start) -> dict[str, Any] | None:
    """The results of a run that is done and whose start is gone; None if there is more to do."""
    if not start.is_gone:
        return None
    try:
        return results.read(directory.path)
    except UserError:
        return None


def require_checkpoint(cfg: FinetuneConfig, member: Member, start: Start) -> None:
    """Raise UserError if a model would have to begin with, or to keep, weights that are gone."""
    if start.is_gone and cfg.tune.method != "full":
        raise UserError(
            f"{member.run} does not hold the encoder that its few weights belong to: give the "
            "--init that it was started with"
        )
    if start.is_gone and CheckpointStore(member.newest, keep=1).latest_verified_step() is None:
        raise UserError(
            f"{member.run} holds neither a checkpoint of {member.name} nor the weights to begin "
            "with: give the --init that it was started with"
        )


def origin_of(directory: RunDirectory) -> dict[str, str]:
    """What a run was started with, by name (`check_origin`); empty where nothing can be read."""
    try:
        return written.read(directory.origin, {str: written.TEXT})
    except UserError:
        return {}


def examples_fingerprint(examples: Sequence[Example]) -> str:
    """SHA-256 of all that the examples hold but where they stood, in hexadecimal."""
    digest = hashlib.sha256()
    for example in examples:
        digest.update(repr((example.id, example.texts, example.label)).encode() + b"\n")
    return digest.hexdigest()
