"""What a way says of examples that it was not fitted on, though all of them fit it in the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from bertjax.errors import UserError
from bertjax.finetuning.splits import different, folds
from bertjax.tasks.task import Example, Scores

WAYS = 5  # parts, or as many as there are different examples

Say = Callable[[np.ndarray], list[Scores]]  # indices of examples -> what is said of them


def crossfitted(examples: Sequence[Example], fit: Callable[[np.ndarray], Say]) -> list[Scores]:
    """The scores of each example by a fit to the other parts.

    `fit` gets the indices of the examples to learn from. Equal examples are in one part.

    Raises:
        UserError: there are fewer than two different examples.
    """
    count = min(WAYS, different(examples))
    if count < 2:
        raise UserError(
            f"{len(examples)} held-out examples, {count} of them different: nothing can be fitted "
            "to some and tried on others; give more"
        )
    found: list[Scores] = [None] * len(examples)
    for held in folds(examples, count):
        kept = np.setdiff1d(np.arange(len(examples)), held)
        for i, score in zip(held, fit(kept)(held), strict=True):
            found[i] = score
    return found
