#!/usr/bin/env bash
# Pretrain on the GPUs of several nodes of a Slurm cluster: submits one job that requeues itself.
#
# One process a node, driving all its GPUs, as on one machine; JAX finds the others from Slurm.
#
#   SBATCH_PARTITION=gpu SBATCH_TIMELIMIT=12:00:00 scripts/launch/slurm_multinode.sh \
#     --nodes 4 --gpus-per-node 8 --config bert_large --workdir /shared/runs/x -- ...
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'TEXT'
usage: slurm_multinode.sh --nodes N --gpus-per-node N --config RECIPE --workdir DIR
                          [options] [-- key=value ...]

  --nodes N           nodes, one process each
  --gpus-per-node N   GPUs of each (default 1)

Partition, account and time limit as sbatch reads them: SBATCH_PARTITION, SBATCH_ACCOUNT,
SBATCH_TIMELIMIT. The job is to find bertjax on the PATH it is submitted with, and corpus and
workdir on a file system that all nodes share. Its log is DIR.slurm-JOB.log.
TEXT
}

option[nodes]='' option[gpus-per-node]=1
parse_options "$@"
require_run
require nodes
require_count 1 nodes gpus-per-node
require_tool sbatch

launch=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
run mkdir -p "$(dirname "${option[workdir]}")"
# --signal: two minutes before the time limit the batch shell, and only it, hears SIGUSR1.
run sbatch --job-name=bertjax --nodes="${option[nodes]}" --ntasks-per-node=1 \
  --gpus-per-node="${option[gpus-per-node]}" --requeue --open-mode=append --signal=B:USR1@120 \
  --output="${option[workdir]}.slurm-%j.log" \
  "$launch/slurm_job.sh" "$launch" --distributed --gpus-per-node "${option[gpus-per-node]}" \
  --max-restarts "${option[max-restarts]}" \
  --config "${option[config]}" --workdir "${option[workdir]}" -- "${overrides[@]}"
