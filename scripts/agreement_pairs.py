"""Write minimal pairs of agreement that a BERT can learn in minutes, in words of the quickstart.

    python scripts/agreement_pairs.py OUT.jsonl

Two sentences that differ in one word, of which one is English: BLiMP's form (Warstadt et al. 2020),
with templates and words of our own. Six paradigms of equal size, the same bytes on every machine.
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
    ("object", "objects"),
    ("option", "options"),
    ("string", "strings"),
    ("value", "values"),
]
VOWELS = "aeiou"
EACH = 50  # pairs of a paradigm

Pairs = Iterator[tuple[str, str]]


def numbers(template: str, words: tuple[str, str]) -> Pairs:
    """`{noun}` in both numbers with the `{word}` of its number, and with the other one."""
    for of_noun in NOUNS:
        for i, noun in enumerate(of_noun):
            yield (
                template.format(noun=noun, word=words[i]),
                template.format(noun=noun, word=words[1 - i]),
            )


def articles() -> Pairs:
    """`a` and `an`, by the letter that follows."""
    templates = [
        "Returns {} {} of the same type.",
        "This is {} {} of the standard library.",
        "The argument is {} {}.",
        "If it is not {} {}, an error is raised.",
    ]
    for template, (noun, _) in product(templates, [*NOUNS, ("item", ""), ("axis", "")]):
        right, wrong = ("an", "a") if noun[0] in VOWELS else ("a", "an")
        yield template.format(right, noun), template.format(wrong, noun)


PARADIGMS = {
    "determiner_noun": [
        ("Returns the name of {word} {noun}.", ("this", "these")),
        ("We can use {word} {noun} in the same way.", ("this", "these")),
    ],
    "quantifier_noun": [
        ("It is called for {word} {noun}.", ("each", "all")),
        ("The result has {word} {noun} of the input.", ("every", "several")),
    ],
    "be_noun": [
        ("The {noun} {word} not changed.", ("is", "are")),
        ("By default, the {noun} {word} empty.", ("is", "are")),
    ],
    "have_noun": [
        ("The {noun} {word} the same name.", ("has", "have")),
        ("The {noun} {word} no effect.", ("has", "have")),
    ],
    "do_noun": [
        ("The {noun} {word} not return anything.", ("does", "do")),
        ("If the {noun} {word} not exist, an error is raised.", ("does", "do")),
    ],
}


def pairs() -> Iterator[dict[str, str]]:
    """Every pair with its paradigm."""
    of_paradigms = {
        name: [pair for template in templates for pair in numbers(*template)]
        for name, templates in PARADIGMS.items()
    }
    for name, found in {**of_paradigms, "a_an": list(articles())}.items():
        for good, bad in found[:EACH]:
            yield {"UID": name, "sentence_good": good, "sentence_bad": bad}


def main() -> None:
    """Write them and say how many."""
    out = Path(sys.argv[1])
    out.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(pair) + "\n" for pair in pairs()]
    out.write_text("".join(lines), encoding="utf-8")
    print(f"{out}: {len(lines)} pairs")


if __name__ == "__main__":
    main()
