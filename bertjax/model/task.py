"""The encoder with the head of a task, and the door to it: `init_task` and `apply_task`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from bertjax.config import POOLED, SENTENCE_FAMILIES, HeadConfig, ModelConfig
from bertjax.errors import UserError
from bertjax.facts import Facts
from bertjax.model import heads, layers
from bertjax.model.compute import EXACT, Compute
from bertjax.model.crf import TagRules
from bertjax.model.domains import DISCRIMINATOR, Discriminator
from bertjax.model.encoder import Encoded, Encoder, Params, facts_of, params_of, shapes_of
from bertjax.model.keys import Keys
from bertjax.model.task_heads import TaskHead, pool
from bertjax.model.tuning.method import Method

__all__ = [
    "TagRules",
    "TaskShape",
    "abstract_task_params",
    "apply_task",
    "describe_task",
    "encoder_states",
    "has_pooler",
    "init_task",
    "real_tokens",
]

WEIGHTED_FAMILIES = ("classification", "multi_label", "tagging")


@dataclass(frozen=True)
class TaskShape:
    """What model and loss have to know of a task; hashable, so that it can be static under jit."""

    family: str  # one of config.TASK_FAMILIES
    classes: int  # labels; endings of a multiple_choice; 1 for regression, 2 for span_qa
    class_weights: tuple[float, ...] = ()  # in the loss, one a label; empty: all 1
    tag_rules: TagRules | None = None  # tagging with a CRF: what the scheme allows; None: all
    # The layer whose states are put out as `features`, 0 for the embeddings; None: none is.
    features: int | None = None
    discriminator: int = 0  # width of what tells from them which kind a row is; 0: there is none

    def __post_init__(self) -> None:
        weights = self.class_weights
        if weights and self.family not in WEIGHTED_FAMILIES:
            raise UserError(
                f"task.class_weights={list(weights)} with task.family={self.family}: only "
                f"{', '.join(WEIGHTED_FAMILIES)} have classes to weigh; leave the weights out"
            )
        if weights and len(weights) != self.classes:
            raise UserError(
                f"task.class_weights has {len(weights)} entries for {self.classes} labels: give "
                "one a label, in their order"
            )

    @property
    def outputs(self) -> int:
        """Logits at each place: a choice is between rows, so each of its rows has one."""
        return 1 if self.family == "multiple_choice" else self.classes


def real_tokens(batch: dict[str, Array]) -> Array:
    """Which places of its rows hold tokens, bool [B, T]; the others are padding."""
    return batch["places"] >= 0 if "places" in batch else batch["segments"] != 0


def has_pooler(cfg: ModelConfig, head: HeadConfig, shape: TaskShape) -> bool:
    """Whether the head contains a pooler, `pooler/dense`: where it sees what it was made for.

    That is one hidden state at [CLS], or what EuroBERT's class has; the wider states of a
    concatenation or a sequence layer at [CLS] go to the classifier as they are.
    """
    pooled = shape.family in SENTENCE_FAMILIES and head.pooling in ("cls", *POOLED)
    return pooled and cfg.pooler not in ("transform", "none") and _one_state(head)


def has_transform(cfg: ModelConfig, head: HeadConfig) -> bool:
    """Whether the masked-LM head's transform stands before the classifier, as in ModernBERT."""
    return cfg.pooler == "transform" and _one_state(head)


def _one_state(head: HeadConfig) -> bool:
    return head.sequence == "none" and head.fusion != "concat"


class TaskModel(Encoder):
    """The encoder, the pooler where the head has it, the head, and what a method adds to layers."""

    def __init__(
        self,
        cfg: ModelConfig,
        head: HeadConfig,
        shape: TaskShape,
        compute: Compute,
        rngs: nnx.Rngs,
        method: Method | None = None,
    ):
        super().__init__(cfg, compute, rngs)
        self.shape = shape
        if has_pooler(cfg, head, shape):
            self.pooler = heads.Pooler(cfg, cfg.pooler, compute.dtype, rngs)
        if has_transform(cfg, head):  # under its name in pretraining, whose weights it begins with
            self.masked_lm = heads.Transform(cfg, compute.dtype, rngs)
        self.head = TaskHead(cfg, head, shape.outputs, shape.tag_rules, compute.dtype, rngs)
        if shape.discriminator:
            setattr(self, DISCRIMINATOR, Discriminator(cfg, shape.discriminator, rngs))
        if method is not None:
            for block in {id(block): block for block in self.blocks}.values():
                method.insert(cfg, block, compute.dtype, rngs)

    def states(self, batch: dict[str, Array], key: Array | None) -> list[Array]:
        """What the head sees of the encoder: its last hidden state, or those that are fused."""
        return self._seen(self.encode(batch, key))

    def _seen(self, encoded: Encoded) -> list[Array]:
        if self.head.cfg.fusion == "none":
            return [encoded.hidden_BTD]
        # Pre-norm states grow from layer to layer; the last norm makes them comparable.
        return [self.finish(state) for state in encoded.states[-self.head.cfg.fusion_layers :]]

    def __call__(self, batch: dict[str, Array], key: Array | None) -> dict[str, Any]:
        """What `apply_task` returns."""
        head, real_BT = self.head.cfg, real_tokens(batch)
        key_encoder, key_head = layers.split_key(key, 2)
        outputs: dict[str, Any] = {}
        if "states" in batch:
            states = list(jnp.unstack(batch["states"], axis=2))
        else:
            encoded = self.encode(batch, key_encoder)
            states = self._seen(encoded)
            outputs |= self._of_rows(encoded, batch)
        if "places" in batch:
            states = [heads.gather_places(state, batch["places"]) for state in states]
        x = self.head.features(states, real_BT)
        if self.shape.family == "tagging":
            x = heads.gather_positions(x, jnp.maximum(batch["word_positions"], 0))
        elif self.shape.family in SENTENCE_FAMILIES:
            pooler = self.pooler if has_pooler(self.cfg, head, self.shape) else lambda x: x
            late = head.pooling == "late"
            x = pool("mean", pooler(x), real_BT) if late else pooler(pool(head.pooling, x, real_BT))
        if has_transform(self.cfg, head):
            x = self.masked_lm.transformed(x)
        outputs["logits"] = self.head.classify(x, key_head)
        if head.crf:
            outputs["crf"] = self.head.crf()
        return outputs

    def _of_rows(self, encoded: Encoded, batch: dict[str, Array]) -> dict[str, Array]:
        """`features` and `domain`, where the shape asks for them."""
        if self.shape.features is None:
            return {}
        is_last = self.shape.features == self.cfg.num_layers
        x = encoded.hidden_BTD if is_last else self.finish(encoded.states[self.shape.features])
        if "places" in batch:
            x = heads.gather_places(x, batch["places"])
        alone = self.head.cfg.pooling in ("cls", "last") and self.shape.family in SENTENCE_FAMILIES
        pooling = self.head.cfg.pooling if alone else "mean"
        features_BD = pool(pooling, x, real_tokens(batch)).astype(jnp.float32)
        if not self.shape.discriminator:
            return {"features": features_BD}
        told_B = getattr(self, DISCRIMINATOR)(features_BD, batch["reversal"])
        return {"features": features_BD, "domain": told_B}


@lru_cache(maxsize=64)
def _abstract(
    cfg: ModelConfig, head: HeadConfig, shape: TaskShape, compute: Compute, method: Method | None
) -> TaskModel:
    """The module, made once without allocating any parameter."""
    return nnx.eval_shape(
        lambda: TaskModel(cfg, head, shape, compute, Keys(jax.random.key(0)), method)
    )


@lru_cache(maxsize=64)
def _graph(
    cfg: ModelConfig, head: HeadConfig, shape: TaskShape, compute: Compute, method: Method | None
) -> nnx.GraphDef:
    return nnx.split(_abstract(cfg, head, shape, compute, method))[0]


def init_task(
    cfg: ModelConfig,
    head: HeadConfig,
    shape: TaskShape,
    key: Array,
    method: Method | None = None,
) -> Params:
    """Fresh parameters: a nested dict of float32 arrays.

    The encoder's have the paths of `model.init`, the pooler too where there is one (`has_pooler`);
    all that is new lies under `head/`, but for what `method` adds to the layers.

    Raises:
        UserError: the method does not fit the encoder.
    """
    module = TaskModel(cfg, head, shape, EXACT, Keys(key), method)
    return params_of(cfg, module)


@lru_cache(maxsize=64)
def describe_task(
    cfg: ModelConfig, head: HeadConfig, shape: TaskShape, method: Method | None = None
) -> dict[str, Facts]:
    """What is known of each parameter beside its values, by path."""
    return facts_of(cfg, _abstract(cfg, head, shape, EXACT, method))


@lru_cache(maxsize=64)
def abstract_task_params(
    cfg: ModelConfig, head: HeadConfig, shape: TaskShape, method: Method | None = None
) -> Params:
    """Shapes and dtypes of `init_task`'s result, computed once a task and without memory."""
    return shapes_of(_abstract(cfg, head, shape, EXACT, method))


def apply_task(
    cfg: ModelConfig,
    head: HeadConfig,
    shape: TaskShape,
    params: Params,
    batch: dict[str, Array],
    *,
    compute: Compute = EXACT,
    key: Array | None = None,
    method: Method | None = None,
) -> dict[str, Any]:
    """Run the encoder and the head.

    Args:
        cfg: the architecture.
        head: what stands between the encoder and the answer.
        shape: of the task.
        params: from `init_task`.
        batch: int32 [B, T] `tokens`, `token_types`, `positions`, `segments` (0 is padding, at the
            end of a row); for tagging int32 [B, W] `word_positions`, −1 is padding. Rows that
            share lines have all but the last as [lines, width], and int32 [B, T] `places`: where
            on the lines, end to end, the tokens of a row lie; −1 is padding. With `states`,
            which `encoder_states` makes of the first four, the encoder is not run.
        compute: how; by default in float32 by plain operations.
        key: dropout key; None runs deterministically.
        method: what the parameters were made with.

    Returns:
        `logits` float32: [B, outputs] for sentences ([B, 1] for an ending of a choice), [B, W, C]
        for tagging, at the words' positions; [B, T, 2] for span_qa, start and end, padding and
        question not masked. With `head.crf` also `crf`, the field's `Potentials`. With
        `shape.features` also `features` float32 [B, D], a layer's states of each row as the head
        pools them (of [CLS], of the last token, else their mean); with `shape.discriminator`
        also its logits `domain` float32 [B], for which the batch holds the scalar `reversal`.
    """
    return nnx.merge(_graph(cfg, head, shape, compute, method), params)(batch, key)


def encoder_states(
    cfg: ModelConfig,
    head: HeadConfig,
    shape: TaskShape,
    params: Params,
    batch: dict[str, Array],
    *,
    compute: Compute = EXACT,
) -> Array:
    """All that the head sees of the encoder, without dropout, float32 [B, T, S, D].

    S is 1, or with fusion the number of fused layers.
    """
    states = nnx.merge(_graph(cfg, head, shape, compute, None), params).states(batch, None)
    return jnp.stack(states, axis=2).astype(jnp.float32)
