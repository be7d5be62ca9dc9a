"""Make a reference curve of finished runs of one recipe, for the review at the end of other runs.

    python scripts/reference_curve.py NAME --text "what it was trained on" --device "on what" RUN...

NAME is that of the recipe in configs/. Runs differ in their seed alone. A run may be kept as its
config.json and metrics.jsonl. Writes bertjax/review/curves/NAME.json.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

import bertjax.review.reference as reference
from bertjax.config import PretrainConfig
from bertjax.overrides import from_json
from bertjax.runs.directory import RunDirectory


def curve(run: RunDirectory) -> tuple[list[float], list[float]]:
    """Real tokens seen at each evaluation, and nats under the unigram entropy there."""
    tokens, before, seen, below = 0.0, 0, [], []
    for row in map(json.loads, run.metrics.read_text(encoding="utf-8").splitlines()):
        if row["kind"] == "train":
            tokens += (row["step"] - before) * row["tokens"]
            before = row["step"]
        elif row["kind"] == "evaluation":
            seen.append(tokens)
            below.append(row["unigram_entropy"] - row["masked_lm_loss"])
    return seen, below


def main() -> None:
    """Write the curve, and say how far down it goes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name")
    parser.add_argument("--text", required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("runs", nargs="+", type=Path)
    args = parser.parse_args()
    runs = [RunDirectory(run.absolute()) for run in args.runs]
    configs = [from_json(PretrainConfig, run.config.read_text(encoding="utf-8")) for run in runs]
    fields, *others = map(reference.compared_fields, configs)
    assert all(other == fields for other in others), "runs of one recipe differ in their seed alone"
    curves = [curve(run) for run in runs]
    places = np.mean([seen for seen, _ in curves], axis=0)
    made = reference.Reference(
        recipe=args.name,
        fields=fields,
        text=args.text,
        device=args.device,
        seeds=[cfg.seed for cfg in configs],
        tokens=[round(place) for place in places],
        below=[np.round(np.interp(places, *one), 4).tolist() for one in curves],
    )
    folder = Path(reference.__file__).parent / reference.FOLDER
    text = json.dumps(asdict(made), indent=1) + "\n"
    (folder / f"{args.name}.json").write_text(text, encoding="utf-8")
    ends = ", ".join(f"{below[-1]:.4f}" for below in made.below)
    print(f"{args.name}: {ends} nats under the unigram entropy after {made.tokens[-1]:,} tokens")


if __name__ == "__main__":
    main()
