#!/usr/bin/env bash
# Pretrain on TPU slices of a GKE cluster, through xpk: submits one workload that restarts itself.
#
# The image is docker/Dockerfile.tpu, pushed where the cluster can pull it:
#   docker build -f docker/Dockerfile.tpu -t REGISTRY/bertjax:tpu .
#   docker push REGISTRY/bertjax:tpu
#
#   scripts/launch/gke_xpk.sh --cluster c --zone us-west4-a --name bert --tpu-type v5litepod-64 \
#     --image REGISTRY/bertjax:tpu --storage nfs --config bert_large \
#     --workdir /mnt/nfs/runs/x -- data.corpus=/mnt/nfs/corpus
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'TEXT'
usage: gke_xpk.sh --cluster NAME --zone ZONE --name NAME --tpu-type TYPE --image IMAGE
                  --config RECIPE --workdir DIR [options] [-- key=value ...]

  --cluster NAME      GKE cluster made by xpk
  --zone ZONE         of the cluster; the project is that of `gcloud config`
  --name NAME         of the workload
  --tpu-type TYPE     such as v5litepod-64
  --num-slices N      slices, joined into one run (default 1)
  --image IMAGE       built from docker/Dockerfile.tpu
  --storage NAME      storage attached to the cluster with `xpk storage`, to be mounted
  --spot              slices that may be taken away at any time

The recipe is one of the image's, which holds configs/ as it was when the image was built. Workdir
and corpus must be on storage that every host mounts.
TEXT
}

option[cluster]='' option[zone]='' option[name]='' option[tpu-type]='' option[image]=''
option[num-slices]=1 option[storage]='' option[spot]=no
parse_options "$@"
require_run
require cluster zone name tpu-type image
require_count 1 num-slices
[[ ${option[config]} == configs/* ]] || is_name "${option[config]}" ||
  bad_input "--config ${option[config]}: the image holds only configs/: put it there and rebuild"
[[ ${option[name]} =~ ^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$ ]] ||
  bad_input "--name ${option[name]}: at most 40 of a-z, 0-9 and -, a letter first"
require_tool xpk

# exec: xpk passes SIGTERM on to the shell it starts for the command, and to nothing below it.
command="exec $(quoted bertjax pretrain --distributed --config "${option[config]}" \
  --workdir "${option[workdir]}" "${overrides[@]}")"
more=()
[[ -z ${option[storage]} ]] || more+=(--storage "${option[storage]}")
[[ ${option[spot]} == no ]] || more+=(--spot)

# By itself xpk restarts on 42 and on 127-255, which a killed host gives; ours are 75 and 76, saved,
# and 5, a host fell silent. Every other code, such as 2 for bad input, ends the workload. The grace
# period is for saving.
run xpk workload create --cluster "${option[cluster]}" --zone "${option[zone]}" \
  --workload "${option[name]}" --tpu-type "${option[tpu-type]}" \
  --num-slices "${option[num-slices]}" --docker-image "${option[image]}" \
  --max-restarts "${option[max-restarts]}" --restart-on-exit-codes 5,75,76 \
  --termination-grace-period-seconds 300 --env JAX_PLATFORMS=tpu "${more[@]}" --command "$command"
