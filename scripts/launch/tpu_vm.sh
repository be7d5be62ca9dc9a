#!/usr/bin/env bash
# Pretrain on the TPU chips of this machine: run it on a TPU VM with one host, such as v5litepod-8.
# `scripts/launch/tpu_worker.sh install` prepares such a machine.
#
#   scripts/launch/tpu_vm.sh --config bert_base --workdir runs/x -- data.corpus=data/c
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'TEXT'
usage: tpu_vm.sh --config RECIPE --workdir DIR [options] [-- key=value ...]

Runs on the TPU VM itself. Slices of several hosts: tpu_pod.sh.
TEXT
}

parse_options "$@"
require_run
require_tool bertjax

# JAX_PLATFORMS: without a TPU, an error and not a run on the CPU that nobody wanted.
train_here env JAX_PLATFORMS=tpu \
  bertjax pretrain --config "${option[config]}" --workdir "${option[workdir]}" "${overrides[@]}"
