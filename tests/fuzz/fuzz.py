"""Fuzz every reader of files in turn, each in a process of its own: `python fuzz.py --minutes 60`.

Needs atheris. What fails is kept by target in a directory, to be mended and moved to found/; what
was tried, what failed, how long the slowest input took and how much memory grew goes into a table.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

import atheris

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent), str(HERE)]
os.environ |= {"JAX_PLATFORMS": "cpu", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}

with atheris.instrument_imports(include=["bertjax"]):
    from fuzz_mutations import mutated
    from fuzz_target import Target
    from fuzz_targets import TARGETS

SLOW = 5.0  # processor seconds of one input
HANG = 60  # seconds, of a machine that does other work too
MUCH = 1 << 30  # bytes by which memory may grow
LARGEST = 1 << 16  # bytes of an input


class Child:
    """One target, as long as it is let."""

    def __init__(self, target: Target, seconds: float, work: Path):
        self.target, self.seconds, self.work = target, seconds, work
        self.folder = Path(tempfile.mkdtemp(dir=work))
        self.found: dict[str, str] = {}
        self.tried, self.slowest, self.said = 0, 0.0, time.monotonic()
        target.beside(self.folder)
        self.before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def run(self) -> None:
        """Fuzz; does not return."""
        corpus = self.work / "corpus" / self.target.name.replace("/", "_")
        corpus.mkdir(parents=True, exist_ok=True)
        for i, seed in enumerate(self.target.seeds()):
            (corpus / f"seed{i}").write_bytes(seed)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 2 * MUCH,) * 2)
        flags = {
            "max_total_time": int(self.seconds), "timeout": HANG, "rss_limit_mb": 0,
            "max_len": LARGEST, "artifact_prefix": f"{self.folder}/", "verbosity": 0,
            "print_final_stats": 0, "close_fd_mask": 3,
        }  # fmt: skip
        options = [f"-{name}={value}" for name, value in flags.items()]
        atheris.Setup([sys.argv[0], *options, str(corpus)], self.one, custom_mutator=self.mutate)
        atheris.Fuzz()

    def mutate(self, data: bytes, most: int, seed: int) -> bytes:
        """Another input of at most so many bytes."""
        plain = lambda one: atheris.Mutate(one, max(most, len(one)))  # noqa: E731
        return mutated(self.target.file, data, plain, random.Random(seed))[:most]

    def one(self, data: bytes) -> None:
        """Try one input."""
        self.tried += 1
        began = time.process_time()
        try:
            self.target.attempt(self.folder, data)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a panic of Rust is no Exception
            self.keep(data, _key(error))
        took = time.process_time() - began
        self.slowest = max(self.slowest, took)
        if took > SLOW:
            self.keep(data, f"slow: {took:.0f} s")
        if self.grown() > MUCH and not any(key.startswith("memory") for key in self.found):
            self.keep(data, f"memory: {self.grown() >> 20} MiB")
        if time.monotonic() - self.said > 1:
            self.note()

    def grown(self) -> int:
        """Bytes by which memory has grown at most."""
        return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - self.before) << 10

    def keep(self, data: bytes, key: str) -> None:
        """Keep the shortest input of each kind of failure."""
        if key in self.found and len(data) >= Path(self.found[key]).stat().st_size:
            return
        folder = self.work / "failed" / self.target.name.replace("/", "_")
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{abs(hash(key)):x}"
        file.write_bytes(data)
        file.with_suffix(".txt").write_text(key, errors="replace")
        self.found[key] = str(file)
        self.note()

    def note(self) -> None:
        """Say how far it is."""
        self.said = time.monotonic()
        facts = {"tried": self.tried, "slowest": self.slowest, "grown": self.grown()}
        (self.work / "note.json").write_text(json.dumps(facts | {"found": self.found}))


def _key(error: BaseException) -> str:
    """What failed and where in bertjax, by which failures are told apart."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "/bertjax/" in f.filename]
    place = (
        f"{frames[-1].filename.rpartition('/bertjax/')[2]}:{frames[-1].lineno}" if frames else ""
    )
    said = str(error) if type(error).__name__ == "BadMessage" else str(error)[:80]
    kind = said[:24] if type(error).__name__ == "BadMessage" else ""
    return (
        f"{type(error).__name__} {kind} {place}\n{said}".split("\n")[0] + f" | {said[:300]}"
        if not kind
        else f"BadMessage {kind} {place}"
    )


def fuzz(target: Target, seconds: float, work: Path) -> dict:
    """Fuzz one target for so long, in as many processes as it kills."""
    sums = {
        "target": target.name,
        "tried": 0,
        "slowest": 0.0,
        "grown": 0,
        "died": 0,
        "seconds": 0.0,
    }
    kinds: set[str] = set()
    began = time.monotonic()
    while (left := seconds - (time.monotonic() - began)) > 1 and sums["died"] < 20:
        note = work / "note.json"
        note.unlink(missing_ok=True)
        if (child := os.fork()) == 0:
            try:
                Child(target, left, work).run()
            except BaseException:  # of this program; its standard error is closed by now
                (work / "broken.txt").write_text(traceback.format_exc(), errors="replace")
            os._exit(99)
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status) == 99:
            raise SystemExit(f"{target.name} cannot be begun")
        facts = json.loads(note.read_text()) if note.exists() else {"tried": 0, "found": {}}
        sums["tried"] += facts["tried"]
        for name in ("slowest", "grown"):
            sums[name] = max(sums[name], facts.get(name, 0))
        kinds |= set(facts["found"])
        if status != 0:
            sums["died"] += 1
            last = max(work.glob("tmp*"), key=lambda path: path.stat().st_mtime) / target.file
            folder = work / "failed" / target.name.replace("/", "_")
            folder.mkdir(parents=True, exist_ok=True)
            kind = f"died with {os.waitstatus_to_exitcode(status)}"
            file = folder / f"died{sums['died']}"
            file.write_bytes(last.read_bytes() if last.exists() else b"")
            file.with_suffix(".txt").write_text(kind)
            kinds.add(kind)
    return sums | {"kinds": sorted(kinds), "seconds": time.monotonic() - began}


def _tried(table: Path) -> Counter[str]:
    """How many inputs each target has had in earlier calls of the same directory."""
    found: Counter[str] = Counter()
    for line in table.read_text().splitlines() if table.exists() else ():
        row = json.loads(line)
        found[row["target"]] += row["tried"]
    return found


def main() -> None:
    """Fuzz all, or those whose names begin so, the least tried first, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="targets by the beginning of their names")
    parser.add_argument("--minutes", type=float, default=60.0, help="over all targets")
    parser.add_argument("--work", type=Path, help="where failures, corpora and the table are kept")
    args = parser.parse_args()
    work = args.work or Path(tempfile.mkdtemp(prefix="bertjax-fuzz-"))
    work.mkdir(parents=True, exist_ok=True)
    chosen = [t for t in TARGETS if not args.names or t.name.startswith(tuple(args.names))]
    so_far = _tried(work / "table.jsonl")
    chosen.sort(key=lambda target: so_far[target.name])  # a call that is ended starves no target
    print(f"{len(chosen)} targets, {args.minutes:g} minutes, failures in {work / 'failed'}")
    end = time.monotonic() + 60 * args.minutes
    for i, target in enumerate(chosen):
        row = fuzz(target, (end - time.monotonic()) / (len(chosen) - i), work)
        print(
            f"{row['target']:<32} {row['seconds']:6.0f} s {row['tried']:>8,} inputs "
            f"{len(row['kinds']):>3} kinds {row['died']:>3} died {row['slowest']:6.2f} s "
            f"{row['grown'] >> 20:>6} MiB",
            flush=True,
        )
        with (work / "table.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
