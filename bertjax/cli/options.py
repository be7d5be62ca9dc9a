"""`bertjax options`: every option of a verb, its default, and what it means."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from bertjax.cli.main import TAKES_FIELDS, VERBS, default_of, parser_of
from bertjax.config import AblationConfig, AdaptConfig, Arm, FinetuneConfig, PretrainConfig
from bertjax.config.options import Option, options
from bertjax.errors import UserError, nearest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `bertjax options`."""
    parser.add_argument("verb", metavar="VERB", help="such as pretrain, finetune or prepare")
    parser.add_argument(
        "prefix", nargs="?", default="", metavar="PREFIX", help="only those that begin so: optim."
    )


def run(args: argparse.Namespace) -> None:
    """Print the list."""
    if args.verb not in VERBS:
        raise UserError(f"unknown command {args.verb!r}: {nearest(args.verb, VERBS)}")
    every = [*flags(args.verb), *fields(args.verb)]
    shown = [option for option in every if option.name.removeprefix("--").startswith(args.prefix)]
    if not shown:
        known = {option.name.partition(".")[0] for option in every} | {o.name for o in every}
        raise UserError(
            f"{args.verb} has no option that begins with {args.prefix!r}: "
            f"{nearest(args.prefix, known)}"
        )
    for name, value, meaning in shown:
        typed = name if name == value else f"{name}={value}"
        if name.startswith("--"):
            typed = f"{name} {value}".rstrip()
        print(f"{typed:<38} {meaning}")


def flags(verb: str) -> Iterator[Option]:
    """What comes with dashes or by its place; a flag without a value has none to show."""
    _, parser = parser_of(verb)
    for action in parser._actions:
        if action.dest == "help":
            continue
        named = str(action.metavar or "|".join(action.choices or ()) or action.dest.upper())
        value = "" if action.nargs == 0 else named
        needed = "needed: " if action.required and action.nargs != "*" else ""
        name, *_ = action.option_strings or [value]
        yield Option(name, value, f"{needed}{action.help or ''}{default_of(action)}")


def fields(verb: str) -> Iterator[Option]:
    """The fields of the config, with the values they have where no recipe sets them."""
    if verb == "ablate":
        some = AblationConfig(arms=(Arm("a"), Arm("b")), control="a")
        of_recipe = ("arms.", "base.")  # arms are written in a file; the base is typed without it
        yield from (o for o in options(some) if not o.name.startswith(of_recipe))
    if verb == "adapt":
        yield from options(AdaptConfig())
    if verb in TAKES_FIELDS:
        yield from options(FinetuneConfig() if verb == "finetune" else PretrainConfig())
