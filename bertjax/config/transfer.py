"""Options of what rows without labels are used for."""

from __future__ import annotations

from dataclasses import dataclass, fields

from bertjax.config.checks import one_of, require, within

BY_ROUNDS = ("self_training", "weighted_pseudo_labels")  # a teacher labels rows for its student
ALIGNED = ("mmd", "dann")  # states of labelled and unlabelled rows are drawn together
TRANSFER_METHODS = ("none", *BY_ROUNDS, *ALIGNED)
_WEIGHTED = ("weighted_pseudo_labels",)
_READ_BY = {
    **dict.fromkeys(("rounds", "threshold", "per_class", "student"), BY_ROUNDS),
    **dict.fromkeys(("labelled_weight", "pseudo_weight", "mean", "shift"), _WEIGHTED),
    **dict.fromkeys(("weight", "layer"), ALIGNED),
    "width": ("dann",),
}


@dataclass(frozen=True)
class TransferConfig:
    """What `data.unlabelled` is used for, and how."""

    method: str = "none"  # or self_training, weighted_pseudo_labels, mmd, dann
    rounds: int = 1  # students, one after another, each taught by the model before it
    threshold: float = 0.9  # a row (of tagging: a word) is taken in if the teacher is as sure
    per_class: int = 0  # of each class at most so many, the surest first; 0: all
    student: str = "fresh"  # a student begins with --init's weights, or continued: its teacher's
    labelled_weight: float = 1.0  # W1, of a labelled row in the loss
    pseudo_weight: float = 0.1  # W2, of a row that the teacher labelled
    mean: str = "joint"  # of the loss: over all rows, or each: of both kinds by themselves, summed
    shift: str = "none"  # shares of classes among unlabelled rows: as labelled ones, em or bbse
    weight: float = 0.25  # mmd: of the term in the loss; dann: how far the reversal rises
    layer: int = -1  # whose states are drawn together; 0: the embeddings, -1: the last layer
    width: int = 256  # dann: of the discriminator

    def __post_init__(self) -> None:
        one_of("transfer.method", self.method, TRANSFER_METHODS)
        one_of("transfer.student", self.student, ("fresh", "continued"))
        one_of("transfer.mean", self.mean, ("joint", "each"))
        one_of("transfer.shift", self.shift, ("none", "em", "bbse"))
        within("transfer.rounds", self.rounds, 1, 1000)
        within("transfer.threshold", self.threshold, 0.0, 1.0)
        within("transfer.per_class", self.per_class, 0, 10**9)
        within("transfer.labelled_weight", self.labelled_weight, 1e-6, 1e6)
        within("transfer.pseudo_weight", self.pseudo_weight, 1e-6, 1e6)
        within("transfer.weight", self.weight, 0.0, 1e6)
        within("transfer.layer", self.layer, -1, 1024)
        within("transfer.width", self.width, 1, 2**14)
        for each in fields(self)[1:]:
            value, readers = getattr(self, each.name), _READ_BY[each.name]
            require(
                self.method in readers or value == each.default,
                f"transfer.{each.name}={value} with transfer.method={self.method}, which does not "
                f"look at it: use transfer.method={' or '.join(readers)}, or leave it out",
            )

    @property
    def by_rounds(self) -> bool:
        """Whether teachers label rows for students."""
        return self.method in BY_ROUNDS

    @property
    def aligned(self) -> bool:
        """Whether every step sees unlabelled rows beside labelled ones."""
        return self.method in ALIGNED
