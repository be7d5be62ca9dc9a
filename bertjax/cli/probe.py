"""`bertjax probe`: what a masked LM knows, without training."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from bertjax.cli.devices import require_devices
from bertjax.cli.outputs import check_output
from bertjax.durable import replace_file
from bertjax.pretrained import open_masked_lm
from bertjax.probe.minimal_pairs import accuracy, read_pairs
from bertjax.probe.pseudo_likelihood import pseudo_log_likelihoods
from bertjax.terminal import duration


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `bertjax probe`."""
    parser.add_argument("model", type=Path, help="run or Hugging Face directory")
    parser.add_argument(
        "--pairs",
        required=True,
        metavar="FILE",
        help="minimal pairs: a table with the fields sentence_good and sentence_bad, and UID and "
        "phenomenon if there are several kinds",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="write the scores of each pair there, as JSON lines",
    )


def run(args: argparse.Namespace) -> None:
    """Print the accuracy of each phenomenon and their mean."""
    check_output("--out", args.out)
    pairs = read_pairs(args.pairs)
    require_devices()
    found, tokenizer = open_masked_lm(args.model, "MODEL")
    began = time.perf_counter()
    sentences = [sentence for pair in pairs for sentence in (pair.good, pair.bad)]
    # Many sentences stand in several pairs, and each is scored once.
    known, place = np.unique(np.array(sentences, object), return_inverse=True)
    scores = pseudo_log_likelihoods(found.cfg, found.params, tokenizer, known.tolist())
    good, bad = scores[place].reshape(-1, 2).T
    result = accuracy(pairs, good, bad)
    print(f"model       {found.source}")
    print(
        f"pairs       {len(pairs):,} in {len(result.paradigms):,} paradigms, "
        f"scored in {duration(time.perf_counter() - began)}"
    )
    if len(result.phenomena) > 1:
        for name, share in result.phenomena.items():
            print(f"  {name:<28} {share:.1%}")
    print(f"accuracy    {result.mean:.1%}, the mean of the paradigms; chance is 50 %")
    if args.out:
        lines = (
            json.dumps(
                {
                    "UID": pair.paradigm,
                    "phenomenon": pair.phenomenon,
                    "sentence_good": pair.good,
                    "sentence_bad": pair.bad,
                    "good": float(g),
                    "bad": float(b),
                },
                ensure_ascii=False,
            )
            for pair, g, b in zip(pairs, good, bad, strict=True)
        )
        replace_file(args.out.absolute(), ("\n".join(lines) + "\n").encode())
