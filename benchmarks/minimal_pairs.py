"""Scoring minimal pairs: `bertjax probe --pairs` against transformers + PyTorch.

    python benchmarks/minimal_pairs.py --pairs blimp.jsonl.xz --tokenizer vocab.txt

A model of the config's size with random weights scores the same random pairs on both sides, in
turns in one run, each piece masked by itself. PyTorch's side is batched as ours is, the shortest
copies first; `whole` computes logits of all places, as the class of transformers does, and `head`
those of the masked place alone. Compiling is told apart: it is done once, and kept. PyTorch's
threads lose far more than ours beside other processes: on a busy machine give both one core, by
`taskset -c 0`. Ratios are of processor time, which is not what others leave of a core. The bars:
half of the time of `whole`, and 12 minutes for BLiMP's 67,000 pairs on two quiet cores.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import torch
import transformers

from bertjax import huggingface, model
from bertjax.cli.main import in_one_line
from bertjax.cli.memory import keep_freed_memory
from bertjax.config import PretrainConfig
from bertjax.probe.minimal_pairs import read_pairs
from bertjax.probe.pseudo_likelihood import pseudo_log_likelihoods
from bertjax.recipes.shipped import load_recipe
from bertjax.text.tokenizer import load_tokenizer

TOKENS_AT_ONCE = 4_096  # of PyTorch: all logits of more are gigabytes
BLIMP = 67_000  # pairs


def copies_of(tokenizer, sentences: list[str]) -> list[tuple[int, int, list[int]]]:
    """(sentence, masked place, ids with the mask), the shortest first."""
    made = []
    for i, ids in enumerate(tokenizer(sentences)["input_ids"]):
        made += [(i, place, ids) for place in range(1, len(ids) - 1)]
    return sorted(made, key=lambda copy: len(copy[2]))


@torch.inference_mode()
def score(reference, tokenizer, sentences: list[str], whole: bool) -> np.ndarray:
    """The sums of log probabilities, by PyTorch."""
    found, copies, begin = np.zeros(len(sentences)), copies_of(tokenizer, sentences), 0
    while begin < len(copies):
        size = max(1, TOKENS_AT_ONCE // len(copies[begin][2]))
        batch = copies[begin : begin + size]
        begin += size
        width = len(batch[-1][2])
        ids = torch.tensor([c[2] + [tokenizer.pad_token_id] * (width - len(c[2])) for c in batch])
        rows, places = torch.arange(len(batch)), torch.tensor([place for _, place, _ in batch])
        real = (torch.arange(width) < torch.tensor([[len(c[2])] for c in batch])).long()
        labels = ids[rows, places]
        ids[rows, places] = tokenizer.mask_token_id
        if whole:
            logits = reference(ids, attention_mask=real).logits[rows, places]
        else:
            states = reference.bert(ids, attention_mask=real).last_hidden_state[rows, places]
            logits = reference.cls(states)
        logs = logits.log_softmax(-1)[rows, labels]
        np.add.at(found, [i for i, _, _ in batch], logs.double().numpy())
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--config", default="bert_mini")
    parser.add_argument("--count", type=int, default=2000, help="pairs in all")
    parser.add_argument("--rounds", type=int, default=4)
    args = parser.parse_args()
    keep_freed_memory()
    tokenizer = load_tokenizer(args.tokenizer)
    cfg = load_recipe(args.config, PretrainConfig).model
    cfg = replace(cfg, vocab_size=tokenizer.vocab_size, next_sentence_head=False)
    params = jax.jit(model.init, static_argnums=0)(cfg, jax.random.key(0))
    pairs = read_pairs(args.pairs)
    chosen = np.random.default_rng(0).choice(len(pairs), args.count, replace=False)
    rounds = np.array_split(chosen, args.rounds)
    lines = [pair.good for pair in pairs[:: max(1, len(pairs) // 1000)]]
    card = huggingface.CardFacts("random", "", "{}", {}, 0, "", 0, {})
    with tempfile.TemporaryDirectory() as folder:
        huggingface.export_model(cfg, params, tokenizer, Path(folder, "hf"), card, lines)
        theirs = transformers.AutoTokenizer.from_pretrained(Path(folder, "hf"))
        reference = transformers.AutoModelForMaskedLM.from_pretrained(Path(folder, "hf")).eval()
    torch.set_num_threads(len(os.sched_getaffinity(0)))

    sides: dict[str, Callable[[list[str]], np.ndarray]] = {
        "ours": lambda s: pseudo_log_likelihoods(cfg, params, tokenizer, s),
        "whole": lambda s: score(reference, theirs, s, True),
        "head": lambda s: score(reference, theirs, s, False),
    }
    seconds, processor = dict.fromkeys(sides, 0.0), dict.fromkeys(sides, 0.0)
    compiling = -time.perf_counter()
    for part in rounds:
        sides["ours"](of(pairs, part))
    compiling += time.perf_counter()
    for part in rounds:
        sentences, found = of(pairs, part), {}
        for name, side in sides.items():
            began, worked = time.perf_counter(), time.process_time()
            found[name] = side(sentences)
            seconds[name] += time.perf_counter() - began
            processor[name] += time.process_time() - worked
            assert np.abs(found[name] - found["ours"]).max() < 1e-3, name
        print({name: round(s, 1) for name, s in seconds.items()}, file=sys.stderr, flush=True)
    print(
        json.dumps(
            {
                "pairs": args.count,
                "seconds": seconds,
                "processor_seconds": processor,
                "ours_over_whole": processor["ours"] / processor["whole"],
                "ours_over_head": processor["ours"] / processor["head"],
                "seconds_with_compiling": compiling,
                "minutes_for_blimp_of_two_cores": processor["ours"] / args.count * BLIMP / 120,
                "cores": len(os.sched_getaffinity(0)),
                "load": os.getloadavg(),
            },
            indent=1,
        )
    )
    return 0


def of(pairs, part) -> list[str]:
    """The different sentences of some pairs."""
    return sorted({sentence for i in part for sentence in (pairs[i].good, pairs[i].bad)})


if __name__ == "__main__":
    raise SystemExit(in_one_line("minimal_pairs", main))
