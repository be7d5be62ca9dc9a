"""Time a whole corpus build against `tokenizers.encode_batch` alone on the same text.

    python benchmarks/corpus_build.py TEXT... --tokenizer vocab.txt [--workers 2] [--megabytes 20]

The two run one after the other with the same number of processes, one thread each. The bar is a
build within 1.5 times of the tokenizer and under 1 GB of memory in every process.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path

from bertjax.data.build import BuildSettings, build_corpus
from bertjax.text.chunks import documents
from bertjax.text.sources import find_sources
from bertjax.text.tokenizer import load_tokenizer

RATIO_BAR = 1.5
MEMORY_BAR = 1e9  # bytes


def encode_alone(text: list[str], tokenizer: str, share: int, workers: int, start: Barrier) -> None:
    """Encode every `workers`-th chunk's lines; the parent times what lies after the barrier."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    chunks = [chunk for source in find_sources(text) for chunk in source.chunks()]
    lines = [doc.split("\n") for chunk in chunks[share::workers] for doc in documents(chunk)]
    engine = load_engine(tokenizer)
    start.wait()
    for document in lines:
        engine.encode_batch(document, add_special_tokens=False)


def load_engine(tokenizer: str):
    """Return the bare `tokenizers.Tokenizer`, past everything of ours."""
    from tokenizers import Tokenizer

    with tempfile.TemporaryDirectory() as scratch:
        load_tokenizer(Path(tokenizer)).save(Path(scratch))
        return Tokenizer.from_file(str(Path(scratch) / "tokenizer.json"))


def time_encoding(text: list[str], tokenizer: str, workers: int) -> float:
    context = get_context("spawn")
    start = context.Barrier(workers + 1)
    processes = [
        context.Process(target=encode_alone, args=(text, tokenizer, i, workers, start))
        for i in range(workers)
    ]
    for process in processes:
        process.start()
    start.wait()
    began = time.perf_counter()
    for process in processes:
        process.join()
    return time.perf_counter() - began


def build(text: list[str], tokenizer: str, workers: int, results) -> None:
    """Build in this fresh process, so that its peak memory is the build's alone."""
    with tempfile.TemporaryDirectory() as scratch:
        began = time.perf_counter()
        content = build_corpus(
            find_sources(text),
            Path(scratch) / "corpus",
            load_tokenizer(Path(tokenizer)),
            BuildSettings(),
            workers,
        )
        seconds = time.perf_counter() - began
    peaks = [
        resource.getrusage(who).ru_maxrss * 1024
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    ]
    results.put((seconds, *peaks, content["splits"]["train"]["tokens"]))


def time_build(text: list[str], tokenizer: str, workers: int) -> tuple[float, int, int, int]:
    context = get_context("spawn")
    results = context.SimpleQueue()
    process = context.Process(target=build, args=(text, tokenizer, workers, results))
    process.start()
    result = results.get()
    process.join()
    return result


def write_slice(text: list[str], megabytes: float, path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        for chunk in (chunk for source in find_sources(text) for chunk in source.chunks()):
            for document in documents(chunk):
                file.write(document + "\n\n")
            if file.tell() >= megabytes * 1e6:
                return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text", nargs="+")
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--megabytes", type=float, help="only about this much of the text")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        text = args.text
        if args.megabytes:
            text = [str(Path(scratch) / "slice.txt")]
            write_slice(args.text, args.megabytes, Path(text[0]))
        alone = time_encoding(text, args.tokenizer, args.workers)
        seconds, parent, worker, tokens = time_build(text, args.tokenizer, args.workers)
    ratio, memory = seconds / alone, max(parent, worker)
    print(f"encode_batch alone  {alone:8.2f} s   {args.workers} processes")
    print(f"whole build         {seconds:8.2f} s   {tokens:,} tokens kept for training")
    print(f"ratio               {ratio:8.2f}     bar {RATIO_BAR}")
    print(
        f"peak memory         {parent / 1e6:8.0f} MB  parent, {worker / 1e6:.0f} MB largest worker"
    )
    raise SystemExit(ratio > RATIO_BAR or memory > MEMORY_BAR)


if __name__ == "__main__":
    main()
