"""Precision, recall and F1 of entities, as the CoNLL-2000 script conlleval counts them.

An entity counts if its type and both its ends are right. Sentences are sets of spans here;
`bertjax.tasks.tag_schemes.spans` finds them in tags by that script's rules.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

Span = tuple[int, int, str]  # first word, one past the last, type


def entity_scores(
    truth: Sequence[Collection[Span]], predicted: Sequence[Collection[Span]]
) -> dict[str, dict[str, float]]:
    """`precision`, `recall`, `f1` and `support` of each type, and of all (micro) under `""`.

    A quotient with nothing below it is 0, as in conlleval.
    """
    right: Counter[str] = Counter()
    found: Counter[str] = Counter()
    there: Counter[str] = Counter()
    for gold, guessed in zip(truth, predicted, strict=True):
        gold, guessed = set(gold), set(guessed)
        for counts, spans in ((right, gold & guessed), (found, guessed), (there, gold)):
            counts.update(kind for _, _, kind in spans)
    scores = {
        kind: _scores(right[kind], found[kind], there[kind]) for kind in sorted(found | there)
    }
    return {"": _scores(right.total(), found.total(), there.total()), **scores}


def _scores(right: int, found: int, there: int) -> dict[str, float]:
    precision = right / found if found else 0.0
    recall = right / there if there else 0.0
    f1 = 2 * precision * recall / (precision + recall) if right else 0.0
    return {"precision": precision, "recall": recall, "f1": f1, "support": there}
