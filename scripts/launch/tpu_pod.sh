#!/usr/bin/env bash
# Pretrain on a TPU slice of any number of hosts, got through the queue of Cloud TPU.
#
# Asks for the slice and waits; installs this checkout on all hosts; trains. When the slice is
# taken away it is deleted, asked for again, and the run goes on from its last checkpoint. Runs
# as long as the training, on a machine that stays up. Starting it again takes up where it was.
#
#   ssh-add ~/.ssh/google_compute_engine
#   scripts/launch/tpu_pod.sh --name bert --zone us-west4-a --accelerator v5litepod-64 --spot \
#     --nfs 10.0.0.2:/share --config bert_large --workdir /mnt/bertjax/runs/x \
#     -- data.corpus=/mnt/bertjax/corpus
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'TEXT'
usage: tpu_pod.sh --name NAME --zone ZONE --accelerator TYPE --config RECIPE --workdir DIR
                  [options] [-- key=value ...]

  --name NAME         of the queued resource and its node
  --zone ZONE         such as us-west4-a; the project is that of `gcloud config`
  --accelerator TYPE  such as v5litepod-64, v5p-128, v6e-256
  --runtime VERSION   TPU software version (default: that of the accelerator)
  --nfs SERVER:/SHARE mounted on every host at /mnt/bertjax
  --spot              a slice that may be taken away at any time
  --keep              do not delete the slice at the end
  --poll SECONDS      how often to look at the slice (default 30)

Workdir and corpus must be on storage that every host sees and that outlives the slice: what
--nfs mounts. The slice is deleted at the end, however training ends, unless --keep is given;
Ctrl-C only leaves it, running and billed.
TEXT
}

# The TPU software version that Cloud TPU names for JAX on each generation.
runtime_of() {
  case $1 in
    v6e-*) echo v2-alpha-tpuv6e ;;
    v5p-*) echo v2-alpha-tpuv5 ;;
    v5litepod-*) echo v2-alpha-tpuv5-lite ;;
    v5e-*) bad_input "--accelerator $1: Cloud TPU's name of it is v5litepod-${1#v5e-}" ;;
    v2-* | v3-* | v4-*) echo tpu-ubuntu2204-base ;;
    *) bad_input "--accelerator $1 is of no known generation: give --runtime too" ;;
  esac
}

queued() { run gcloud compute tpus queued-resources "$@" "--zone=${option[zone]}"; }
on_all_hosts=(--node=all --worker=all --batch-size=all) # at once: they wait for one another

# The state of the queued resource; ABSENT if there is none, UNKNOWN if gcloud cannot say, and then
# what it says instead.
state() {
  local answer
  answer=$(gcloud compute tpus queued-resources describe "${option[name]}" \
    "--zone=${option[zone]}" '--format=value(state.state)' 2>&1) || {
    [[ $answer == *NOT_FOUND* ]] && echo ABSENT && return
    say "gcloud: ${answer##*$'\n'}"
    echo UNKNOWN
    return
  }
  # The line that is a state: warnings may stand around it.
  [[ $answer =~ (^|$'\n')([A-Z_]+)($'\n'|$) ]] && echo "${BASH_REMATCH[2]}" || echo UNKNOWN
}

create() {
  local spot=()
  [[ ${option[spot]} == no ]] || spot=(--spot)
  queued create "${option[name]}" "--node-id=${option[name]}" \
    "--accelerator-type=${option[accelerator]}" "--runtime-version=${option[runtime]}" "${spot[@]}"
}

delete() { queued delete "${option[name]}" --force --quiet; }

# Wait until there is an active slice, asking for one if need be.
get_slice() {
  local now asked=no unknown=0
  if dry; then
    create
    run gcloud compute tpus queued-resources describe "${option[name]}" "--zone=${option[zone]}" \
      '--format=value(state.state)'
    return
  fi
  while true; do
    now=$(state)
    case $now in
      ACTIVE) return ;;
      FAILED)
        [[ $asked == no ]] ||
          die 1 "Cloud TPU refused ${option[accelerator]} in ${option[zone]}: see gcloud compute" \
            "tpus queued-resources describe ${option[name]} --zone=${option[zone]}"
        delete
        ;;
      SUSPENDED) delete ;; # while it is SUSPENDING it cannot be deleted
      ABSENT)
        create
        asked=yes
        ;;
      *) say "${option[name]} is $now" ;;
    esac
    # The network may fail for a while; a project, a zone or an account that is none stays so.
    [[ $now == UNKNOWN ]] && unknown=$((unknown + 1)) || unknown=0
    ((unknown < 10)) ||
      die 2 "gcloud could not say $unknown times in a row what ${option[name]} is: see its message"
    sleep "${option[poll]}"
  done
}

# This checkout as it lies here, with the config under a name of its own.
pack() {
  run tar -czf "$bundle" --exclude=__pycache__ -C "$root" bertjax configs pyproject.toml requirements.lock \
    README.md LICENSE scripts/launch/tpu_worker.sh
}

install() {
  local unpack="mkdir -p bertjax && tar -xzf bertjax.tar.gz -C bertjax --recursive-unlink"
  local set_up=(bash bertjax/scripts/launch/tpu_worker.sh install)
  [[ -z ${option[nfs]} ]] || set_up+=("${option[nfs]}")
  queued scp "$bundle" "${option[name]}:bertjax.tar.gz" "${on_all_hosts[@]}" &&
    { is_name "${option[config]}" ||
      queued scp "${option[config]}" "${option[name]}:${config#../}" "${on_all_hosts[@]}"; } &&
    queued ssh "${option[name]}" "${on_all_hosts[@]}" \
      --command="$unpack && $(quoted "${set_up[@]}")"
}

train() {
  local command=(bash bertjax/scripts/launch/tpu_worker.sh train --config "$config"
    --workdir "${option[workdir]}" "${overrides[@]}")
  queued ssh "${option[name]}" "${on_all_hosts[@]}" --command="$(quoted "${command[@]}")"
}

# Run a command while the slice is there: ssh may not notice for long that its hosts are gone.
# Returns 255, what ssh returns for a lost connection, when the slice is not active any more.
while_active() {
  local code=0 lost=no now
  set -m # a process group, to be ended as one
  "$@" &
  child=$!
  set +m
  while kill -0 "$child" 2>/dev/null; do
    sleep "${option[poll]}"
    now=$(state)
    case $now in
      ACTIVE | UNKNOWN) ;;
      *)
        say "${option[name]} is $now"
        kill -- "-$child" 2>/dev/null || true
        lost=yes
        break
        ;;
    esac
  done
  wait "$child" || code=$?
  child=''
  [[ $lost == no ]] || code=255
  return "$code"
}

leave() {
  say "left ${option[name]} as it is: the same command goes on," \
    "gcloud compute tpus queued-resources delete ${option[name]}" \
    "--zone=${option[zone]} --force ends it"
  [[ -z $child ]] || kill -- "-$child" 2>/dev/null || true
  exit 130
}

finish() {
  [[ ${option[keep]} == yes ]] || delete
  exit "$1"
}

option[name]='' option[zone]='' option[accelerator]='' option[runtime]='' option[nfs]=''
option[spot]=no option[keep]=no option[poll]=30
parse_options "$@"
require_run
require name zone accelerator
require_count 0 poll
[[ ${option[name]} =~ ^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$ ]] ||
  bad_input "--name ${option[name]}: at most 63 of a-z, 0-9 and -, a letter first"
[[ ${option[workdir]} == /* ]] ||
  bad_input "--workdir ${option[workdir]}: give the absolute path that the hosts see"
[[ -z ${option[nfs]} || ${option[nfs]} == *:/* ]] ||
  bad_input "--nfs ${option[nfs]}: give SERVER:/SHARE"
[[ -n ${option[runtime]} ]] || option[runtime]=$(runtime_of "${option[accelerator]}")
require_tool gcloud

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
bundle=${TMPDIR:-/tmp}/bertjax-${option[name]}.tar.gz
config=${option[config]}
is_name "$config" || config=../bertjax-${config##*/}
trap leave INT TERM

pack
for ((restarts = 0; ; restarts++)); do
  get_slice
  code=0
  if dry; then
    install
    train
    finish 0
  fi
  { while_active install && while_active train; } || code=$?
  worth_restarting "$code" || finish "$code"
  ((restarts < option[max-restarts])) || finish "$code"
  say "ended with exit code $code: restart $((restarts + 1)) of ${option[max-restarts]}"
done
