"""Time a whole corpus build against `tokenizers.encode_batch` alone on the same text.

    python benchmarks/corpus_build.py TEXT... --tokenizer vocab.txt [--workers 2] [--megabytes 20]

The two run one after the other with the same number of processes, one thread each. The bar is a
build within 1.5 times of the tokenizer and under 1 GB of memory in every process.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import NamedTuple

from tokenizers import Tokenizer

from bertjax.cli.main import in_one_line
from bertjax.data.build import BuildSettings, build_corpus
from bertjax.text.chunks import documents
from bertjax.text.sources import find_sources
from bertjax.text.tokenizer import load_tokenizer

RATIO_BAR = 1.5
MEMORY_BAR = 1e9  # bytes
WAIT = 3600  # seconds until a process that died is missed


class Cost(NamedTuple):
    """What a way of doing it takes; on a busy machine compare the processor time."""

    seconds: float
    cpu_seconds: float  # of all processes


def encode_alone(text, tokenizer: str, share: int, workers: int, start: Barrier, results) -> None:
    """Encode the lines of every `workers`-th chunk; text and tokenizer are ready beforehand."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    chunks = [chunk for source in find_sources(text) for chunk in source.chunks()]
    lines = [doc.split("\n") for chunk in chunks[share::workers] for doc in documents(chunk)]
    engine = Tokenizer.from_file(tokenizer)
    start.wait(WAIT)
    began, cpu_began = time.perf_counter(), time.process_time()
    for document in lines:
        engine.encode_batch(document, add_special_tokens=False)
    results.put(Cost(time.perf_counter() - began, time.process_time() - cpu_began))


def time_encoding(text: list[str], tokenizer: str, workers: int) -> Cost:
    context = get_context("spawn")
    start, results = context.Barrier(workers), context.Queue()
    shared = (workers, start, results)
    processes = [
        context.Process(target=encode_alone, args=(text, tokenizer, i, *shared))
        for i in range(workers)
    ]
    for process in processes:
        process.start()
    costs = [results.get(timeout=WAIT) for _ in processes]
    return Cost(max(c.seconds for c in costs), sum(c.cpu_seconds for c in costs))


def build(text: list[str], tokenizer: str, workers: int, results) -> None:
    """Build in this fresh process, so that its memory and time are the build's alone."""
    with tempfile.TemporaryDirectory() as scratch:
        out, loaded = Path(scratch) / "corpus", load_tokenizer(Path(tokenizer))
        began, cpu_began = time.perf_counter(), time.process_time()
        content = build_corpus(find_sources(text), out, loaded, BuildSettings(), workers)
        seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
    usage = [resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu_seconds += usage[1].ru_utime + usage[1].ru_stime
    peaks = [u.ru_maxrss * 1024 for u in usage]
    results.put((Cost(seconds, cpu_seconds), *peaks, content["splits"]["train"]["tokens"]))


def time_build(text: list[str], tokenizer: str, workers: int) -> tuple[Cost, int, int, int]:
    context = get_context("spawn")
    results = context.Queue()
    process = context.Process(target=build, args=(text, tokenizer, workers, results))
    process.start()
    result = results.get(timeout=WAIT)
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
        engine = Path(scratch) / "tokenizer"
        load_tokenizer(Path(args.tokenizer)).save(engine)
        alone = time_encoding(text, str(engine / "tokenizer.json"), args.workers)
        cost, parent, worker, tokens = time_build(text, str(engine), args.workers)
    ratio, cpu_ratio = cost.seconds / alone.seconds, cost.cpu_seconds / alone.cpu_seconds
    print(f"{args.workers} workers, {tokens:,} training tokens")
    print("                     seconds  processor seconds")
    print(f"encode_batch alone  {alone.seconds:8.2f}  {alone.cpu_seconds:17.2f}")
    print(f"whole build         {cost.seconds:8.2f}  {cost.cpu_seconds:17.2f}")
    print(f"ratio               {ratio:8.2f}  {cpu_ratio:17.2f}   bar {RATIO_BAR}")
    print(f"peak memory         {parent / 1e6:.0f} MB parent, {worker / 1e6:.0f} MB largest worker")
    raise SystemExit(ratio > RATIO_BAR or max(parent, worker) > MEMORY_BAR)


if __name__ == "__main__":
    sys.exit(in_one_line("corpus_build.py", main))
