"""Write minimal pairs of agreement that a BERT can learn in minutes, in words of the quickstart.

    python scripts/agreement_pairs.py OUT.jsonl

In the form of BLiMP (Warstadt et al. 2020), with templates of our own. Both sentences of a pair
have the same words, of which two have changed places: "this list and these files", "these list and
this files". How often a word is seen, which a model learns first, thus decides no pair. Each order
of the two words is right as often as the other, so that places decide none either.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path

NOUNS = [
    ("array", "arrays"),
    ("class", "classes"),
    ("dimension", "dimensions"),
    ("element", "elements"),
    ("file", "files"),
    ("function", "functions"),
    ("list", "lists"),
    ("method", "methods"),
    ("module", "modules"),
    ("option", "options"),
    ("string", "strings"),
    ("value", "values"),
]
OF_A = ["value", "string", "list", "file", "name", "class"]
OF_AN = ["array", "object", "item", "error"]
DONE = ["added", "called", "created", "defined", "given", "ignored"]
DONE += ["passed", "raised", "returned", "set", "specified", "used"]
VERBS = ["accept", "add", "call", "check", "contain", "create"]
VERBS += ["define", "raise", "read", "return", "support", "take"]

# Paradigm -> a word for one and a word for many, and where they stand with their nouns.
NUMBER = {
    "this_these": ("this", "these", "Returns {word} {noun} and {other_word} {other}."),
    "is_are": ("is", "are", "If the {noun} {word} empty, the {other} {other_word} empty."),
}
# Paradigm -> two words, and where {a} and {b} stand, in both orders.
FORM = {
    "can_be": (
        *("be", "is"),
        "The {noun} can {a} {done}, or it {b} {other}.",
        "It {b} {done} if the {noun} should {a} {other}.",
    ),
    "has_been": (
        *("been", "be"),
        "The {noun} has {a} {done}, or it can {b} {other}.",
        "The {noun} can {b} {done}, or it has {a} {other}.",
    ),
    "will_return": (
        *("{verb}", "{verb}s"),
        "The {noun} will {a} it, and it {b} a value.",
        "It {b} a value, and the {noun} will {a} it.",
    ),
}

Pairs = Iterator[tuple[str, str]]


def of_number(one: str, many: str, template: str) -> Pairs:
    """A noun in one number and another in the other, each with its word and with the other's."""
    for i, step, many_first in product(range(len(NOUNS)), (1, 5), (False, True)):
        noun, other = NOUNS[i][many_first], NOUNS[(i + step) % len(NOUNS)][not many_first]
        words = (many, one) if many_first else (one, many)
        good, bad = (
            template.format(noun=noun, other=other, word=word, other_word=other_word)
            for word, other_word in (words, words[::-1])
        )
        yield good, bad


def of_article() -> Pairs:
    """`a` and `an`, by the letter that follows."""
    for first, second, swapped in product(OF_A, OF_AN, (False, True)):
        nouns, articles = (first, second), ("a", "an")
        if swapped:
            nouns, articles = nouns[::-1], articles[::-1]
        good, bad = (
            f"Returns {a} {nouns[0]} or {b} {nouns[1]}." for a, b in (articles, articles[::-1])
        )
        yield good, bad


def of_form(first: str, second: str, *templates: str) -> Pairs:
    """Two forms of a verb, each in its place and in the other's."""
    for i, step, template in product(range(len(DONE)), (1, 5), templates):
        words = {
            "done": DONE[i],
            "other": DONE[(i + step) % len(DONE)],
            "noun": NOUNS[(i + step) % len(NOUNS)][0],
        }
        a, b = (form.format(verb=VERBS[i]) for form in (first, second))
        yield template.format(a=a, b=b, **words), template.format(a=b, b=a, **words)


def pairs() -> Iterator[dict[str, str]]:
    """Every pair with its paradigm and what that tests."""
    number = {name: of_number(*how) for name, how in NUMBER.items()}
    form = {name: of_form(*how) for name, how in FORM.items()}
    for phenomenon, paradigms in (
        ("number", number),
        ("sound", {"a_an": of_article()}),
        ("form of the verb", form),
    ):
        for name, of_one in paradigms.items():
            for good, bad in of_one:
                told = {"UID": name, "phenomenon": phenomenon}
                yield told | {"sentence_good": good, "sentence_bad": bad}


def main() -> None:
    """Write them and say how many."""
    out = Path(sys.argv[1])
    out.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(pair) + "\n" for pair in pairs()]
    out.write_text("".join(lines), encoding="utf-8")
    print(f"{out}: {len(lines)} pairs")


if __name__ == "__main__":
    main()
