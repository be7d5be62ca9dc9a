"""`bertjax probe`: what a pretrained model knows, without fine-tuning."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bertjax.cli.devices import require_devices
from bertjax.cli.outputs import check_output
from bertjax.durable import replace_file
from bertjax.errors import UserError
from bertjax.huggingface import no_tokenizer
from bertjax.pretrained import (
    open_language_model,
    open_masked_lm,
    open_pretrained,
    open_untrained,
)
from bertjax.probe.held_out_text import RATE, read_texts, text_scores
from bertjax.probe.minimal_pairs import (
    Pair,
    by_phenomenon,
    pair_likelihoods,
    pair_scores,
    read_pairs,
)
from bertjax.probe.pseudo_likelihood import SCORES
from bertjax.probe.scores import Scores
from bertjax.probe.tagged_words import read_tagged, tag_scores
from bertjax.terminal import duration

Lines = Iterator[dict[str, Any]]  # what `--out` takes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `bertjax probe`."""
    parser.add_argument("model", type=Path, help="run or Hugging Face directory")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--pairs",
        metavar="FILE",
        help="minimal pairs: a table with the fields sentence_good and sentence_bad, and UID and "
        "phenomenon if there are several kinds",
    )
    what.add_argument(
        "--text",
        metavar="FILE",
        help="text that the model has not seen: loss, bits a byte, cloze accuracy",
    )
    what.add_argument(
        "--tagged",
        metavar="FILE",
        help="CoNLL-U: how well each layer's frozen states tell parts of speech, by a linear "
        "classifier trained on these sentences",
    )
    parser.add_argument(
        "--tagged-test", metavar="FILE", help="CoNLL-U on which that classifier is scored"
    )
    parser.add_argument(
        "--score",
        choices=SCORES,
        help="of --pairs, by default pll: "
        + "; ".join(f"{name}, {meaning}" for name, meaning in SCORES.items()),
    )
    parser.add_argument(
        "--untrained",
        action="store_true",
        help="with --pairs of a run: also score the random weights that it began with",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="write the scores of each pair, text or sentence there, as JSON lines",
    )


def run(args: argparse.Namespace) -> None:
    """Print what the probe found, and write what it found of each example."""
    if bool(args.tagged) != bool(args.tagged_test):
        raise UserError("--tagged and --tagged-test go together: give a file to each")
    if args.score and not args.pairs:
        raise UserError(f"--score {args.score} without --pairs: leave it out")
    if args.untrained and not args.pairs:
        raise UserError("--untrained without --pairs: leave it out")
    check_output("--out", args.out)
    require_devices()
    probe = _pairs if args.pairs else _text if args.text else _tagged
    lines = probe(args)
    if args.out:
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        replace_file(args.out.absolute(), text.encode())


def _pairs(args: argparse.Namespace) -> Lines:
    pairs = read_pairs(args.pairs)
    found, tokenizer = open_language_model(args.model, "MODEL")
    models = [open_untrained(args.model, "MODEL"), found] if args.untrained else [found]
    began, score = time.perf_counter(), args.score or "pll"
    likely = [pair_likelihoods(one.cfg, one.params, tokenizer, pairs, score) for one in models]
    print(f"model       {found.source}")
    columns = [pair_scores("accuracy", pairs, good, bad) for good, bad in likely]
    _require_numbers(args.model, columns)
    _print_pairs(pairs, columns, f"scored by {score} in {duration(time.perf_counter() - began)}")
    good, bad = likely[-1]
    return (
        {
            "UID": pair.paradigm,
            "phenomenon": pair.phenomenon,
            "sentence_good": pair.good,
            "sentence_bad": pair.bad,
            "good": float(g),
            "bad": float(b),
        }
        for pair, g, b in zip(pairs, good, bad, strict=True)
    )


def _print_pairs(pairs: Sequence[Pair], columns: Sequence[Scores], how: str) -> None:
    """Phenomena and paradigms, a column for each model; the model in question is the last."""
    phenomena = [by_phenomenon(pairs, scores) for scores in columns]
    paradigms = sum(len(of_one.by_group()) for of_one in phenomena[0].values())
    print(f"pairs       {len(pairs):,} in {paradigms:,} paradigms, {how}")
    if paradigms > 1:
        if len(columns) > 1:
            print(f"{'':<48}  random  trained")
        for name in phenomena[0]:
            shares = "  ".join(f"{column[name].headline:6.1%}" for column in phenomena)
            print(f"  {name or 'no phenomenon':<46}  {shares}")
            groups = [column[name].by_group() for column in phenomena]
            for paradigm in groups[0]:
                shares = "  ".join(f"{group[paradigm]:6.1%}" for group in groups)
                print(f"    {paradigm or 'no paradigm':<44}  {shares}")
    what = f"{columns[-1].headline:.1%}, the mean of the paradigms; chance is 50 %"
    if len(columns) > 1:
        what += f", and random weights have {columns[0].headline:.1%}"
    print(f"accuracy    {what}")


def _text(args: argparse.Namespace) -> Lines:
    texts = read_texts(args.text)
    found, tokenizer = open_masked_lm(args.model, "MODEL")
    began = time.perf_counter()
    scores = text_scores(found.cfg, found.params, tokenizer, texts)
    _require_numbers(args.model, scores.values())
    print(f"model       {found.source}")
    print(
        f"text        {len(texts):,} documents, {RATE:.0%} of the pieces masked, "
        f"scored in {duration(time.perf_counter() - began)}"
    )
    loss, bits, first, among = (one.headline for one in scores.values())
    print(f"loss        {loss:.4f} nats a piece")
    print(f"bits        {bits:.4f} a byte of the masked text")
    print(f"cloze       {first:.1%} of the masked pieces are the likeliest, {among:.1%} of 5")
    return _by_example("text", texts, scores)


def _tagged(args: argparse.Namespace) -> Lines:
    train, test = read_tagged(args.tagged), read_tagged(args.tagged_test)
    found = open_pretrained(args.model, "MODEL")
    if found.tokenizer is None:
        raise no_tokenizer(args.model)
    began = time.perf_counter()
    scores = tag_scores(found.cfg, found.params, found.tokenizer, train, test)
    _require_numbers(args.model, scores.values())
    words = sum(len(example.texts) for example in test)
    print(f"model       {found.source}")
    print(
        f"words       {words:,} in {len(test):,} sentences, "
        f"tagged in {duration(time.perf_counter() - began)}"
    )
    sizes = list(dict.fromkeys(name.partition("/")[0] for name in scores))
    print("accuracy    " + "".join(f"{f'of {size} sentences':>20}" for size in sizes))
    for layer in range(found.cfg.num_layers + 1):
        name = f"layer {layer}" if layer else "embeddings"
        shares = (scores[f"{size}/layer_{layer}"].headline for size in sizes)
        print(f"  {name:<10}" + "".join(f"{share:>20.1%}" for share in shares))
    return _by_example("sentence", [" ".join(example.texts) for example in test], scores)


def _require_numbers(model: Path, found: Iterable[Scores]) -> None:
    """Refuse scores of weights that are no numbers, which a comparison would take for wrong."""
    if any(np.isnan(scores.values).any() for scores in found):
        raise UserError(
            f"{model}: its scores are not finite, as after training that diverged: give a model "
            "from before"
        )


def _by_example(what: str, examples: Iterable[str], scores: dict[str, Scores]) -> Lines:
    """Each example's share of the headlines: their mean over all lines."""
    shares = {name: one.contributions for name, one in scores.items()}
    for i, example in enumerate(examples):
        yield {what: example, **{name: float(values[i]) for name, values in shares.items()}}
