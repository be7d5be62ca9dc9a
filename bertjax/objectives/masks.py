"""What a masked LM is given to predict throughout a phase: the masking, and how its rate goes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import jax.numpy as jnp
from jax import Array

from bertjax.config import MaskingConfig
from bertjax.objectives import masking
from bertjax.text.special import SpecialIds


@dataclass(frozen=True)
class Fall:
    """A rate that goes evenly from one to another; each is reached exactly, at a step of its own.

    Yang et al. 2023, "Learning Better Masking for Better Language Model Pre-training".
    """

    first: float
    last: float
    begin: int  # place in the schedule that has the first rate
    end: int  # and that which has the last

    def at(self, position: Array | float) -> Array:
        """The rate at a place in the schedule, float32; beyond an end it is that of the end."""
        share = (position - self.begin) / max(1, self.end - self.begin)
        rate = self.first + jnp.clip(share, 0.0, 1.0) * (self.last - self.first)
        return jnp.where(position >= self.end, self.last, rate)


@dataclass(frozen=True)
class Masks:
    """Masks of a phase: of one rate, or of one that moves."""

    cfg: MaskingConfig  # its rate is the highest of the phase, which the slots are for
    special: SpecialIds
    pieces: int  # ids below it may stand in for a token
    fall: Fall | None = None  # None: the rate is always that of `cfg`

    def put(
        self, batch: dict[str, Array], seed: Array | int, position: Array | float
    ) -> dict[str, Array]:
        """Corrupt a batch by `masking.mask_batch`, at a place in the schedule."""
        return masking.mask_batch(
            self.cfg,
            batch,
            special=self.special,
            vocab_size=self.pieces,
            seed=seed,
            rate=None if self.fall is None else self.fall.at(position),
        )

    def predictions(self, seq_len: int) -> float:
        """Tokens of a full row that are predicted, on average over the phase."""
        rate = (self.fall.first + self.fall.last) / 2 if self.fall else self.cfg.rate
        return min(rate * seq_len, masking.slots(self.cfg, seq_len))

    def fixed(self, cfg: MaskingConfig) -> Masks:
        """Others of the same tokenizer, at one rate."""
        return replace(self, cfg=cfg, fall=None)


def masks_of(
    cfg: MaskingConfig,
    rates: tuple[float, ...],
    steps: range,
    special: SpecialIds,
    pieces: int,
) -> Masks:
    """The masks of a phase.

    Args:
        cfg: of the run.
        rates: of the phase: none for that of `cfg`, or one, or the first and the last.
        steps: of the phase, places in the schedule.
        special: ids of the special tokens.
        pieces: ids below it may stand in for a token.
    """
    first, last = (rates or (cfg.rate,))[0], (rates or (cfg.rate,))[-1]
    fall = Fall(first, last, steps.start, steps.stop - 1) if first != last else None
    return Masks(replace(cfg, rate=max(first, last)), special, pieces, fall)
