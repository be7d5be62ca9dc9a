"""What the user knows of a model and its run does not: options for the model card."""

from __future__ import annotations

import argparse
import re
from dataclasses import replace

from bertjax.errors import UserError
from bertjax.huggingface import CardFacts

# What the Hub takes for a repository: a name, or its owner and a name.
_IDENTIFIER = re.compile(r"(?:[A-Za-z0-9][\w.-]*/)?[A-Za-z0-9][\w.-]*")


def add_card_facts(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--license", default="unknown", help="identifier for the model card")
    parser.add_argument(
        "--language", help="for the model card; several by commas (default: what it was trained on)"
    )
    parser.add_argument(
        "--dataset",
        metavar="ID",
        help="for the model card: on what it was trained, as the Hub calls it; several by commas "
        "(default: of tfds:NAME, the name)",
    )
    parser.add_argument(
        "--base-model",
        metavar="ID",
        help="for the model card: what it began from, as the Hub calls it",
    )


def told(args: argparse.Namespace, facts: CardFacts) -> CardFacts:
    """The facts of a run with what the user says of it.

    Raises:
        UserError: an identifier is none of the Hub's.
    """
    facts = replace(facts, license=args.license)
    if args.language:
        facts = replace(facts, language=tuple(args.language.split(",")))
    if args.dataset:
        ids = tuple(_identifier("--dataset", one) for one in args.dataset.split(","))
        facts = replace(facts, datasets=ids)
    if args.base_model:
        facts = replace(facts, base_model=_identifier("--base-model", args.base_model))
    return facts


def _identifier(option: str, text: str) -> str:
    if not _IDENTIFIER.fullmatch(text) or "--" in text or ".." in text:
        raise UserError(
            f"{option} {text}: this is no identifier of the Hub: give NAME or OWNER/NAME of "
            "letters, digits, . _ -"
        )
    return text
