# shellcheck shell=bash
# Shared by the scripts beside it: saying what is done, and getting what is missing.
# Sourced, never run.

# say MESSAGE: progress, on stderr so that a script's output stays its own.
say() {
  if [ -t 2 ]; then printf '\033[1m==>\033[0m %s\n' "$*" >&2; else printf '==> %s\n' "$*" >&2; fi
}
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# need COMMAND DEBIAN_PACKAGE...: leaves a present command alone, installs it where that is possible
# without asking (root on a Debian), and otherwise says what is missing.
need() {
  local command=$1; shift
  command -v "$command" >/dev/null && return
  if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    say "$command is missing: installing $* with apt-get"
    # One at a time: apt-get fails where another one runs, and scripts run side by side in CI.
    (flock 8 && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >/dev/null) \
      8>"${TMPDIR:-/tmp}/moorline-apt.lock"
  fi
  command -v "$command" >/dev/null || die "$command is needed and not installed (Debian: $*)"
}

# Where installed helpers live: inside the clone, ignored by git, removed by `make clean`.
tools_dir() { printf '%s/.tools' "$(git rev-parse --show-toplevel 2>/dev/null || pwd)"; }
