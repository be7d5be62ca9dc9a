#!/usr/bin/env bash
# Pretrain on one GPU of this machine.
#
#   scripts/launch/single_gpu.sh --config bert_base --workdir runs/x \
#     -- data.corpus=data/c
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'TEXT'
usage: single_gpu.sh --config RECIPE --workdir DIR [--gpu INDEX] [options] [-- key=value ...]

  --gpu INDEX         which GPU, as nvidia-smi counts (default 0)
TEXT
}

option[gpu]=0
parse_options "$@"
require_run
require_count 0 gpu
require_tool bertjax

# JAX_PLATFORMS: without a GPU, an error and not a run on the CPU that nobody wanted.
# CUDA_DEVICE_ORDER: CUDA would count the fastest GPU first, nvidia-smi counts by bus.
train_here env JAX_PLATFORMS=cuda CUDA_DEVICE_ORDER=PCI_BUS_ID \
  CUDA_VISIBLE_DEVICES="${option[gpu]}" \
  bertjax pretrain --config "${option[config]}" --workdir "${option[workdir]}" "${overrides[@]}"
