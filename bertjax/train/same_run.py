"""Whether a start is of the run it says it is, and the same in every process."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax

from bertjax import cluster
from bertjax.checkpoint import CheckpointStore
from bertjax.config import PretrainConfig
from bertjax.errors import UserError
from bertjax.overrides import from_json
from bertjax.pretrained import Pretrained
from bertjax.runs.directory import RunDirectory
from bertjax.runs.environment import code_digest
from bertjax.runs.same_run import check_origin, fingerprint, refuse_changes
from bertjax.train.data import Data
from bertjax.tree import flatten
from bertjax.version import __version__

# What may differ when a run is resumed: where things are, how often they are written, and how
# the same batches are computed. Anything else would make another run of it.
MAY_CHANGE = (
    "data.corpus",
    "data.prefetch",
    "data.workers",
    "train.attention",
    "train.checkpoint_every",
    "train.eval_every",
    "train.hash_every",
    "train.keep_checkpoints",
    "train.log_every",
    "train.max_bad_steps",
    "train.mesh.data",
    "train.mesh.fsdp",
    "train.mesh.tensor",
    "train.remat",
    "train.scan_layers",
    "train.tensorboard",
    "train.trackio",
)

# What may differ between the processes of a run: where each finds its data and how it reads it.
_OWN = ("data.corpus", "data.prefetch", "data.workers")


def require_same_everywhere(cfg: PretrainConfig, data: Data, workdir: str | Path) -> None:
    """Refuse to start unless every process has the same config, data, code and run directory.

    Raises:
        UserError: the first difference, with both values and the processes that have them.
    """
    own = _OWN + _paths(cfg)
    fields = {
        name.replace("/", "."): json.dumps(value)
        for name, value in flatten(dataclasses.asdict(cfg)).items()
    }
    cluster.require_agreement(
        {
            "bertjax": f"{__version__} with code {code_digest()}",
            "jax": jax.__version__,
            **{name: value for name, value in fields.items() if name not in own},
            "corpus identity": _shortened(data.identity),
            "tokenizer fingerprint": _shortened(data.meta()["tokenizer"]),
            "--workdir": str(Path(workdir).absolute()),
        }
    )


def check_same_run(
    run: RunDirectory, cfg: PretrainConfig, data: Data, start_from: Pretrained | None
) -> None:
    """Refuse to go on under a config, a corpus or weights that would make another run of it.

    A run that has a checkpoint needs what it was started from no more, so `start_from` is only
    compared where there is one.
    """
    saved = CheckpointStore(run.checkpoints, keep=1).read_meta()
    if saved is not None:
        _check_corpus(run, saved, data)
        before = from_json(PretrainConfig, json.dumps(saved["config"]))
        # By these names other runs are meant, of which the checkpoint has what is needed.
        names = [
            f"train.{name}"
            for name in ("init", "pace")
            if bool(getattr(before.train, name)) == bool(getattr(cfg.train, name))
        ]
        refuse_changes(run, before, cfg, (*MAY_CHANGE, *_paths(cfg), *names))
    if start_from is not None:
        if jax.process_index() == 0:
            origin = {"weights (--init)": fingerprint(start_from.params)}
            check_origin(run, origin, resumes=saved is not None)
    elif run.origin.exists() and saved is None:
        raise UserError(
            f"{run.path} was started from other weights and ended before its first checkpoint: "
            "give the same --init again, or another --workdir"
        )
    elif saved is None and cfg.train.init:
        raise UserError(
            f"train.init={cfg.train.init} without its weights: give start_from, or leave it empty "
            "for random ones"
        )


def _check_corpus(run: RunDirectory, meta: dict[str, Any], data: Data) -> None:
    for key, name in (("tokenizer", "tokenizer fingerprint"), ("corpus", "corpus identity")):
        now = data.meta()[key]
        if meta[key] != now:
            raise UserError(
                f"{run.path} was trained with {name} {_shortened(meta[key])}, the corpus has "
                f"{_shortened(now)}: point data.corpus at the corpus it was trained on, or use "
                "another --workdir"
            )


def _shortened(hashes: str) -> str:
    """Those of several corpora have commas between them."""
    return ",".join(one[:12] for one in hashes.split(","))


def _paths(cfg: PretrainConfig) -> tuple[str, ...]:
    """The fields that say where each of several corpora is."""
    return tuple(f"data.corpora.{i}.path" for i in range(len(cfg.data.corpora)))
