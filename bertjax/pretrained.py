"""Open a model to start from or to use: a run of ours, or a Hugging Face directory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
from jax.sharding import SingleDeviceSharding

from bertjax import model
from bertjax.checkpoint import CheckpointStore, Restored
from bertjax.config import ModelConfig, PretrainConfig
from bertjax.data.corpus import describe_corpus
from bertjax.errors import UserError
from bertjax.huggingface import import_model, no_tokenizer
from bertjax.model import networks
from bertjax.overrides import read_config
from bertjax.runs.directory import RunDirectory
from bertjax.runs.kinds import Kind, require_kind
from bertjax.text.tokenizer import Tokenizer, load_tokenizer


class Generator(NamedTuple):
    """The masked LM that was trained beside a model that detects replaced tokens."""

    cfg: ModelConfig
    params: model.Params  # the shared embeddings among them


@dataclass(frozen=True)
class Pretrained:
    """An architecture with its weights and tokenizer."""

    cfg: ModelConfig
    params: model.Params
    tokenizer: Tokenizer | None
    source: str  # what was read, for people
    fresh: tuple[str, ...] = ()  # parameters that were not there and are random
    step: int = 0  # training steps behind it, if it is a run of ours
    meta: dict[str, Any] = field(default_factory=dict)  # of its checkpoint
    generator: Generator | None = None

    @property
    def all_params(self) -> model.Params:
        """Those of all its networks, as `model.networks` names them, and shared ones twice."""
        return self.params | ({"generator": self.generator.params} if self.generator else {})

    def check_corpus(self, corpus: Path) -> None:
        """Refuse a corpus of another tokenizer: its ids would mean other words."""
        if self.tokenizer is None:
            return
        theirs = describe_corpus(corpus)["tokenizer"]
        if theirs != self.tokenizer.fingerprint:
            raise UserError(
                f"{corpus} was prepared with tokenizer {theirs[:12]}, the model of {self.source} "
                f"has {self.tokenizer.fingerprint[:12]}: prepare the text again with "
                "--tokenizer set to the model's directory"
            )


def open_pretrained(path: Path, name: str = "model") -> Pretrained:
    """Read a run of `bertjax pretrain` or a Hugging Face directory.

    Of a run, the best checkpoint, else the newest, else what it was imported from. `name` is what
    the user gave the path as, for messages.

    Raises:
        UserError: neither of them, or damaged.
    """
    kind = require_kind(name, path, Kind.PRETRAINING, Kind.HUGGING_FACE)
    if kind is Kind.PRETRAINING:
        run = RunDirectory(path.absolute())
        stores = {"best": run.best, "newest": run.checkpoints, "imported": run.initial}
        return _read_run(run, stores)
    imported = import_model(path)
    return Pretrained(
        imported.cfg, imported.params, imported.tokenizer, str(path), tuple(imported.fresh)
    )


def open_newest(path: Path) -> Pretrained:
    """Read a run of `bertjax pretrain` as it is after its last step.

    Raises:
        UserError: there is no such run or no checkpoint in it, or it is damaged.
    """
    require_kind("run", path, Kind.PRETRAINING)
    run = RunDirectory(path.absolute())
    return _read_run(run, {"newest": run.checkpoints})


def open_untrained(path: Path, name: str = "model") -> Pretrained:
    """The masked LM of a run with the random weights that it began with: what knowing nothing is.

    Raises:
        UserError: there is no such run, or it began with the weights of another model.
    """
    require_kind(name, path, Kind.PRETRAINING)
    cfg, run = run_config(path), RunDirectory(path.absolute())
    if origin := cfg.train.init or (run.initial.is_dir() and str(run.initial)):
        raise UserError(f"{path} began with the weights of {origin}, not with random ones")
    params = jax.jit(partial(networks.init, cfg))(jax.random.key(cfg.seed))
    generator = Generator(*networks.generator_of(cfg, params)) if cfg.generator else None
    return masked_lm_of(
        Pretrained(
            cfg.model,
            networks.model_of(params),
            load_tokenizer(run.tokenizer),
            f"{path} (random weights)",
            generator=generator,
        )
    )


def open_masked_lm(path: Path, name: str = "model") -> tuple[Pretrained, Tokenizer]:
    """`open_pretrained` of a model that can say what stands at a mask, and its tokenizer.

    Raises:
        UserError: as there and in `masked_lm`.
    """
    return masked_lm(open_pretrained(path, name), path)


def open_language_model(path: Path, name: str = "model") -> tuple[Pretrained, Tokenizer]:
    """The same, and a causal model too."""
    return language_model(open_pretrained(path, name), path)


def masked_lm(found: Pretrained, path: Path) -> tuple[Pretrained, Tokenizer]:
    """What of the model read at `path` says what stands at a mask, and its tokenizer.

    Raises:
        UserError: it is causal, or has no tokenizer or no masked-LM head.
    """
    found, tokenizer = language_model(found, path)
    if found.cfg.attention == "causal":
        raise UserError(
            f"{path} holds a causal model, which says what comes next and not what stands at a "
            "mask: give a masked LM"
        )
    return found, tokenizer


def language_model(found: Pretrained, path: Path) -> tuple[Pretrained, Tokenizer]:
    """The same, and a causal model too."""
    tokenizer = tokenizer_of(found, path)
    found = masked_lm_of(found)
    if found.cfg.replaced_token_head:
        raise UserError(
            f"{path} holds a model that detects replaced tokens and has no masked-LM head: give "
            "its generator"
        )
    if found.fresh:
        raise UserError(
            f"{path} has no masked-LM head (missing {', '.join(found.fresh[:3])}, ...): what it "
            "says of masks would be random"
        )
    return found, tokenizer


def tokenizer_of(found: Pretrained, path: Path) -> Tokenizer:
    """The tokenizer of what was read at `path`; UserError if there is none."""
    if found.tokenizer is None:
        raise no_tokenizer(path)
    return found.tokenizer


def masked_lm_of(found: Pretrained) -> Pretrained:
    """The network of a run that fills masks: the generator, where there is one."""
    if found.generator is None:
        return found
    cfg, params = found.generator
    return replace(found, cfg=cfg, params=params, generator=None)


def is_imported(path: Path) -> bool:
    """Whether `bertjax import` made this run, so that it starts from the weights in it."""
    return RunDirectory(path.absolute()).initial.is_dir()


def open_imported(path: Path) -> Pretrained:
    """Read the weights that `bertjax import` put into a run, whatever was trained since."""
    run = RunDirectory(path.absolute())
    return _read_run(run, {"imported": run.initial})


def run_config(path: Path) -> PretrainConfig:
    """The config of a run of `bertjax pretrain`."""
    return read_config(PretrainConfig, RunDirectory(path).config)


def _read_run(run: RunDirectory, stores: dict[str, Path]) -> Pretrained:
    cfg = run_config(run.path)
    which, found = _restore(stores, cfg)
    params = found.items["params"]
    pair = cfg.generator is not None and which != "imported"
    # A run that is in a phase of its own direction of attention holds the weights of that.
    phase = cfg.data.phases[found.meta.get("phase", -1)]
    averaged = ", averaged weights" if cfg.optim.average and which != "imported" else ""
    return Pretrained(
        cfg.in_phase(phase).model,
        networks.model_of(params),
        load_tokenizer(run.tokenizer),
        f"{run.path} ({which} checkpoint, step {found.step}{averaged})",
        step=found.step,
        meta=found.meta,
        generator=Generator(*networks.generator_of(cfg, params)) if pair else None,
    )


def _restore(stores: dict[str, Path], cfg: PretrainConfig) -> tuple[str, Restored]:
    """Parameters on a device of this process, from the first of `stores` with a checkpoint."""
    place = SingleDeviceSharding(jax.local_devices()[0])
    for name, directory in stores.items():
        if directory.is_dir():
            alone = name == "imported"  # from a directory that holds one network
            shapes = model.abstract_params(cfg.model) if alone else networks.abstract_params(cfg)
            wanted = jax.tree.map(
                lambda s: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=place), shapes
            )
            found = CheckpointStore(directory, keep=1).restore({"params": wanted})
            if found is not None:
                return name, found
    raise UserError(
        f"no checkpoint in {' or '.join(map(str, stores.values()))}: `bertjax pretrain` was "
        "stopped before the first one was written: run it again"
    )
