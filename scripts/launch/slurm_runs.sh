# Sourced by slurm_array.sh, which checks a runs file, and slurm_job.sh, which obeys a line of it.
# shellcheck shell=bash

# Whether a line names a run: not empty, not a comment.
is_run_line() { [[ $1 =~ ^[[:space:]]*[^#[:space:]] ]]; }

# parse_line TEXT: set the array `words`. xargs knows quotes and backslashes, and expands nothing.
parse_line() {
  local text
  text=$(xargs -n 1 printf '%s\n' <<<"$1" 2>/dev/null) || return 1
  # shellcheck disable=SC2034  # the callers use it
  mapfile -t words <<<"$text"
}
