#!/usr/bin/env bash
# Pretrain on several GPUs of this machine, in one process.
#
# One process, because JAX drives all GPUs it sees from one, and lays the mesh over them: one
# copy of the loader, no ports, no process that can die alone. One process a GPU would need
# --distributed and gain nothing within a machine.
#
#   scripts/launch/multi_gpu.sh --config bert_base --workdir runs/x -- data.corpus=data/c
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'TEXT'
usage: multi_gpu.sh --config RECIPE --workdir DIR [--gpus LIST] [options] [-- key=value ...]

  --gpus LIST         which GPUs, as nvidia-smi counts: 0,1,2,3 (default all)

The batch is split over all of them; another split: -- train.mesh.fsdp=4, train.mesh.tensor=2.
TEXT
}

option[gpus]=all
parse_options "$@"
require_run
[[ ${option[gpus]} =~ ^(all|[0-9]+(,[0-9]+)*)$ ]] ||
  bad_input "--gpus is '${option[gpus]}': give indices such as 0,1,2,3"
require_tool bertjax

visible=()
[[ ${option[gpus]} == all ]] || visible=("CUDA_VISIBLE_DEVICES=${option[gpus]}")

# JAX_PLATFORMS: without a GPU, an error and not a run on the CPU that nobody wanted.
train_here env JAX_PLATFORMS=cuda CUDA_DEVICE_ORDER=PCI_BUS_ID "${visible[@]}" \
  bertjax pretrain --config "${option[config]}" --workdir "${option[workdir]}" "${overrides[@]}"
