"""`bertjax compare`: runs beside one another, their configs and their held-out curves."""

from __future__ import annotations

import argparse
from pathlib import Path

from bertjax.ablate.blocks import Picture, to_html, to_text
from bertjax.ablate.side_by_side import side_by_side
from bertjax.cli.outputs import check_output
from bertjax.durable import replace_file
from bertjax.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `bertjax compare`."""
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="two runs or more")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="also as a page, .html, or the curves alone, .svg"
    )


def run(args: argparse.Namespace) -> None:
    """Print the tables, and write the page or the picture."""
    if len(args.runs) < 2:
        raise UserError(f"{args.runs[0]} alone: give two runs or more")
    check_output("--out", args.out)
    if args.out is not None and args.out.suffix not in (".html", ".svg"):
        raise UserError(f"--out {args.out}: write a .html page or an .svg picture")
    blocks = side_by_side(args.runs)
    print(to_text(blocks))
    if args.out is None:
        return
    text = to_html("Runs side by side", blocks)
    if args.out.suffix == ".svg":
        pictures = [block.svg for block in blocks if isinstance(block, Picture)]
        if not pictures:
            raise UserError(
                f"--out {args.out}: there are no curves, or nothing to draw with: "
                "pip install 'bertjax[plots]'"
            )
        text = pictures[0]
    replace_file(args.out.absolute(), text.encode())
