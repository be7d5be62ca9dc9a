"""Optimizer and learning-rate schedule, the same in every kind of training."""

from __future__ import annotations

from dataclasses import dataclass

from bertjax.config.checks import one_of, require, within

OPTIMIZERS = ("adamw", "lamb", "muon")
SCHEDULES = ("linear", "polynomial", "cosine", "wsd", "slanted", "constant")


@dataclass(frozen=True)
class OptimConfig:
    """Optimizer and learning-rate schedule (defaults: google-research/bert optimization.py)."""

    optimizer: str = "adamw"  # adamw | lamb | muon
    learning_rate: float = 1e-4  # at its peak
    b1: float = 0.9  # decay of the mean of gradients
    b2: float = 0.999  # decay of the mean of squared gradients
    eps: float = 1e-6  # added to the root of the latter
    weight_decay: float = 0.01  # matrices and embeddings only; multiplied by the learning rate
    bias_correction: bool = False  # BERT's Adam has none
    clip_norm: float = 1.0  # global gradient norm; 0: no clipping
    muon_adam_ratio: float = 0.3  # muon: learning rate of what Adam keeps, relative; decay too
    schedule: str = "linear"  # linear | polynomial | cosine | wsd | slanted | constant
    warmup_fraction: float = 0.01  # of all steps
    decay_from_zero: bool = False  # the decay line starts at step 0, not after warm-up: BERT's kink
    decay_fraction: float = 0.2  # wsd: last share of all steps, in which the rate falls
    power: float = 1.0  # of optim.schedule=polynomial
    final_fraction: float = 0.0  # rate at the last step over the peak; of slanted at the first too
    average: float = 0.0  # decay of a moving average of the weights, the run's result; 0: none

    def __post_init__(self) -> None:
        one_of("optim.optimizer", self.optimizer, OPTIMIZERS)
        one_of("optim.schedule", self.schedule, SCHEDULES)
        within("optim.learning_rate", self.learning_rate, 0.0, 100.0)
        within("optim.b1", self.b1, 0.0, 1.0)
        within("optim.b2", self.b2, 0.0, 1.0)
        within("optim.eps", self.eps, 0.0, 1.0)
        within("optim.weight_decay", self.weight_decay, 0.0, 10.0)
        within("optim.clip_norm", self.clip_norm, 0.0, 1e6)
        within("optim.muon_adam_ratio", self.muon_adam_ratio, 0.0, 100.0)
        within("optim.warmup_fraction", self.warmup_fraction, 0.0, 1.0)
        within("optim.decay_fraction", self.decay_fraction, 0.0, 1.0)
        within("optim.power", self.power, 0.0, 100.0)
        within("optim.final_fraction", self.final_fraction, 0.0, 1.0)
        within("optim.average", self.average, 0.0, 0.999999)
        self._check_fall()

    def _check_fall(self) -> None:
        """Require that the schedule has the steps to reach `final_fraction`, and reaches it."""
        end = f"optim.final_fraction={self.final_fraction:g}"
        warmup = f"optim.warmup_fraction={self.warmup_fraction:g}"
        if self.schedule == "wsd":
            require(
                self.warmup_fraction + self.decay_fraction <= 1 + 1e-9,
                f"{warmup} with optim.decay_fraction={self.decay_fraction:g}: the rate would fall "
                "before it has risen; make them 1 or less together",
            )
        require(
            self.schedule != "slanted" or (self.final_fraction > 0 and not self.decay_from_zero),
            f"optim.schedule=slanted with {end} and optim.decay_from_zero="
            f"{str(self.decay_from_zero).lower()}: the rate rises from the one and falls to it; "
            "use 0.03125 and false",
        )
        if self.schedule == "constant" or self.final_fraction == 1:
            return
        way_out = "or set optim.schedule=constant"
        require(
            self.warmup_fraction < 1,
            f"{warmup} with {end}: no step is left in which the rate falls to that; use less than "
            f"1, {way_out}",
        )
        require(
            self.schedule != "wsd" or self.decay_fraction > 0,
            f"optim.decay_fraction=0 with {end}: no step is left in which the rate falls to that; "
            f"use more than 0, {way_out}",
        )
        require(
            self.schedule != "polynomial" or self.power > 0,
            f"optim.power=0 with {end}: the rate would stay at its peak and never fall to that; "
            f"use more than 0, {way_out}",
        )
