"""What few weights score and cost beside full fine-tuning: a table over methods and seeds.

    python benchmarks/few_weights.py HF_DIR --config sst2 [key=value ...]

Every method trains the same models, at its published rate, each in a process of its own, so that
its memory is its own. Seconds are an epoch's of training, the median; memory is the most that a
process held. Both count what it compiled. `--methods full,lora` and `--seeds 0,1` make the table
smaller.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path

RATES = {"full": 5e-5, "lora": 5e-4, "houlsby": 3e-4, "pfeiffer": 3e-4, "bitfit": 1e-3}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path, help="encoder to start from")
    parser.add_argument("--config", required=True, help="recipe of the task")
    parser.add_argument("--workdir", type=Path, required=True, help="where the runs are kept")
    parser.add_argument("--methods", default=",".join(RATES))
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--one", help=argparse.SUPPRESS)  # a method, in a process of its own
    parser.add_argument("overrides", nargs="*")
    args = parser.parse_intermixed_args()
    if args.one:
        print(json.dumps(measure(args)))
        return
    print("| method | metric | dev | trained below the head | s an epoch | memory, MB |")
    print("|---|---|---|---|---|---|", flush=True)
    for method in args.methods.split(","):
        command = [sys.executable, __file__, *sys.argv[1:], "--one", method]
        said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        row = json.loads(said.splitlines()[-1])
        print(f"| {method} | {' | '.join(row)} |", flush=True)


def measure(args: argparse.Namespace) -> list[str]:
    """The cells of one method."""
    from bertjax.cli.main import main as bertjax

    run = args.workdir / args.one
    code = bertjax(
        [
            *("finetune", "--config", args.config, "--init", str(args.directory)),
            *("--workdir", str(run), f"optim.learning_rate={RATES[args.one]}"),
            *(f"tune.method={args.one}", f"tune.seeds={args.seeds}", *args.overrides),
        ]
    )
    if code:
        sys.exit(code)
    results = json.loads((run / "results.json").read_text())
    score = results["splits"]["dev"]["models"][results["metric"]]
    noise = "" if score["sd"] is None else f" ± {score['sd']:.4f}"
    seconds = sorted(model["seconds_per_epoch"] for model in results["models"])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return [
        results["metric"],
        f"{score['mean']:.4f}{noise}",
        f"{results['weights']['encoder']:,}",
        f"{seconds[len(seconds) // 2]:.1f}",
        f"{peak:,.0f}",
    ]


if __name__ == "__main__":
    sys.exit(main())
