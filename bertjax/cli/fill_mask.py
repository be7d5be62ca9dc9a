"""`bertjax fill-mask`: what a model thinks stands at each [MASK]."""

from __future__ import annotations

import argparse
from pathlib import Path

from bertjax.cli.devices import require_devices
from bertjax.predict import fill_mask
from bertjax.pretrained import open_masked_lm


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `bertjax fill-mask`."""
    parser.add_argument("model", type=Path, help="run or Hugging Face directory")
    parser.add_argument("text", nargs="+", help="sentences with [MASK] in them")
    parser.add_argument("--top", type=int, default=5, help="candidates to show")


def run(args: argparse.Namespace) -> None:
    """Print the most probable pieces at each mask."""
    require_devices()
    found, tokenizer = open_masked_lm(args.model, "MODEL")
    filled = [  # all of them before any is shown: the last may be what is refused
        fill_mask(found.cfg, found.params, tokenizer, text, args.top) for text in args.text
    ]
    for text, masks in zip(args.text, filled, strict=True):
        print(text)
        for position, guesses in masks:
            shown = "  ".join(f"{g.piece} {g.probability:.3f}" for g in guesses)
            print(f"  token {position}: {shown}")
