#!/usr/bin/env bash
# From text files to a pretrained encoder that Hugging Face loads, in one command:
#
#   scripts/from_text.sh configs/budget_base.py my_bert text/*.txt.xz [-- key=value ...]
#
# Makes my_bert/corpus, my_bert/run and my_bert/hf. Interrupted, the same command goes on.
set -euo pipefail

if (($# < 3)); then
  echo "usage: from_text.sh CONFIG DIRECTORY TEXT... [-- key=value ...]" >&2
  exit 2
fi
config=$1 directory=$2
shift 2
texts=()
while (($#)) && [[ $1 != -- ]]; do
  texts+=("$1")
  shift
done
step() {
  printf '\n$ %s\n' "$*"
  "$@"
}

if [[ ! -e $directory/corpus/manifest.json ]]; then
  step bertjax prepare "${texts[@]}" --out "$directory/corpus" --vocab-size 30592
fi
step bertjax pretrain --config "$config" --workdir "$directory/run" \
  data.corpus="$directory/corpus" "${@:2}"
rm -rf "$directory/hf"
step bertjax export "$directory/run" --out "$directory/hf"
step bertjax info "$directory/hf"
