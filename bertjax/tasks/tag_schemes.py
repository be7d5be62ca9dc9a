"""Entities as tags and back: IO, IOB1, IOB2 and IOBES (also spelt BILOU, BMES and BMEWO).

scheme   first word      inside   last   alone    written where
IO       I               I        I      I        adjacent entities of a type run together
IOB1     I, or B right after an entity of its type        CoNLL-2003 as first published
IOB2     B               I        I      B        most files called "BIO"
IOBES    B               I        E      S        "IOBS", BIOES
BILOU    B               I        L      U        the same, in other letters
BMES     B               M        E      S        Chinese files
BMEWO    B               M        E      W
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from bertjax.config.finetune import IOBES_SPELLINGS
from bertjax.metrics.entities import Span

LETTERS = {
    "IO": ("I",),
    "IOB1": ("B", "I"),
    "IOB2": ("B", "I"),
    "IOBES": ("B", "I", "E", "S"),
}
STRICT = ("IOB2", "IOBES")  # schemes in which an entity's own tags say whether they are valid
_STANDARD = {
    letter: standard
    for letters in IOBES_SPELLINGS.values()
    for letter, standard in zip(letters, "BIES", strict=True)
}
OUTSIDE = "O"


def split(tag: str) -> tuple[str, str]:
    """`B-PER` -> (`B`, `PER`); `O` -> (`O`, ``). L, U, W and M are read as E, S, S and I."""
    letter, _, kind = tag.partition("-")
    return _STANDARD.get(letter, letter), kind


def spelling_of(tags: Iterable[str]) -> str:
    """Which spelling of IOBES has all the letters of the tags, the standard one first."""
    letters = {tag.partition("-")[0] for tag in tags} - {OUTSIDE}
    fitting = (name for name, known in IOBES_SPELLINGS.items() if letters <= set(known))
    return next(fitting, "IOBES")


def respelt(tag: str, spelling: str) -> str:
    """A tag of IOBES in the letters of a spelling of that."""
    letter, kind = split(tag)
    letters = dict(zip("BIES", IOBES_SPELLINGS[spelling], strict=True))
    return f"{letters[letter]}-{kind}" if letter in letters else tag


def spans(tags: Sequence[str]) -> list[Span]:
    """The entities in a sequence of tags of any scheme, valid or not, by conlleval's rules.

    An entity begins at B or S, at anything after an E, an S or an O, and where the type changes.
    """
    found: list[Span] = []
    start, before, kind = 0, OUTSIDE, ""
    for i, tag in enumerate((*tags, OUTSIDE)):
        letter, of = split(tag)
        ends = before in ("E", "S") or letter in ("B", "S", OUTSIDE) or of != kind
        if before != OUTSIDE and ends:
            found.append((start, i, kind))
        if letter != OUTSIDE and (before == OUTSIDE or ends):
            start = i
        before, kind = letter, of
    return found


def strict_spans(tags: Sequence[str], scheme: str) -> list[Span]:
    """The entities whose tags are those that a scheme of STRICT has for them.

    As seqeval's `mode="strict"` finds them: what breaks the rules of the scheme is no entity.
    """
    return [
        (start, end, kind)
        for start, end, kind in spans(tags)
        if list(tags[start:end]) == tags_of([(0, end - start, kind)], end - start, scheme)
    ]


def tags_of(entities: Sequence[Span], length: int, scheme: str) -> list[str]:
    """Write entities that do not overlap, in ascending order, as `length` tags."""
    tags = [OUTSIDE] * length
    after: tuple[int, str] | None = None  # where the entity before ended, and its type
    for start, end, kind in entities:
        letters = ["I"] * (end - start)
        if scheme == "IOB2" or (scheme == "IOB1" and after == (start, kind)):
            letters[0] = "B"
        elif scheme == "IOBES":
            letters[0], letters[-1] = ("S", "S") if end - start == 1 else ("B", "E")
        tags[start:end] = [f"{letter}-{kind}" for letter in letters]
        after = (end, kind)
    return tags


def all_tags(kinds: Sequence[str], scheme: str) -> tuple[str, ...]:
    """Every tag of a scheme over the given types, O first."""
    return (OUTSIDE, *(f"{letter}-{kind}" for kind in kinds for letter in LETTERS[scheme]))


def problem(tags: Sequence[str], scheme: str) -> tuple[int, str] | None:
    """The first place at which tags break their scheme and what is wrong, or None."""
    if scheme == "none":
        return None
    for i, tag in enumerate(tags):
        if not is_tag(tag, scheme):
            letters = ", ".join(LETTERS[scheme])
            return i, f"{tag!r} is neither O nor one of {letters} with a type"
        before = tags[i - 1] if i else None
        if not may_follow(before, tag, scheme):
            return i, f"{tag!r} cannot {f'follow {before!r}' if i else 'begin a sentence'}"
    if tags and not may_follow(tags[-1], None, scheme):
        return len(tags) - 1, f"{tags[-1]!r} cannot end a sentence"
    return None


def is_tag(tag: str, scheme: str) -> bool:
    """Whether a scheme has such a tag."""
    letter, kind = split(tag)
    return tag == OUTSIDE or (letter in LETTERS[scheme] and bool(kind))


def may_follow(before: str | None, after: str | None, scheme: str) -> bool:
    """Whether a scheme allows a tag after another; None stands for the sentence's edge."""
    old, old_kind = split(before) if before else (OUTSIDE, "")
    new, new_kind = split(after) if after else (OUTSIDE, "")
    goes_on = old in ("B", "I") and old_kind == new_kind
    if scheme == "IOB1":
        return new != "B" or goes_on
    if scheme == "IOB2":
        return new != "I" or goes_on
    if scheme == "IOBES":  # an entity that was begun must be gone on with, and only such a one
        return (new in ("I", "E") and goes_on) if old in ("B", "I") else new not in ("I", "E")
    return True


def allowed_transitions(
    labels: Sequence[str], scheme: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a scheme allows: bool [C] at the start, [C, C] from the row's tag to the column's,
    and [C] at the end.
    """
    start = np.array([may_follow(None, tag, scheme) for tag in labels])
    transition = np.array([[may_follow(a, b, scheme) for b in labels] for a in labels])
    end = np.array([may_follow(tag, None, scheme) for tag in labels])
    return start, transition, end


def not_told(tags: Sequence[str], kept: Sequence[int], scheme: str) -> list[bool]:
    """Of each word that a row keeps of a sentence: whether its tag is one that the row cannot have.

    To the rules of a scheme a row is a sentence. An entity that is cut may then begin or end as
    none does, and so may one of IOB1 with a B whose neighbour is cut off. All words of such an
    entity are meant, as no other tags of the scheme are true. The tags that stay break no rule.
    """
    there = set(kept)

    def stands(word: int) -> bool:
        begins = word - 1 in there or may_follow(None, tags[word], scheme)
        return begins and (word + 1 in there or may_follow(tags[word], None, scheme))

    free: set[int] = set()
    for start, end, _ in spans(tags):
        words = there.intersection(range(start, end))
        if not all(map(stands, words)):
            free |= words
    return [word in free for word in kept]
