"""Which class of transformers holds a model, and which tensors of its file hold what."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

from bertjax.config import SENTENCE_FAMILIES, HeadConfig, ModelConfig
from bertjax.errors import UserError
from bertjax.huggingface.systems import Head, Names, System, system_of
from bertjax.model import describe
from bertjax.model.task import TaskShape, describe_task

# Of what lies in a module; where a name pairs a single parameter, it is the tensor's.
_LEAVES = {"kernel": "weight", "scale": "weight", "embedding": "weight", "bias": "bias"}


@dataclass(frozen=True)
class Architecture:
    """A class of `transformers` that computes exactly what a config describes."""

    system: System
    head: Head

    @property
    def name(self) -> str:
        """The class."""
        return self.system.class_prefix + self.head.suffix

    @property
    def model_type(self) -> str:
        """Its name in config.json."""
        return self.system.model_type

    @property
    def prefix(self) -> str:
        """Of the encoder's tensors; the encoder alone has none."""
        return "" if self.head.suffix == "Model" else self.system.prefix

    @property
    def decoder(self) -> str:
        """Module whose weight and bias copy tied ones; empty where there is none."""
        return self.system.decoder if "masked_lm" in _roots(self.head.names) else ""


def architecture_of(cfg: ModelConfig, system: System | None = None) -> Architecture:
    """Return the class that holds this model with its pretraining heads; UserError if none does.

    It is one of the system that the model is written as, or of the one that it is read from.
    """
    system = system or system_of(cfg)
    if cfg.replaced_token_head:
        if "replaced_tokens" in system.heads:
            return Architecture(system, system.heads["replaced_tokens"])
        raise UserError(
            f"model.family={cfg.family} with a head of replaced tokens: {system.class_prefix} on "
            "Hugging Face has none; train with model.family=electra"
        )
    if not cfg.next_sentence_head:
        return Architecture(system, system.heads["masked_lm"])
    if "pairs" not in system.heads:
        raise UserError(
            f"model.family={cfg.family} with model.norm={cfg.norm} is {system.class_prefix}"
            f"{system.heads['masked_lm'].suffix} on Hugging Face, which has no place for a "
            "next-sentence head: train without one, data.format=full_sentences, or export "
            "--without-next-sentence-head"
        )
    return Architecture(system, system.heads["pairs"])


def task_architecture(cfg: ModelConfig, head: HeadConfig, shape: TaskShape) -> Architecture:
    """Return the class that holds this model with this head; UserError if none does."""
    system = system_of(cfg)
    found = system.heads.get(shape.family)
    if found is None:
        raise UserError(
            f"task.family={shape.family}: {system.class_prefix} on Hugging Face has no class for "
            "it: export the encoder alone (--encoder)"
        )
    _refuse_parts(head, shape, system, found)
    return Architecture(system, found)


def encoder_architecture(cfg: ModelConfig, *, pooler: bool) -> Architecture:
    """Return the class of the encoder alone, which may have a pooler."""
    system = system_of(cfg)
    return Architecture(system, Head("Model", pooler=pooler and bool(system.pooler)))


def task_class_families(system: System, name: str) -> tuple[str, ...]:
    """Return the task families that a class of transformers may hold; none if it has no head."""
    pretraining = ("masked_lm", "pairs", "replaced_tokens")
    return tuple(
        family
        for family, head in system.heads.items()
        if family not in pretraining and system.class_prefix + head.suffix == name
    )


def _refuse_parts(head: HeadConfig, shape: TaskShape, system: System, theirs: Head) -> None:
    """Refuse what no class of transformers has between the encoder and the classifier."""
    name = system.class_prefix + theirs.suffix
    has = tuple(system.pooling.values) if system.pooling else (theirs.pooling,)
    pools = head.pooling not in has and shape.family in SENTENCE_FAMILIES
    if head.bias != theirs.bias:
        raise UserError(
            f"head.bias={head.bias}: {name} on Hugging Face has {theirs.bias}: export the encoder "
            f"alone (--encoder), or train a head with head.bias={theirs.bias}"
        )
    parts = {
        f"head.fusion={head.fusion}": head.fusion != "none",
        f"head.sequence={head.sequence}": head.sequence != "none",
        "head.crf=true": head.crf,
        f"head.pooling={head.pooling}": pools,
    }
    for part, used in parts.items():
        if used:
            raise UserError(
                f"{part}: {name} on Hugging Face has no place for it: export the encoder alone "
                "(--encoder), or train a head without it"
            )


@dataclass(frozen=True)
class Tensor:
    """One tensor of a file, and the parameters that lie in it end to end."""

    name: str
    paths: tuple[str, ...]


def hub_tensors(
    cfg: ModelConfig, architecture: Architecture, paths: Iterable[str] | None = None
) -> tuple[Tensor, ...]:
    """The tensors of a class, for a model whose parameters have these paths; None: all it may have.

    Names of parts that the model does not have are passed over, and so are parameters of heads
    that the class does not have. Raises UserError for one of the encoder that it has no name for.
    """
    system, head = architecture.system, architecture.head
    there = _every_path(cfg, head.bias) if paths is None else frozenset(paths)
    encoder = {**system.encoder, **(system.pooler if head.pooler else {})}
    found = [
        *_expanded(cfg, encoder, architecture.prefix, there),
        *_expanded(cfg, head.names, "", there),
    ]
    named = {path for tensor in found for path in tensor.paths}
    for path in sorted(there - named):
        if path.startswith(("layer_", "embeddings/", "final_norm/")):
            raise UserError(
                f"parameter {path}: {architecture.name} on Hugging Face has no place for it; "
                f"choose another model.family than {cfg.family}"
            )
    return tuple(found)


def hub_names(cfg: ModelConfig, architecture: Architecture) -> dict[str, str]:
    """Map the path of every parameter that a class holds to the name of its tensor."""
    tensors = hub_tensors(cfg, architecture)
    return {path: tensor.name for tensor in tensors for path in tensor.paths}


@lru_cache(maxsize=64)
def _every_path(cfg: ModelConfig, bias: bool) -> frozenset[str]:
    """Paths of the encoder and of every head that a class may have on it, with a bias or not."""
    pretraining = replace(cfg, next_sentence_head=True, replaced_token_head=False)
    detecting = replace(cfg, next_sentence_head=False, replaced_token_head=True)
    task = describe_task(cfg, HeadConfig(bias=bias), TaskShape("classification", 2))
    return frozenset().union(describe(pretraining), describe(detecting), task)


def _expanded(cfg: ModelConfig, names: Names, prefix: str, there: frozenset[str]) -> list[Tensor]:
    """Tensors of a table, layer by layer, whose parameters are there."""
    found: dict[str, tuple[str, ...]] = {}
    for ours, theirs in names.items():
        modules = (ours,) if isinstance(ours, str) else ours
        for layer in range(max(cfg.layer_weights) + 1 if "{" in theirs else 1):
            group, inner = divmod(layer, cfg.inner_layers)
            name = prefix + theirs.format(layer, group=group, inner=inner)
            places = [one.format(layer) for one in modules]
            if places[0] in there:
                found[name] = tuple(places)
            for leaf, word in _LEAVES.items():
                paths = tuple(f"{place}/{leaf}" for place in places)
                if paths[0] in there:
                    found[f"{name}.{word}"] = paths
    return [Tensor(name, paths) for name, paths in found.items()]


def _roots(names: Names) -> set[str]:
    every = (ours if isinstance(ours, str) else ours[0] for ours in names)
    return {one.partition("/")[0] for one in every}
