"""Tiny texts, a vocabulary that knows them, and corpora built from both."""

import os
import random
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import bertjax
from bertjax.data.build import BuildSettings, build_corpus
from bertjax.data.corpus import (
    Corpus,
)
from bertjax.text.sources import find_sources
from bertjax.text.tokenizer import load_tokenizer

# For the processes that tests start, whether or not the package is installed.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(bertjax.__file__).parents[1])}

LETTERS = "abcdefghijklmnopqrstuvwxyz"
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCAB = [*SPECIALS, *LETTERS, *(f"##{x}" for x in LETTERS), *".!?,", "the", "##ing", *"我们爱北京"]


def write_text(path: Path, documents: Iterable[str]) -> str:
    path.write_text("\n\n".join(documents) + "\n")
    return str(path)


def random_documents(count: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    words = ["the", "ring", "running", "cat", "zing", "Bo", "a", "ü"]

    def line() -> str:
        return " ".join(rng.choices(words, k=rng.randint(1, 9))) + rng.choice([".", "!", ""])

    return ["\n".join(line() for _ in range(rng.randint(1, 5))) + f" x{i}" for i in range(count)]


def build(out: Path, text: list[str], vocab: Path, workers: int = 1, **options) -> dict:
    found = find_sources(text)
    tokenizer = load_tokenizer(vocab)
    return build_corpus(found, out, tokenizer, BuildSettings(**options), workers)


def contents(directory: Path) -> dict[str, bytes]:
    files = [p for p in directory.rglob("*") if p.is_file()]
    return {p.relative_to(directory).as_posix(): p.read_bytes() for p in files}


def split_documents(corpus: Corpus) -> list[tuple[int, ...]]:
    bounds = pairwise(corpus.document_starts)
    return [tuple(corpus.tokens[start:end].tolist()) for start, end in bounds]
