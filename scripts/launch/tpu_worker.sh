#!/usr/bin/env bash
# What runs on each host of a TPU slice; tpu_pod.sh copies it there. On a TPU VM of your own,
# `scripts/launch/tpu_worker.sh install` in a checkout installs bertjax into its venv/, to be
# activated before tpu_vm.sh.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: tpu_worker.sh [--dry-run] install [SERVER:/SHARE]
       tpu_worker.sh [--dry-run] train ARGUMENTS OF bertjax pretrain

install   bertjax and the TPU runtime into ./venv beside pyproject.toml; mounts the NFS share
          at /mnt/bertjax
train     ends a run that an earlier connection left behind, then trains
TEXT
}

dry=no
run() {
  if [[ $dry == yes ]]; then
    printf '%q ' "$@"
    echo
  else
    "$@"
  fi
}

install() {
  # TPU images bring Python 3.10, bertjax needs 3.11: uv brings one.
  run python3 -m pip install --quiet --user uv==0.13.8
  [[ -x venv/bin/python ]] || run python3 -m uv venv --quiet --python 3.11 venv
  # Reinstalled: uv would not notice that only the sources have changed.
  run python3 -m uv pip install --quiet --python venv/bin/python --reinstall-package bertjax \
    -c requirements.lock '.[tpu]'
  [[ -z ${1-} ]] || mount_share "$1"
}

mount_share() {
  if ! mountpoint -q /mnt/bertjax; then
    [[ -x /sbin/mount.nfs ]] || run sudo apt-get install --quiet --yes nfs-common
    run sudo mkdir -p /mnt/bertjax
    run sudo mount -t nfs "$1" /mnt/bertjax
  fi
}

# A lost connection leaves its process running here, with the chips in its hands.
stop_previous() {
  local pid
  pid=$(cat "$pid_file" 2>/dev/null) || return 0
  if grep -qs bertjax "/proc/$pid/cmdline"; then
    run kill -TERM "$pid"
    run timeout 300 tail --pid="$pid" -f /dev/null || run kill -KILL "$pid"
  fi
}

train() {
  pid_file=${TMPDIR:-/tmp}/bertjax.pid
  stop_previous
  [[ $dry == yes ]] || echo $$ >"$pid_file"
  # JAX_PLATFORMS: without a TPU, an error and not a run on the CPU that nobody wanted.
  run exec env JAX_PLATFORMS=tpu venv/bin/bertjax pretrain --distributed "$@"
}

case ${1-} in
  -h | --help)
    usage
    exit
    ;;
  --dry-run)
    dry=yes
    shift
    ;;
esac
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$here"
case ${1-} in
  install | train) "$@" ;;
  *)
    printf "tpu_worker.sh: '%s' is neither install nor train: see --help\n" "${1-}" >&2
    exit 2
    ;;
esac
