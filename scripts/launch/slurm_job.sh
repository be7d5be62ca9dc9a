#!/usr/bin/env bash
# What slurm_multinode.sh and slurm_array.sh submit; Slurm runs it, on the job's first node.
#
# Slurm runs a copy of this file from its spool, so the first argument says where the launchers lie.
# shellcheck source-path=SCRIPTDIR
launch=${1-}
if [[ ! -f $launch/common.sh ]]; then
  echo "slurm_job.sh is submitted by slurm_multinode.sh and slurm_array.sh: start one of them" >&2
  exit 2
fi
shift
# shellcheck source=common.sh
source "$launch/common.sh"
# shellcheck source=slurm_runs.sh
source "$launch/slurm_runs.sh"

usage() {
  cat <<'TEXT'
usage: slurm_job.sh LAUNCH_DIRECTORY --config RECIPE --workdir DIR [options] [-- key=value ...]

  --gpus-per-node N   GPUs of each node (default 1)
  --distributed       one run over all nodes of the job
  --runs FILE         one run a line; the array index says which
TEXT
}

# The line of the runs file that is this job's: its own config, directory and overrides.
take_run() {
  local runs=() line words
  while IFS= read -r line || [[ -n $line ]]; do
    ! is_run_line "$line" || runs+=("$line")
  done <"${option[runs]}"
  local index=${SLURM_ARRAY_TASK_ID:-0}
  ((1 <= index && index <= ${#runs[@]})) ||
    bad_input "SLURM_ARRAY_TASK_ID is $index, and ${option[runs]} has runs 1 to ${#runs[@]}"
  parse_line "${runs[index - 1]}"
  option[workdir]+=/${words[0]}
  if [[ ${words[1]-} == --config ]]; then
    option[config]=${words[2]}
    words=("${words[0]}" "${words[@]:3}")
  fi
  overrides+=("${words[@]:1}")
}

# Put this job back into the queue, unless somebody has cancelled it.
requeue() {
  local job=$SLURM_JOB_ID
  [[ -z ${SLURM_ARRAY_JOB_ID-} ]] || job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID
  [[ $(scontrol show job "$job") != *JobState=CANCELLED* ]] ||
    die "$1" "job $job is cancelled: the same command resumes its run"
  ((${SLURM_RESTART_COUNT:-0} < option[max-restarts])) ||
    die "$1" "job $job has been restarted $SLURM_RESTART_COUNT times, the limit: see --max-restarts"
  run scontrol requeue "$job"
}

option[gpus-per-node]=1 option[distributed]=no option[runs]=''
parse_options "$@"
[[ -z ${option[runs]} ]] || take_run
require_run
require_tool bertjax

# JAX_PLATFORMS: without a GPU, an error and not a run on the CPU that nobody wanted.
environment=(JAX_PLATFORMS=cuda) distributed=()
if [[ ${option[distributed]} == yes ]]; then
  distributed=(--distributed)
  # Under Slurm, JAX gives a process one GPU, the one of its number on the node, unless told which.
  environment+=("JAX_LOCAL_DEVICE_IDS=$(seq -s , 0 $((option[gpus-per-node] - 1)))")
fi

# srun passes SIGUSR1 on to all processes, but on SIGTERM it kills them.
term_as=USR1
# By srun even for one process: what Slurm itself sends on preemption goes to job steps only.
# The first process to end well must not have the others killed while they still save.
command=(srun --kill-on-bad-exit=0 --wait=0 env "${environment[@]}"
  bertjax pretrain "${distributed[@]}" --config "${option[config]}" --workdir "${option[workdir]}"
  "${overrides[@]}")
if dry; then
  run "${command[@]}"
  exit
fi
say "$(quoted "${command[@]}")"
code=0
supervise "${command[@]}" || code=$?
if [[ ${option[distributed]} == yes ]]; then
  worth_restarting "$code" || exit "$code"
else
  saved "$code" || exit "$code"
fi
requeue "$code"
