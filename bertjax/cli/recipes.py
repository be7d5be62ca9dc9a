"""`bertjax recipes`: the recipes that come with bertjax."""

from __future__ import annotations

import argparse

from bertjax.errors import UserError, nearest
from bertjax.recipes.shipped import SHELVES, about, recipes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `bertjax recipes`."""
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="of a recipe: print its file, to copy and change"
    )


def run(args: argparse.Namespace) -> None:
    """Print the list, or one of them."""
    if args.name is not None:
        files = {name: file for shelf in SHELVES for name, file in recipes(shelf).items()}
        if args.name not in files:
            raise UserError(f"no recipe {args.name!r}: {nearest(args.name, files)}")
        print(files[args.name].read_text(encoding="utf-8"), end="")
        return
    for shelf in SHELVES:
        print(f"bertjax {shelf.verb} --config NAME")
        for name, file in recipes(shelf).items():
            said = about(file)
            print(f"  {name:<24} {said.title}")
            if said.budget or said.source:
                print(f"{'':<26} {' · '.join(filter(None, (said.budget, said.source)))}")
        print()
