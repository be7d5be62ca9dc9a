#!/usr/bin/env bash
# Pretrain many variants, one a job of a Slurm array: ablations, seeds. Every job requeues itself.
#
# A line of the runs file is a run: its name, then what sets it apart, quoted as for a shell.
#   baseline
#   no_nsp      data.format=segment_pair+nsp_rows
#   large_lr    --config bert_base optim.learning_rate=2e-4
#
#   SBATCH_PARTITION=gpu scripts/launch/slurm_array.sh --runs ablations.txt \
#     --config bert_small --workdir /shared/runs/ablations -- data.corpus=/shared/c
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source=slurm_runs.sh
source "$(dirname "${BASH_SOURCE[0]}")/slurm_runs.sh"

usage() {
  cat <<'TEXT'
usage: slurm_array.sh --runs FILE --config RECIPE --workdir DIR [--at-once N]
                      [options] [-- key=value ...]

  --runs FILE         a run a line: NAME [--config RECIPE] [key=value ...]; # begins a comment.
                      Run NAME goes to DIR/NAME; what the line sets comes after what -- sets
  --gpus-per-node N   GPUs of each run (default 1)
  --at-once N         at most N runs at a time (default: no limit)

Partition, account and time limit as sbatch reads them: SBATCH_PARTITION, SBATCH_ACCOUNT,
SBATCH_TIMELIMIT. The jobs are to find bertjax on the PATH they are submitted with. Their logs
are DIR/slurm-JOB_INDEX.log.
TEXT
}

# check_line NUMBER TEXT: add the run's name to `names`, or say what is wrong with the line.
names=()
check_line() {
  local place="${option[runs]} line $1" words word name
  parse_line "$2" || bad_input "$place: '$2' has an open quote: close it"
  name=${words[0]}
  [[ $name =~ ^[A-Za-z0-9][A-Za-z0-9._-]*$ ]] ||
    bad_input "$place: '$name' is no name for a directory: use letters, digits, . _ -"
  [[ " ${names[*]-} " != *" $name "* ]] || bad_input "$place: the name '$name' comes twice"
  if [[ ${words[1]-} == --config ]]; then
    is_recipe "${words[2]-}" ||
      bad_input "$place: --config '${words[2]-}': there is no such file, and it is no recipe's name"
    words=("$name" "${words[@]:3}")
  fi
  for word in "${words[@]:1}"; do
    [[ $word == ?*=* ]] || bad_input "$place: '$word' is not key=value"
  done
  names+=("$name")
}

option[runs]='' option[gpus-per-node]=1 option[at-once]=0
parse_options "$@"
require_run
require runs
require_count 1 gpus-per-node
require_count 0 at-once
[[ -f ${option[runs]} ]] || bad_input "--runs ${option[runs]}: there is no such file"
mapfile -t lines <"${option[runs]}"
for index in "${!lines[@]}"; do
  is_run_line "${lines[index]}" || continue
  check_line $((index + 1)) "${lines[index]}"
done
((${#names[@]})) || bad_input "${option[runs]} names no run: write one a line"
require_tool sbatch

launch=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
indices=1-${#names[@]}
((option[at-once] == 0)) || indices+=%${option[at-once]}
run mkdir -p "${option[workdir]}"
# A copy: jobs start, and start again, long after the file may have been edited.
run cp "${option[runs]}" "${option[workdir]}/runs.txt"
# --signal: two minutes before the time limit the batch shell, and only it, hears SIGUSR1.
run sbatch --job-name=bertjax --array="$indices" --nodes=1 --ntasks=1 \
  --gpus-per-node="${option[gpus-per-node]}" --requeue --open-mode=append --signal=B:USR1@120 \
  --output="${option[workdir]}/slurm-%A_%a.log" \
  "$launch/slurm_job.sh" "$launch" --runs "${option[workdir]}/runs.txt" \
  --gpus-per-node "${option[gpus-per-node]}" --max-restarts "${option[max-restarts]}" \
  --config "${option[config]}" --workdir "${option[workdir]}" -- "${overrides[@]}"
