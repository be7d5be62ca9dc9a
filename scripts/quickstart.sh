#!/usr/bin/env bash
# From nothing to a pretrained BERT that Hugging Face loads, in the commands a person would type.
# Run by `make quickstart`; needs no network. Training takes 3 minutes by the clock on any machine;
# with installing and all the rest that is less than 10 minutes, if the cores are not shared by many.
set -euo pipefail
cd "$(dirname "$0")/.."

data=data/quickstart run=runs/quickstart hf=hf/quickstart pairs=data/agreement.jsonl
step() { printf '\n$ %s\n' "$*"; "$@"; }

if [ ! -e $data/manifest.json ]; then
  step python scripts/collect_docstrings.py $data.txt
  step bertjax prepare $data.txt --out $data --tokenizer wordpiece --vocab-size 4096 --held-out 0.02
fi
step bertjax pretrain --config quickstart --workdir $run data.corpus=$data
step python scripts/agreement_pairs.py $pairs
step bertjax probe $run --pairs $pairs --untrained
rm -rf $hf
step bertjax export $run --out $hf
step bertjax info $hf
step bertjax fill-mask $run \
  "This function returns a [MASK] of strings." \
  "Raises a ValueError if the [MASK] is not valid." \
  "If x is not [MASK], a new array is returned." \
  "The default value is [MASK]."
printf '\n%s is a Hugging Face directory: AutoModelForMaskedLM.from_pretrained("%s")\n' $hf $hf
