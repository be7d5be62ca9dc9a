"""`bertjax export --sentence-transformers`: how texts become vectors, and what the weights know."""

from __future__ import annotations

import argparse

from bertjax.config import SENTENCE_FAMILIES, FinetuneConfig, ModelConfig, PretrainConfig
from bertjax.errors import UserError
from bertjax.huggingface import TextVectors
from bertjax.predict import POOLINGS, check_pooling, trained_pooling


def add_text_vectors(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--sentence-transformers",
        action="store_true",
        help="the encoder alone, and the files by which sentence-transformers makes a vector of a "
        "text",
    )
    parser.add_argument(
        "--pooling",
        choices=POOLINGS,
        help="with --sentence-transformers: the mean over all tokens or the state of [CLS] "
        "(default: what a task's head was trained with, else mean)",
    )
    parser.add_argument(
        "--normalize",
        action="store_true",
        help="with --sentence-transformers: scale vectors to length 1",
    )


def check_text_vectors(args: argparse.Namespace) -> None:
    """Refuse options that need --sentence-transformers, or that go without."""
    if args.sentence_transformers:
        for option in ("peft", "adapters"):
            if getattr(args, option):
                raise UserError(f"--{option} with --sentence-transformers: give one of them")
    elif args.pooling or args.normalize:
        option = "--pooling" if args.pooling else "--normalize"
        raise UserError(f"{option} without --sentence-transformers: leave it out")


def of_pretrained(
    args: argparse.Namespace, cfg: ModelConfig, run: PretrainConfig, start: str
) -> TextVectors | None:
    """What is asked of a run of `pretrain`, of which `cfg` is the network; None: nothing."""
    pairs = f"[CLS] alone, by the loss of pairs ({run.data.format})" if run.predicts_pairs else ""
    trained = f"The weights were trained with {pairs or 'no pooling, as no loss sees a whole text'}"
    if start:
        trained += "; with which before, where they began, is not known"
    return _asked(args, cfg, "mean", f"{trained}.")


def of_run(args: argparse.Namespace, cfg: FinetuneConfig) -> TextVectors | None:
    """What is asked of a run of `finetune`; None: nothing."""
    if cfg.task.family not in SENTENCE_FAMILIES:
        said = f"The weights were trained with no pooling, for {cfg.task.family}."
        return _asked(args, cfg.model, "mean", said)
    said = f"The weights were trained with head.pooling={cfg.head.pooling}, for {cfg.task.family}."
    return _asked(args, cfg.model, trained_pooling(cfg), said)


def _asked(
    args: argparse.Namespace, cfg: ModelConfig, default: str, trained: str
) -> TextVectors | None:
    if not args.sentence_transformers:
        return None
    pooling = args.pooling or default
    check_pooling(cfg, pooling)
    return TextVectors(pooling, args.normalize, trained)
