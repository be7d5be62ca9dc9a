"""From a config and a directory to everything the loop needs, with every mismatch refused."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh, SingleDeviceSharding

from bertjax import __version__, cluster, model, sharding
from bertjax.checkpoint import CheckpointStore, Restored
from bertjax.config import ModelConfig, PretrainConfig
from bertjax.data.batches import BatchSource
from bertjax.data.corpus import Corpus, describe_corpus, open_corpus
from bertjax.errors import UserError
from bertjax.overrides import describe_difference, from_json
from bertjax.train.run_directory import RunDirectory
from bertjax.train.step import TrainState, attention_of, compute_of, init_state, state_shardings

# What may differ when a run is resumed: where things are, how often they are written, and how
# the same batches are computed. Anything else would make another run of it.
MAY_CHANGE = (
    "data.corpus",
    "data.prefetch",
    "data.workers",
    "train.attention",
    "train.checkpoint_every",
    "train.eval_every",
    "train.keep_checkpoints",
    "train.log_every",
    "train.max_bad_steps",
    "train.mesh.data",
    "train.mesh.fsdp",
    "train.mesh.tensor",
    "train.remat",
    "train.scan_layers",
    "train.tensorboard",
)

EVALUATION_DATA_SEED = 0  # held-out pairs and their order do not depend on the run's seed


@dataclass(frozen=True)
class Data:
    """Both splits of the corpus."""

    train: Corpus
    held_out: Corpus
    language: str  # as the corpus was prepared: auto, en or zh

    def training(self, cfg: PretrainConfig, phase: int) -> BatchSource:
        """Batches of one phase."""
        return BatchSource(self.train, cfg.data, phase, cfg.seed)

    def evaluation(self, cfg: PretrainConfig, phase: int) -> BatchSource:
        """Held-out rows in the format and length of one phase."""
        return BatchSource(self.held_out, cfg.data, phase, EVALUATION_DATA_SEED)


def open_data(cfg: PretrainConfig) -> tuple[PretrainConfig, Data]:
    """Open the corpus and settle the vocabulary size.

    Raises:
        UserError: no corpus is named, it is damaged, or its vocabulary has more pieces than the
            config's.
    """
    if not cfg.data.corpus:
        raise UserError("data.corpus is empty: give data.corpus=DIRECTORY from `bertjax prepare`")
    verify = jax.process_index() == 0
    data = Data(
        open_corpus(cfg.data.corpus, "train", verify),
        open_corpus(cfg.data.corpus, "validation", verify),
        describe_corpus(cfg.data.corpus)["settings"]["language"],
    )
    settled = settle_vocabulary(cfg.model, data.train.vocab_size, cfg.data.corpus)
    return dataclasses.replace(cfg, model=settled), data


def settle_vocabulary(cfg: ModelConfig, pieces: int, corpus: str) -> ModelConfig:
    """`cfg` with a row of the table for each piece of a corpus's tokenizer, or with its own number.

    Some models have rows that no piece has (NVIDIA's BERT, MosaicBERT): these are never drawn.
    Raises UserError if `cfg` has fewer rows than pieces.
    """
    if 0 < cfg.vocab_size < pieces:
        raise UserError(
            f"model.vocab_size={cfg.vocab_size} but the tokenizer of {corpus} has {pieces} pieces: "
            "set model.vocab_size=0 to take the corpus's, or prepare the corpus with the tokenizer "
            "of the model"
        )
    return dataclasses.replace(cfg, vocab_size=max(cfg.vocab_size, pieces))


# What may differ between the processes of a run: where each finds its data and how it reads it.
_OWN = ("data.corpus", "data.prefetch", "data.workers")


def require_same_everywhere(cfg: PretrainConfig, data: Data, workdir: str | Path) -> None:
    """Refuse to start unless every process has the same config, data, code and run directory.

    Raises:
        UserError: the first difference, with both values and the processes that have them.
    """
    fields = {
        sharding.path_name(path).replace("/", "."): json.dumps(value)
        for path, value in jax.tree_util.tree_leaves_with_path(dataclasses.asdict(cfg))
    }
    cluster.require_agreement(
        {
            "bertjax": f"{__version__} with code {_digest_of_code()}",
            "jax": jax.__version__,
            **{name: value for name, value in fields.items() if name not in _OWN},
            "corpus identity": data.train.identity[:12],
            "tokenizer fingerprint": data.train.fingerprint[:12],
            "--workdir": str(Path(workdir).absolute()),
        }
    )


def _digest_of_code() -> str:
    package = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def make_mesh(cfg: PretrainConfig) -> Mesh:
    """The mesh over all devices.

    Raises:
        UserError: the devices, a parameter or the rows of any phase do not divide over it, or
            attention cannot be computed there as the config says.
    """
    mesh = sharding.make_mesh(cfg.train.mesh)
    sharding.parameter_shardings(mesh, model.abstract_params(cfg.model))
    for phase in cfg.data.phases:
        sharding.process_rows(mesh, phase.batch_size, cfg.train.accumulate)
        attention_of(cfg, compute_of(cfg, mesh), phase)
    return mesh


def check_same_run(
    run: RunDirectory, meta: dict[str, Any], cfg: PretrainConfig, data: Data
) -> None:
    """Refuse to resume under a config or a corpus that would make another run of it.

    `meta` is what the run's checkpoint says of both.
    """
    _check_corpus(run, meta, data)
    changes = describe_difference(from_json(PretrainConfig, json.dumps(meta["config"])), cfg)
    barred = [change for change in changes if change.split(":")[0] not in MAY_CHANGE]
    _refuse_changes(run, barred)


def check_same_start(run: RunDirectory, cfg: PretrainConfig) -> None:
    """The same for a run that ended before its first checkpoint; an imported one has no recipe."""
    if run.config.exists() and not run.initial.is_dir():
        before = from_json(PretrainConfig, run.config.read_text(encoding="utf-8"))
        changes = describe_difference(before, cfg)
        _refuse_changes(run, [c for c in changes if c.startswith("train.init:")])


def _refuse_changes(run: RunDirectory, barred: list[str]) -> None:
    if barred:
        raise UserError(
            f"{run.path} was started with another config ({'; '.join(barred)}): use the same "
            f"values to resume it, or another --workdir (--init {run.path} takes its weights there)"
        )


def _check_corpus(run: RunDirectory, meta: dict[str, Any], data: Data) -> None:
    for key, name, now in (
        ("tokenizer", "tokenizer fingerprint", data.train.fingerprint),
        ("corpus", "corpus identity", data.train.identity),
    ):
        if meta[key] != now:
            raise UserError(
                f"{run.path} was trained with {name} {meta[key][:12]}, the corpus has {now[:12]}: "
                "point data.corpus at the corpus it was trained on, or use another --workdir"
            )


def copy_tokenizer(cfg: PretrainConfig, run: RunDirectory) -> None:
    """Keep the corpus's tokenizer with the run."""
    shutil.copytree(Path(cfg.data.corpus) / "tokenizer", run.tokenizer, dirs_exist_ok=True)


def fresh_state(cfg: PretrainConfig, mesh: Mesh, params: model.Params | None = None) -> TrainState:
    """A new state on the mesh; with `params`, those take the place of random ones."""
    places = state_shardings(cfg, mesh)
    state = jax.jit(lambda: init_state(cfg), out_shardings=places)()
    if params is not None:
        state = state._replace(params=jax.tree.map(jax.device_put, params, places.params))
    return state


def checkpoint_items(state: TrainState) -> dict[str, Any]:
    """The state as named checkpoint items; parameters apart, so that they load alone."""
    rest = {"step": state.step, "bad_steps": state.bad_steps, "skipped": state.skipped}
    return {"params": state.params, "optimizer": {"state": state.optimizer, **rest}}


def restored_state(items: dict[str, Any]) -> TrainState:
    """The inverse of `checkpoint_items`."""
    rest = items["optimizer"]
    return TrainState(
        rest["step"], items["params"], rest["state"], rest["bad_steps"], rest["skipped"]
    )


def abstract_items(cfg: PretrainConfig, mesh: Mesh) -> dict[str, Any]:
    """Shapes and shardings of `checkpoint_items`, for restoring onto this mesh."""
    shapes = jax.eval_shape(lambda: init_state(cfg))
    placed = jax.tree.map(
        lambda s, place: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=place),
        shapes,
        state_shardings(cfg, mesh),
    )
    return checkpoint_items(placed)


def adopt_architecture(cfg: ModelConfig, source: ModelConfig) -> ModelConfig:
    """The architecture of the model that is started from; dropout stays that of `cfg`."""
    return dataclasses.replace(
        source, hidden_dropout=cfg.hidden_dropout, attention_dropout=cfg.attention_dropout
    )


@contextlib.contextmanager
def memory_errors(cfg: PretrainConfig) -> Iterator[None]:
    """Turn a device that runs out of memory into a UserError that names the largest knobs."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        sizes = [p.batch_size * p.seq_len for p in cfg.data.phases]
        largest = sizes.index(max(sizes))
        row = cfg.data.phases[largest]
        raise UserError(
            f"the devices ran out of memory at {row.batch_size} rows of {row.seq_len} in "
            f"{cfg.train.accumulate} micro-batches: raise train.accumulate or train.mesh.fsdp, "
            f"lower data.phases.{largest}.batch_size, or use train.compute_dtype=bfloat16"
        ) from error


def load_parameters(stores: dict[str, Path], cfg: ModelConfig) -> tuple[str, Restored]:
    """Parameters on one device from the first of `stores`, by name, that holds a checkpoint.

    Returns that store's name and the checkpoint with its item `params`. Raises UserError if there
    is none.
    """
    place = SingleDeviceSharding(jax.devices()[0])
    wanted = jax.tree.map(
        lambda s: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=place),
        model.abstract_params(cfg),
    )
    for name, directory in stores.items():
        if directory.is_dir():
            found = CheckpointStore(directory, keep=1).restore({"params": wanted})
            if found is not None:
                return name, found
    raise UserError(
        f"no checkpoint in {' or '.join(map(str, stores.values()))}: `bertjax pretrain` was "
        "stopped before the first one was written: run it again"
    )
