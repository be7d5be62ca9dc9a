"""Options of how a task is learnt: epochs, what moves, how often it is all repeated."""

from __future__ import annotations

from dataclasses import dataclass

from bertjax.config.checks import one_of, require, within
from bertjax.config.computed import without
from bertjax.config.few_weights import METHODS

# Options that no compiled program depends on.
_OF_THE_LOOP = (
    *("epochs", "batch_size", "evaluation_batch_size", "patience", "seeds", "folds"),
    *("row_lengths", "log_every"),
)


@dataclass(frozen=True)
class TuneConfig:
    """Epochs, which parameters move and how fast, and how often it is all repeated."""

    epochs: int = 3  # at most; the best one on dev is kept
    batch_size: int = 32  # examples
    evaluation_batch_size: int = 64  # examples, at most
    method: str = "full"  # or, of an encoder that stays: lora, houlsby, pfeiffer, bitfit
    layers: int = -1  # the top so many encoder layers are trained; -1: all and the embeddings
    layer_decay: float = 1.0  # rate of each layer relative to the one above it
    head_rate: float = 1.0  # rate of new parameters relative to the top layer's
    reinit_layers: int = 0  # the top so many encoder layers start from random weights
    unfreeze: int = 0  # layers an epoch that begin to move, from the top; 0: all do at once
    fgm: float = 0.0  # step of the word embeddings that is trained against; 0: none
    rdrop: float = 0.0  # weight of the divergence of two draws of dropout; 0: one draw
    patience: int = 0  # epochs without a better metric before stopping; 0: never
    seeds: tuple[int, ...] = (0,)  # one model a seed
    folds: int = 0  # cross-validation: models a seed, each on all but one fold; 0: none
    compute_dtype: str = "float32"  # float32 | bfloat16; parameters stay float32
    row_lengths: int = 2  # shapes of batches, 1 or 2: the second only where compiling it pays
    log_every: int = 10  # steps

    def __post_init__(self) -> None:
        one_of("tune.method", self.method, METHODS)
        within("tune.epochs", self.epochs, 1, 10**6)
        within("tune.batch_size", self.batch_size, 1, 2**16)
        within("tune.evaluation_batch_size", self.evaluation_batch_size, 1, 2**16)
        within("tune.layers", self.layers, -1, 1024)
        within("tune.layer_decay", self.layer_decay, 0.01, 1.0)
        within("tune.head_rate", self.head_rate, 0.0, 1e6)
        within("tune.reinit_layers", self.reinit_layers, 0, 1024)
        within("tune.unfreeze", self.unfreeze, 0, 1024)
        within("tune.fgm", self.fgm, 0.0, 1e3)
        within("tune.rdrop", self.rdrop, 0.0, 1e3)
        within("tune.patience", self.patience, 0, 10**6)
        within("tune.folds", self.folds, 0, 1000)
        within("tune.row_lengths", self.row_lengths, 1, 2)
        within("tune.log_every", self.log_every, 1, 10**9)
        one_of("tune.compute_dtype", self.compute_dtype, ("float32", "bfloat16"))
        idle = {"layers": -1, "reinit_layers": 0, "unfreeze": 0}
        moved = next((name for name, value in idle.items() if getattr(self, name) != value), "")
        require(
            self.method == "full" or not moved,
            f"tune.{moved}={getattr(self, moved, '')} with tune.method={self.method}: the encoder "
            "stays as it is, in all its layers; leave the option out, or use tune.method=full",
        )
        still = next((name for name in ("unfreeze", "fgm") if getattr(self, name)), "")
        require(
            self.layers != 0 or not still,
            f"tune.{still}={getattr(self, still, '')} with tune.layers=0: the encoder's states are "
            "computed once; leave the option out, or train layers",
        )
        require(self.folds != 1, "tune.folds=1 leaves nothing to train on: use 0, or 2 and more")
        require(len(self.seeds) > 0, "tune.seeds is empty: give at least one")
        require(
            len(set(self.seeds)) == len(self.seeds),
            f"tune.seeds={list(self.seeds)} has one twice: give each once",
        )
        for seed in self.seeds:
            within("tune.seeds", seed, 0, 2**32 - 1)

    @property
    def models(self) -> int:
        """How many are trained."""
        return len(self.seeds) * max(1, self.folds)

    @property
    def computed(self) -> TuneConfig:
        """The options that programs depend on: a batch says its size, the loop how many come."""
        return without(self, _OF_THE_LOOP)
