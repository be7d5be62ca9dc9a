"""What a run keeps: its newest states, and the parameters that are best on held-out text."""

from __future__ import annotations

import math
from typing import Any

from bertjax.checkpoint import CheckpointStore, Restored
from bertjax.runs.directory import RunDirectory
from bertjax.train.state import TrainState, checkpoint_items

JSON = dict[str, Any]


class Checkpoints:
    """The stores of a run, and what was saved in them last."""

    def __init__(self, run: RunDirectory, keep: int):
        self.newest = CheckpointStore(run.checkpoints, keep)
        self.best = CheckpointStore(run.best, keep=1)
        self.saved_step = 0
        self.best_loss, self.best_phase = math.inf, 0

    def restore(self, abstract: TrainState) -> Restored | None:
        """Restore the newest state that verifies, shaped and placed as `abstract`."""
        found = self.newest.restore(checkpoint_items(abstract))
        if found is not None:
            self.saved_step = found.step
            best = found.meta["best"]
            self.best_phase = best["phase"]
            self.best_loss = math.inf if best["loss"] is None else best["loss"]
        return found

    def meta(self) -> JSON:
        """What `restore` needs to know of the best parameters."""
        loss = None if math.isinf(self.best_loss) else self.best_loss
        return {"loss": loss, "phase": self.best_phase}

    def save(self, step: int, state: TrainState, meta: JSON) -> None:
        """Begin to save a state, unless it is saved already."""
        if step != self.saved_step:
            self.newest.save(step, checkpoint_items(state), meta | {"best": self.meta()})
            self.saved_step = step

    def keep_best(self, step: int, phase: int, state: TrainState, loss: float, meta: JSON) -> None:
        """Begin to save parameters whose held-out loss is the lowest of their phase.

        Losses of two phases do not compare: their rows differ, and so does how much of a row the
        model has learnt to use. A loss that is not a number is lower than none.
        """
        if loss < (self.best_loss if phase == self.best_phase else math.inf):
            self.best_loss, self.best_phase = loss, phase
            self.best.save(step, {"params": state.result}, meta | {"best": self.meta()})

    def check(self) -> None:
        """Raise the failure of a save in the background, if one has failed by now."""
        self.newest.check()
        self.best.check()

    def wait(self) -> None:
        """Wait until all that was saved is on disk; raises as `check` does."""
        self.newest.wait()
        self.best.wait()
