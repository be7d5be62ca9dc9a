"""A trained model in a program: `bertjax.load`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import numpy as np

from bertjax import model, predict
from bertjax.config import ModelConfig
from bertjax.errors import UserError, nearest
from bertjax.finetuning.saved import SavedRun, encoder_of, open_saved, open_start
from bertjax.fuse.stored import open_fusion
from bertjax.fuse.voices import Fusion, at_once
from bertjax.huggingface import DeclaredVectors, declared_vectors
from bertjax.predict import Guess
from bertjax.pretrained import Pretrained, language_model, masked_lm, open_pretrained, tokenizer_of
from bertjax.probe.pseudo_likelihood import SCORES, pseudo_log_likelihoods
from bertjax.runs.kinds import Kind, require_kind
from bertjax.tasks.unlabelled import examples_of
from bertjax.text.tokenizer import Tokenizer


def load(path: str | Path, base: str | Path | None = None) -> Model:
    """Open a run of `pretrain`, `finetune` or `fuse`, or a Hugging Face directory.

    `base` is the encoder of a run of few weights, where it is no longer where it lay.

    Raises:
        UserError: it is none of them, is damaged, or is not finished.
    """
    with contextlib.suppress(RuntimeError):  # there is no such user: as it stands
        path = Path(path).expanduser()
    path = Path(path)
    kind = require_kind(
        "path", path, Kind.PRETRAINING, Kind.FINETUNING, Kind.FUSION, Kind.HUGGING_FACE
    )
    if kind in (Kind.FINETUNING, Kind.FUSION):
        encoder = None if base is None else open_start(Path(base), "base")[1]
        tuned = open_fusion if kind is Kind.FUSION else open_saved
        return Model(path, tuned(path, encoder))
    found = open_pretrained(path, "path")
    return Model(path, replace(found, params=jax.device_put(found.params)))


@dataclass(frozen=True, eq=False)
class Model:
    """A trained model. What it can do is what its weights were trained for; a method says so.

    Each method does what a command does: `fill_mask` is `bertjax fill-mask`, `score` is
    `bertjax probe --pairs`, `predict` is `bertjax predict`.
    """

    path: Path
    opened: Pretrained | SavedRun | Fusion = field(repr=False)

    def encode(
        self, texts: Sequence[str], pooling: str | None = None, normalize: bool | None = None
    ) -> np.ndarray:
        """A vector of each text, float32 [len(texts), hidden_size].

        `mean` is that of all tokens' last states, special ones among them; `cls` is that of
        [CLS]; with `normalize` a vector has length 1. By default both are what a directory of
        sentence-transformers says, or what `bertjax export --sentence-transformers` takes of a run:
        the pooling that a task's head was trained with, else `mean`, and any length. Of a
        fine-tuned run the encoder of its best model is used.

        Raises:
            UserError: a text is longer than the model's positions or, by default, than a directory
                of sentence-transformers leaves it; `cls` of a causal model, a directory that makes
                its vectors otherwise or puts a prompt before each text, a fine-tuned run of folds
                or of adapters, or a fusion, which has no one encoder.
        """
        cfg, params, tokenizer = self._encoder
        texts = _texts(texts)
        longest = None
        if pooling is None or normalize is None:
            own, scaled, longest = self._vectors
            pooling = own if pooling is None else pooling
            normalize = scaled if normalize is None else normalize
        return predict.encode(
            cfg, params, tokenizer, texts, pooling=pooling, normalize=normalize, longest=longest
        )

    def fill_mask(self, text: str, top: int = 5) -> list[tuple[int, list[Guess]]]:
        """For each mask of the text its place among the tokens and the `top` likeliest pieces.

        Raises:
            UserError: no mask in the text, a text longer than the model's positions, or a model
                without a masked-LM head.
        """
        found, tokenizer = masked_lm(self._pretrained("fill_mask"), self.path)
        (text,) = _texts([text])
        return predict.fill_mask(found.cfg, found.params, tokenizer, text, top)

    def score(self, texts: Sequence[str], score: str = "pll") -> np.ndarray:
        """How likely each text is, in nats, float64 [len(texts)]: its pseudo-log-likelihood.

        `bertjax.probe.pseudo_likelihood` says what `pll`, `pll-word` and `slln` are.

        Raises:
            UserError: another score, a text longer than the model's positions, or a model without
                a head over tokens.
        """
        if score not in SCORES:
            raise UserError(f"score={score!r}: {nearest(score, SCORES)}")
        found, tokenizer = language_model(self._pretrained("score"), self.path)
        texts = _texts(texts)
        return pseudo_log_likelihoods(found.cfg, found.params, tokenizer, texts, score=score)

    def predict(self, inputs: Sequence[Any]) -> list[dict[str, Any]]:
        """What a fine-tuned run says of each input, as a line of predictions.jsonl has it.

        An input is a text, or a list of as many as the task has: two of a pair, question and
        context, a text and its endings; of a tagger a text or the list of its words. The best
        model predicts, or of folds and of a fusion all together.

        Raises:
            UserError: the model is not a fine-tuned run, or an input is not one of its task.
        """
        if isinstance(self.opened, Pretrained):
            raise UserError(
                f"predict: {self.path} has no head for a task: load a run of `bertjax finetune`"
            )
        fusion = self.opened
        if isinstance(fusion, SavedRun):
            fusion = at_once([fusion], weights=(), every=False)
        examples = examples_of(_several(inputs), fusion.voices[0].run.cfg)
        if not examples:
            return []
        _, together = fusion.judge(examples)
        return together.task.predict(examples, together.scores)

    @property
    def _vectors(self) -> DeclaredVectors:
        """How its own are made."""
        if isinstance(self.opened, SavedRun):
            return DeclaredVectors(predict.trained_pooling(self.opened.cfg), False, None)
        return declared_vectors(self.path) or DeclaredVectors("mean", False, None)

    def _pretrained(self, method: str) -> Pretrained:
        if not isinstance(self.opened, Pretrained):
            raise UserError(
                f"{method}: {self.path} is fine-tuned and keeps no head over tokens: load the "
                "model that the run began with"
            )
        return self.opened

    @cached_property
    def _encoder(self) -> tuple[ModelConfig, model.Params, Tokenizer]:
        if isinstance(self.opened, Fusion):
            raise UserError(f"encode: {self.path} is of several models: load one of their runs")
        if isinstance(self.opened, SavedRun):
            cfg, start = encoder_of(self.opened)
            return cfg, jax.device_put(start.params), start.tokenizer
        return self.opened.cfg, self.opened.params, tokenizer_of(self.opened, self.path)


def _several(texts: Sequence[Any]) -> list[Any]:
    """The items; UserError for one text alone, and for what iterates over names of columns."""
    if isinstance(texts, str):
        raise UserError(f"{texts[:60]!r} is one text: give a list of texts, as in [text]")
    if isinstance(texts, Mapping) or hasattr(texts, "columns"):
        raise UserError(
            f"a {type(texts).__name__} holds columns: give the list of texts in one of them"
        )
    if isinstance(texts, Set) or not isinstance(texts, Iterable):
        raise UserError(f"a {type(texts).__name__} is no list of texts in an order: give a list")
    return list(texts)


def _texts(texts: Sequence[str]) -> list[str]:
    """The texts; UserError for an item that is none."""
    found = _several(texts)
    for number, text in enumerate(found):
        if not isinstance(text, str):
            raise UserError(f"item {number} is {text!r:.60}, not a text: give texts alone")
    return found
