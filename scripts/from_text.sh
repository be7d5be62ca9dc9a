#!/usr/bin/env bash
# From text files to a pretrained encoder that Hugging Face loads, in one command:
#
#   scripts/from_text.sh budget_base my_bert text/*.txt.xz [-- key=value ...]
#
# Makes my_bert/corpus, my_bert/run and my_bert/hf. Interrupted, the same command goes on.
set -euo pipefail

usage='usage: from_text.sh RECIPE DIRECTORY TEXT... [-- key=value ...]'
if [[ ${1-} == -h || ${1-} == --help ]]; then
  echo "$usage"
  exit
fi
refuse() {
  printf 'from_text.sh: %s\n' "$*" >&2
  exit 2
}

(($# >= 3)) && [[ $3 != -- ]] || refuse "$usage"
config=$1 directory=$2
shift 2
[[ -f $config || $config =~ ^[a-z0-9_]+$ ]] || refuse "RECIPE $config: there is no such file"
texts=()
while (($#)) && [[ $1 != -- ]]; do
  texts+=("$1")
  shift
done
step() {
  printf '\n$%s\n' "$(printf ' %q' "$@")"
  "$@"
}

if [[ ! -e $directory/corpus/manifest.json ]]; then
  step bertjax prepare "${texts[@]}" --out "$directory/corpus" --vocab-size 30592
else
  printf '%s is there already: no text is read\n' "$directory/corpus"
fi
step bertjax pretrain --config "$config" --workdir "$directory/run" \
  data.corpus="$directory/corpus" "${@:2}"
rm -rf "$directory/hf"
step bertjax export "$directory/run" --out "$directory/hf"
step bertjax info "$directory/hf"
