"""The published masking procedures as plain loops, given the random numbers they would draw.

Written from the descriptions of the sources named in `bertjax.objectives.presets`, in the order
in which those programs do things; slow and obvious on purpose.
"""

from __future__ import annotations

import math


def units_of(cfg, tokens, segments, word_starts, special):
    """Lists of token indices that are masked together, in row order."""
    protected = (
        set() if cfg.mask_specials else {special.pad, special.cls, special.sep, special.mask}
    )
    units, previous = [], None
    for i, token in enumerate(tokens):
        if segments[i] == 0 or token in protected:
            continue
        joins = cfg.unit != "piece" and not word_starts[i] and previous == i - 1 and units
        if joins:
            units[-1].append(i)
        else:
            units.append([i])
        previous = i
    return units


def budget_of(cfg, n, slots, draws):
    """Pieces (or units) to predict in a row of n."""
    if cfg.count == "fairseq":
        import numpy as np

        return int(np.float32(cfg.rate * n) + np.float32(draws.rounding))
    if cfg.count == "floor":
        return int(cfg.rate * n)
    return max(1, round(cfg.rate * n)) if cfg.rate else 0


def choose(cfg, tokens, segments, word_starts, draws, special, slots):
    """Chosen runs: each a list of token indices; the first of each decides a shared draw."""
    units = units_of(cfg, tokens, segments, word_starts, special)
    pieces = sum(len(u) for u in units)
    n = sum(s != 0 for s in segments) if cfg.count_specials else pieces
    if cfg.with_replacement:
        count = min(budget_of(cfg, n, slots, draws), slots)
        flat = [i for u in units for i in u]
        if not flat:
            return []
        drawn = {flat[min(int(draws.position[j] * len(flat)), len(flat) - 1)] for j in range(count)}
        return [[i] for i in sorted(drawn)]
    order = sorted(range(len(units)), key=lambda u: draws.order[units[u][0]])
    limit = slots
    if cfg.count == "bernoulli":
        order = [u for u in order if draws.order[units[u][0]] < cfg.rate]
    elif cfg.count_unit == "unit":
        order = order[: budget_of(cfg, len(units), slots, draws)]
    else:
        limit = min(slots, budget_of(cfg, n, slots, draws))
    runs, covered, used = [], set(), 0
    for u in order:
        if used >= limit:
            break
        length = 1
        if cfg.unit in ("ngram", "span"):
            length = draw_length(cfg, draws.length[units[u][0]], len(units) - u)
        while length and used + sum(len(units[v]) for v in range(u, u + length)) > limit:
            length -= 1
        run = list(range(u, u + length))
        if not run or covered & set(run):
            continue
        covered |= set(run)
        run = [i for v in run for i in units[v]]
        used += len(run)
        runs.append(run)
    return runs


def draw_length(cfg, uniform, possible):
    """A run length by inverting its distribution; the end of the row cuts what is longer.

    ALBERT's candidates are slices `cand_indexes[i:i + n]`, of which every n may be drawn; a span of
    SpanBERT's (pretraining/fairseq/data/masking.py) grows while there is a word.
    """
    import numpy as np

    from bertjax.objectives.masking import run_length_cdf

    cdf = run_length_cdf(cfg)
    target = np.float32(uniform) * cdf[-1]
    n = next((n for n, edge in enumerate(cdf, start=1) if target < edge), len(cdf))
    return min(n, possible)


def random_id(cfg, bits, special, vocab_size, highest):
    """The replacement an unsigned draw stands for."""
    if cfg.random_ids == "row_max":
        return bits % (highest + 1)
    if cfg.random_ids == "vocabulary":
        return bits % vocab_size
    reserved = {special.pad, special.unk, special.cls, special.sep, special.mask}
    allowed = [t for t in range(vocab_size) if t not in reserved]
    return allowed[bits % len(allowed)]


def mask_row(cfg, tokens, segments, word_starts, draws, special, vocab_size, slots):
    """Masked tokens and the sorted predicted positions."""
    runs = choose(cfg, tokens, segments, word_starts, draws, special, slots)
    chosen = sorted(i for run in runs for i in run)
    branch = {}
    if cfg.exact_shares:
        ranked = sorted(chosen, key=lambda i: draws.order[i])
        first = cfg.mask_share * len(chosen)
        second = (cfg.mask_share + cfg.random_share) * len(chosen)
        for rank, i in enumerate(ranked):
            branch[i] = (
                "mask"
                if rank < round_half_even(first)
                else ("random" if rank < round_half_even(second) else "keep")
            )
    else:
        for run in runs:
            for i in run:
                u = draws.share[i if cfg.share_unit == "piece" else run[0]]
                branch[i] = (
                    "mask"
                    if u < cfg.mask_share
                    else ("random" if u < cfg.mask_share + cfg.random_share else "keep")
                )
    out = [special.mask if branch.get(i) == "mask" else t for i, t in enumerate(tokens)]
    highest = max(out)
    for i in chosen:
        if branch[i] == "random":
            out[i] = random_id(cfg, int(draws.random_id[i]), special, vocab_size, highest)
    return out, chosen


def round_half_even(x):
    """Python's round, on the float32 a device would see."""
    import numpy as np

    return math.floor(np.rint(np.float32(x)))
