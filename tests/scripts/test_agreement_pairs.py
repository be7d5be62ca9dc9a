"""The quickstart's minimal pairs: what decides them is agreement alone."""

from __future__ import annotations

import runpy
from collections import Counter
from pathlib import Path

from bertjax.probe.minimal_pairs import read_pairs

SCRIPT = Path(__file__).parents[2] / "scripts" / "agreement_pairs.py"


def test_neither_words_nor_places_decide_a_pair(tmp_path, monkeypatch):
    out = tmp_path / "pairs.jsonl"
    monkeypatch.setattr("sys.argv", ["agreement_pairs.py", str(out)])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    pairs = read_pairs(str(out))
    sizes = Counter(pair.paradigm for pair in pairs)
    assert len(sizes) == 6 and set(sizes.values()) == {48}
    assert len({(pair.good, pair.bad) for pair in pairs}) == len(pairs)
    firsts: dict[str, Counter[str]] = {}
    for pair in pairs:
        good, bad = (text.rstrip(".").lower().split() for text in (pair.good, pair.bad))
        assert good != bad and sorted(good) == sorted(bad)
        assert sum(a != b for a, b in zip(good, bad, strict=True)) == 2
        first = next(a for a, b in zip(good, bad, strict=True) if a != b)
        key = "s" if first.endswith("s") else "bare"  # of many verbs
        word = key if pair.paradigm == "will_return" else first
        firsts.setdefault(pair.paradigm, Counter())[word] += 1
    assert all(set(counts.values()) == {24} for counts in firsts.values()), firsts
