"""`bertjax prepare`: text in, a tokenized corpus out."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from pathlib import Path
from typing import Any

from bertjax.cli.reading import ProgressLine, add_reading, settings_of, workers_of
from bertjax.data.beam import build_corpus_with_beam
from bertjax.data.beam_pipeline import open_pipeline
from bertjax.data.build import BuildSettings, build_corpus
from bertjax.data.corpus import few_held_out, lone_sentences, many_unknown
from bertjax.durable import check_place, check_vacant
from bertjax.errors import UserError, nearest
from bertjax.text.account import Account
from bertjax.text.chunks import SKIP_HINT
from bertjax.text.overlap import describe_overlap, read_probes
from bertjax.text.sample import sample_sentences
from bertjax.text.sources import Source, find_sources, without_text
from bertjax.text.tokenizer import Tokenizer, load_tokenizer
from bertjax.text.tokenizer_training import KINDS, check_size, share_of_marks, train_tokenizer

MANY_MARKS = 0.01  # of the characters; English has a tenth of that, German twice as much


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `bertjax prepare`."""
    parser.add_argument(
        "text",
        nargs="+",
        metavar="TEXT",
        help="text (.txt: blank line between documents), .jsonl, .json, .csv, .tsv, .parquet, "
        ".arrow, each also .gz, .xz, .bz2, .zst or .zip; a directory of them; one saved by "
        "datasets.save_to_disk or TFDS; tfds:NAME[:SPLIT]; - for standard input",
    )
    parser.add_argument("--out", type=Path, required=True, help="directory to make")
    parser.add_argument(
        "--tokenizer",
        default="wordpiece",
        help="train one (wordpiece, unigram, bpe), or load a vocab.txt, tokenizer.json or .model",
    )
    parser.add_argument(
        "--vocab-size", type=int, default=30_000, help="of a tokenizer that is trained"
    )
    parser.add_argument(
        "--cased", action="store_true", help="train the tokenizer without lower-casing"
    )
    parser.add_argument(
        "--keep-accents",
        action="store_true",
        help="train a wordpiece tokenizer that lower-cases and keeps accents and vowel signs",
    )
    parser.add_argument(
        "--probes",
        action="append",
        default=[],
        metavar="FILE",
        help="say how many sentences of FILE are in the text; FILE:FIELD for a table",
    )
    add_reading(parser, held_out=0.01)
    parser.add_argument(
        "--beam-runner",
        metavar="RUNNER",
        help="tokenize with Apache Beam: DirectRunner, DataflowRunner, FlinkRunner, ...; all its "
        "workers see TEXT and --out on one file system",
    )
    parser.add_argument(
        "--beam-options",
        metavar="OPTIONS",
        help="Beam's own, in one word: --beam-options='--direct_num_workers=4 "
        "--direct_running_mode=multi_processing'",
    )


def run(args: argparse.Namespace) -> None:
    """Build the corpus and print what it holds and what to do next."""
    began = time.monotonic()
    settings = settings_of(args)
    _check(args)
    pipeline = (
        open_pipeline(args.beam_runner, args.beam_options or "") if args.beam_runner else None
    )
    account = Account(args.skip_bad, SKIP_HINT)
    sources = find_sources(args.text, args.text_field, args.one_document_per_line, account)
    wanted = {probes: read_probes(probes, args.language) for probes in args.probes}
    tokenizer = _tokenizer(args, sources, account)
    for probes, sentences in wanted.items():
        account.note(describe_overlap(probes, sentences, sources, args.language, args.skip_bad))
    if pipeline is not None:
        content = build_corpus_with_beam(
            sources, args.out, tokenizer, settings, pipeline, _log, account
        )
    else:
        content = _build_here(args, sources, tokenizer, settings, account)
    _print_summary(content, args.out, time.monotonic() - began, account)


def _check(args: argparse.Namespace) -> None:
    """Refuse what can be refused before anything takes long."""
    check_vacant(args.out)
    check_place(args.out)
    if args.workers is not None and args.beam_runner:
        raise UserError(
            f"--workers {args.workers}: with --beam-runner, its options say how many, such as "
            f"--beam-options=--direct_num_workers={args.workers}"
        )
    if args.beam_options is not None and not args.beam_runner:
        raise UserError(f"--beam-options {args.beam_options!r}: give --beam-runner too")
    if args.keep_accents and args.tokenizer != "wordpiece":
        raise UserError(
            f"--keep-accents with --tokenizer {args.tokenizer}: only a wordpiece tokenizer that is "
            "trained here strips them; leave it out"
        )
    if args.tokenizer in KINDS:
        check_size(args.vocab_size)


def _build_here(
    args: argparse.Namespace,
    sources: list[Source],
    tokenizer: Tokenizer,
    settings: BuildSettings,
    account: Account,
) -> dict[str, Any]:
    progress = ProgressLine()
    workers = workers_of(args)
    try:
        return build_corpus(
            sources, args.out, tokenizer, settings, workers, progress.show, _log, account
        )
    finally:
        progress.end()


def _tokenizer(args: argparse.Namespace, sources: list[Source], account: Account) -> Tokenizer:
    if args.tokenizer not in KINDS:
        if not Path(args.tokenizer).exists():
            raise UserError(
                f"--tokenizer {args.tokenizer}: no such file and no kind of tokenizer: "
                f"{nearest(args.tokenizer, KINDS)}"
            )
        return load_tokenizer(Path(args.tokenizer))
    sampled = Account(args.skip_bad, SKIP_HINT)  # for now: the build counts them again
    sentences = list(sample_sentences(sources, args.language, sampled))
    if not sentences:
        raise without_text(sources, sampled)
    _log(f"training a {args.tokenizer} tokenizer of {args.vocab_size} pieces")
    strips = args.tokenizer == "wordpiece" and not (args.cased or args.keep_accents)
    share = share_of_marks(sentences) if strips else 0.0
    if share > MANY_MARKS:
        account.note(
            f"{share:.1%} of the characters are accents or vowel signs, which lower-casing strips, "
            "so that words fall together: --keep-accents keeps them, --cased capitals too"
        )
    return train_tokenizer(
        args.tokenizer,
        sentences,
        args.vocab_size,
        lowercase=not args.cased,
        keep_accents=args.keep_accents,
    )


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _next(tokens: int) -> dict[str, str]:
    """Where one trains -> the recipe for that and for so many tokens; each ends within the hour.

    BERT-base's 3.3 billion words were 30 a parameter (Devlin et al. 2019, 3.1); a tenth of that is
    the least that is recommended here. What has less is read ten times (docs/performance.md).
    """
    of_gpu = "budget_base" if tokens >= 300_000_000 else "strict_small"
    return {"next": "laptop", "on a GPU": of_gpu}


def _print_summary(content: dict[str, Any], out: Path, seconds: float, account: Account) -> None:
    splits = content["splits"]
    total = {key: sum(counts[key] for counts in splits.values()) for key in splits["train"]}
    held_out = splits.get("validation", {"documents": 0})["documents"]
    if few_held_out(held_out):
        _log(f"note        {few_held_out(held_out)}")
    if note := lone_sentences(total["documents"], total["sentences"]):
        account.note(note)
    fix = "take a tokenizer of this language, or train one with --tokenizer wordpiece"
    if note := many_unknown(total["unknown"], total["tokens"], fix):
        account.note(note)
    closing = "".join(f"{word:<12}{rest}\n" for word, rest in account.lines())
    on = f"--workdir runs/x data.corpus={shlex.quote(str(out))}"
    recipes = _next(total["tokens"])
    then = (f"{at:<12}bertjax pretrain --config {of} {on}" for at, of in recipes.items())
    print(
        f"corpus      {out}\n"
        f"{closing}"
        f"documents   {total['documents']:,} ({content['duplicates']:,} duplicates dropped, "
        f"{held_out:,} held out)\n"
        f"sentences   {total['sentences']:,}\n"
        f"tokens      {total['tokens']:,}, {total['tokens'] / total['words']:.2f} a word, "
        f"{total['unknown'] / total['tokens']:.3%} unknown\n"
        f"tokenizer   {content['vocab_size']:,} pieces, {content['tokenizer'][:12]}\n"
        f"time        {seconds:.1f} s",
        *then,
        sep="\n",
    )
