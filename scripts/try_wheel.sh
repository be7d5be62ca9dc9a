#!/usr/bin/env bash
# What a user has who installs bertjax and has no checkout: the wheel in an environment with what it
# asks for and no more, used outside of the tree from text to a model that is exported and asked.
#
#     bash scripts/try_wheel.sh [PYTHON]
set -euo pipefail
repository=$(cd "$(dirname "$0")/.." && pwd)
python=${1:-python3}
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

"$python" -m venv "$place/environment"
bin=$place/environment/bin
"$bin/python" -m pip wheel --quiet --no-deps --wheel-dir "$place" "$repository"
"$bin/python" "$repository/scripts/install.py" "$place"/*.whl
"$bin/python" -c 'import sys, importlib.metadata as m
print("python", sys.version.split()[0], *(f"{n} {m.version(n)}" for n in ("jax", "flax", "orbax-checkpoint")))'

mkdir "$place/work"
cd "$place/work"
PATH=$bin:$PATH
export HF_HUB_OFFLINE=1 XLA_FLAGS="--xla_backend_optimization_level=0 ${XLA_FLAGS:-}"
python - <<'WRITE'
import random

draw = random.Random(0)
who, does = ["the cat", "a dog", "my friend", "the old man"], ["sees", "likes", "follows"]
good, bad = ["kind", "bright", "warm"], ["cruel", "dull", "cold"]


def sentence(kind):
    return f"{draw.choice(who)} {draw.choice(does)} {draw.choice(who)}, and the day is {draw.choice(kind)}."


with open("text.txt", "w") as text:
    for _ in range(300):
        print(*(sentence(good + bad) for _ in range(6)), sep="\n", end="\n\n", file=text)
with open("days.tsv", "w") as days:
    print("text\tlabel", file=days)
    for row in range(120):
        print(sentence(bad if row % 2 else good), ("bad", "good")[row % 2 == 0], sep="\t", file=days)
WRITE

small="model.hidden_size=32 model.num_layers=1 model.num_heads=2 model.intermediate_size=64
  model.max_positions=32 data.phases.0.seq_len=32 data.phases.0.batch_size=8 train.minutes=0
  train.steps=20"
# What the command says comes next names a recipe, which must be found here, and where the run lies.
bertjax prepare text.txt --out corpus --vocab-size 150 2>&1 | tee said
next=$(sed -n 's/^next *//p' said)
[[ $next == "bertjax pretrain --config laptop --workdir runs/x "* ]]
# shellcheck disable=SC2086  # words of their own
$next $small
bertjax finetune --config classification --init runs/x --workdir ft data.train=days.tsv tune.epochs=1 data.max_length=32
bertjax predict ft --input days.tsv --out predictions.jsonl
bertjax export runs/x --out hf
bertjax export ft --out hf_days
bertjax fill-mask hf "The [MASK] sees a dog."
[[ $(wc -l <predictions.jsonl) == 120 ]]
echo "the wheel works with $("$bin/python" --version)"
