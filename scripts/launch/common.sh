# Sourced by every launcher: options, dry runs, and what a stopped run's exit code means.
# shellcheck shell=bash
set -euo pipefail

# What every launcher takes; it adds its own with `option[name]=default`. A default of `no` makes
# a switch. What follows `--` goes to `bertjax pretrain` unchanged.
declare -A option=([config]='' [workdir]='' [max-restarts]=100 [dry-run]=no)
overrides=()

common_usage='
Common options:
  --config RECIPE     name of a recipe (bertjax recipes), or a file: .py with get_config(), or the
                      config.json of a run
  --workdir DIR       directory of the run; one that holds a run is resumed
  --max-restarts N    give up after that many restarts (default 100)
  --dry-run           print every command, run none
  --help              this text
  -- ARGUMENTS        for bertjax pretrain: key=value, --masking NAME, ...

Restarts from the last checkpoint where the run was stopped and saved (exit codes 75, 76) and,
on several hosts, where one was lost (5, 128 and up). What restarting cannot mend ends the
launcher with the same code: 2 bad input, 3 not finite, 4 no sound checkpoint, 130 Ctrl-C.'

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

# die CODE MESSAGE
die() {
  say "${@:2}"
  exit "$1"
}

bad_input() { die 2 "$*"; }

# Needs a function `usage` that prints the launcher's own options.
parse_options() {
  local name
  while (($#)); do
    case $1 in
      -h | --help)
        usage
        printf '%s\n' "$common_usage"
        exit 0
        ;;
      --)
        # shellcheck disable=SC2034  # the launchers use it
        overrides=("${@:2}")
        return
        ;;
      --*=*) # split, and read again
        set -- "${1%%=*}" "${1#*=}" "${@:2}"
        continue
        ;;
    esac
    name=${1#--}
    [[ $1 == --?* ]] || bad_input "unexpected argument '$1': overrides come after --, see --help"
    [[ -v option[$name] ]] || bad_input "unknown option $1: see --help"
    case ${option[$name]} in
      no | yes)
        option[$name]=yes
        shift
        ;;
      *)
        [[ -n ${2-} && $2 != --* ]] || bad_input "$1 needs a value, seen '${2-}': see --help"
        option[$name]=$2
        shift 2
        ;;
    esac
  done
}

# require NAME...: these options must have a value.
require() {
  local name
  for name; do
    [[ -n ${option[$name]} ]] || bad_input "--$name is missing: see --help"
  done
}

# require_count MINIMUM NAME...: these options must be whole numbers from MINIMUM up.
require_count() {
  local name
  for name in "${@:2}"; do
    if ! [[ ${option[$name]} =~ ^(0|[1-9][0-9]{0,8})$ ]] || ((option[$name] < $1)); then
      bad_input "--$name is '${option[$name]}': give a whole number from $1 up"
    fi
  done
}

# A file, or what `bertjax pretrain` takes for a recipe's name.
is_recipe() { [[ -f $1 ]] || is_name "$1"; }
is_name() { [[ $1 =~ ^[a-z0-9_]+$ ]]; }

require_run() {
  require config workdir
  require_count 0 max-restarts
  is_recipe "${option[config]}" ||
    bad_input "--config ${option[config]}: there is no such file, and it is no name of a recipe"
}

dry() { [[ ${option[dry-run]} == yes ]]; }

# require_tool NAME: on PATH, unless nothing is going to be run.
require_tool() {
  dry || command -v "$1" >/dev/null || bad_input "$1 is not on PATH: install it, or use --dry-run"
}

# The words as one line that a shell reads back as the same words.
quoted() {
  local line
  printf -v line '%q ' "$@"
  printf '%s' "${line% }"
}

# Show a command, and run it unless this is a dry run.
run() {
  if dry; then
    printf '%s\n' "$(quoted "$@")"
  else
    say "$(quoted "$@")"
    "$@"
  fi
}

# Exit codes of a run that was stopped and saved: bertjax/errors.py.
saved() { [[ $1 == 75 || $1 == 76 ]]; }

# Of a run on several hosts: saved; 5, a host fell silent; or 128 and up, a signal ended a process
# or ssh lost its host. None is a mistake of the user's or of bertjax. 130 is Ctrl-C.
worth_restarting() { saved "$1" || (($1 == 5 || ($1 >= 128 && $1 != 130))); }

# supervise COMMAND...: run it, passing on SIGTERM, SIGUSR1 and Ctrl-C; returns its exit code.
# Afterwards `stop_signal` says which signal came, if one did. `term_as` is what SIGTERM becomes.
child='' stop_signal='' interrupted=no term_as=TERM
pass_on() {
  stop_signal=$1 interrupted=yes
  [[ -z $child ]] || kill -s "$1" "$child" 2>/dev/null || true
}

supervise() {
  local code=0 next
  # Job control gives the child a process group of its own: Ctrl-C reaches it once, from here.
  # Twice would stop it at once, unsaved. Without, a background job is deaf to Ctrl-C.
  set -m
  trap 'pass_on "$term_as"' TERM
  trap 'pass_on USR1' USR1
  trap 'pass_on INT' INT
  "$@" </dev/null &
  child=$!
  while true; do # a trapped signal ends `wait` before the child has ended
    interrupted=no next=0
    wait "$child" || next=$?
    ((next == 127)) || code=$next # 127: its end was seen the time before
    [[ $interrupted == yes ]] || break
  done
  child=''
  set +m
  return "$code"
}

# train_here COMMAND...: on this machine, again and again while it stops with its state saved.
# A signal to the launcher itself means that the machine is wanted: the run saves and all ends.
train_here() {
  local code restarts=0
  if dry; then
    run "$@"
    return
  fi
  say "$(quoted "$@")"
  while true; do
    code=0
    supervise "$@" || code=$?
    saved "$code" || return "$code"
    # A process that cannot start is not to burn its restarts in a second.
    [[ -n $stop_signal ]] || sleep 1
    [[ -z $stop_signal ]] ||
      die "$code" "stopped by SIG$stop_signal, saved: the same command resumes"
    ((restarts < option[max-restarts])) ||
      die "$code" "exit code $code after $restarts restarts, the limit: see --max-restarts"
    restarts=$((restarts + 1))
    say "stopped with exit code $code, saved: restart $restarts of ${option[max-restarts]}"
  done
}
