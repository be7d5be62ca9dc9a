"""The usual causes of a loss that is not normal, each named by what was counted, with its remedy.

The limits leave room for all that is published, and for text as it comes: they name what nobody
wants. A tokenizer of other text explains the rest, and is named alone. The rate of learning is
named by elimination, where a run sits on its plateau and nothing else explains that.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bertjax.config import PretrainConfig
from bertjax.review.signs import LogSigns, RowSigns, TextSigns

MOST_UNKNOWN = 0.02
MOST_PIECES_A_WORD = 3.0
MOST_REPEATED = 0.3
MOST_OF_ONE_PIECE = 0.3
FEWEST_OF_A_LABEL = 0.2
LEAST_MASKED, MOST_MASKED = 0.03, 0.7
MOST_SHOWN = 0.5  # of the predicted pieces
MOST_ALIKE = 1.25
_RISE = 0.05  # of a loss above its own lowest that is no noise, as a share of it
_FEWEST_REPORTS = 4


@dataclass(frozen=True)
class Cause:
    """One of the usual faults."""

    name: str
    says: str  # what was counted, and what to do


def causes(
    cfg: PretrainConfig, text: TextSigns, rows: RowSigns, log: LogSigns, plateau: bool
) -> list[Cause]:
    """What explains that a loss is not normal; nothing of a healthy run.

    `plateau` says whether the run has not got away from the unigram entropy, or is far behind the
    reference.
    """
    found = [*_of_tokenizer(text)]
    found = found or [*_of_text(text), *_of_rows(cfg, rows), *_of_masks(cfg, log)]
    return found or [_of_rate(cfg, log)] if plateau else found


def _of_tokenizer(text: TextSigns) -> Iterator[Cause]:
    if text.unknown > MOST_UNKNOWN:
        yield Cause(
            "tokenizer",
            f"{text.unknown:.1%} of the tokens are unknown to the tokenizer, {MOST_UNKNOWN:.0%} "
            "are many: prepare the text with a tokenizer that was trained on it",
        )
    elif text.pieces_a_word > MOST_PIECES_A_WORD:
        yield Cause(
            "tokenizer",
            f"a word has {text.pieces_a_word:.1f} pieces, {MOST_PIECES_A_WORD:g} are many: prepare "
            "the text with a tokenizer that was trained on it, or with a larger --vocab-size",
        )


def _of_text(text: TextSigns) -> Iterator[Cause]:
    if text.repeated > MOST_REPEATED:
        yield Cause(
            "duplicates",
            f"{text.repeated:.0%} of the text is sentences that stood in it before: the loss is "
            "mostly of what was learnt by heart; leave copies out before `bertjax prepare`, which "
            "drops equal documents alone",
        )
    if text.commonest_share > MOST_OF_ONE_PIECE:
        yield Cause(
            "label mix",
            f"{text.commonest_share:.0%} of the tokens are one piece, id {text.commonest}: what is "
            "predicted is mostly that; look for tables, code or filling in the text",
        )


def _of_rows(cfg: PretrainConfig, rows: RowSigns) -> Iterator[Cause]:
    share = rows.second_label
    if (
        cfg.predicts_pairs
        and share is not None
        and not FEWEST_OF_A_LABEL <= share <= 1 - FEWEST_OF_A_LABEL
    ):
        yield Cause(
            "label mix",
            f"{share:.0%} of the pairs have label 1, which should be about half: documents of one "
            "sentence have nothing to be paired with; use data.format=full_sentences",
        )
    if rows.alike > MOST_ALIKE:
        yield Cause(
            "unshuffled text",
            f"rows of one step are {rows.alike:.2f} times as much alike as rows of two, "
            f"{MOST_ALIKE:g} times is much: steps follow the order of the text; shuffle the "
            "documents",
        )


def _of_masks(cfg: PretrainConfig, log: LogSigns) -> Iterator[Cause]:
    if cfg.model.attention == "causal":
        return
    if not LEAST_MASKED <= log.masked <= MOST_MASKED:
        yield Cause(
            "masks",
            f"{log.masked:.1%} of the tokens are predicted, published rates are 15 to 40 %: set "
            "masking.rate",
        )
    shown = 1 - cfg.masking.mask_share - cfg.masking.random_share
    if shown > MOST_SHOWN:
        yield Cause(
            "masks",
            f"{shown:.0%} of the predicted tokens are left as they are, so that the answer is in "
            "the row: set masking.mask_share=0.8 and masking.random_share=0.1",
        )


def _of_rate(cfg: PretrainConfig, log: LogSigns) -> Cause:
    """By the shape of the curve: it rises or stands where the rate is too high, else it falls."""
    peak, losses = f"optim.learning_rate={cfg.optim.learning_rate:g}", log.losses
    if log.skipped > 0 or len(losses) < log.reports:
        return Cause(
            "learning rate", f"loss or gradient was not finite in some steps: lower {peak}"
        )
    knows_nothing = math.log(cfg.model.vocab_size)
    if losses[-1] > knows_nothing:
        return Cause(
            "learning rate",
            f"the loss ended at {losses[-1]:.2f}, above the {knows_nothing:.2f} of knowing nothing "
            f"(the logarithm of {cfg.model.vocab_size:,} pieces): lower {peak}",
        )
    if len(losses) < _FEWEST_REPORTS:
        return Cause(
            "learning rate",
            f"reports in the log: {len(losses)}, too few to tell a rate that is too low from a "
            f"run that is too short: train longer than now with {peak}",
        )
    if _falls_throughout(losses):
        return Cause(
            "learning rate",
            f"the loss fell from the first report to the last, {losses[0]:.2f} to "
            f"{losses[-1]:.2f}, and is not done: raise {peak}, or train longer",
        )
    return Cause(
        "learning rate",
        f"the loss stands or rises, {losses[0]:.2f} at first, {min(losses):.2f} at its lowest, "
        f"{losses[-1]:.2f} at the end: lower {peak}, or raise optim.warmup_fraction",
    )


def _falls_throughout(losses: Sequence[float]) -> bool:
    """Whether both halves end lower than they begin, and the whole ends at its lowest."""
    values, half = np.asarray(losses), len(losses) // 2
    firsts, lasts = values[:half].mean(), values[-half:].mean()
    lowest = float(values.min())
    falls = np.corrcoef(np.arange(len(values)), values)[0, 1] < -0.5
    return bool(falls and lasts < firsts and values[-1] <= lowest * (1 + _RISE))
