#!/usr/bin/env bash
# Runs the tests: all of them, or with `e2e` only the foreign clients and services.
#
# One `cargo test` of the workspace, because the e2e tests drive the `moorline` binary which that very
# command builds. Tests run in parallel; each has its own ports and its own gateway.
set -euo pipefail
cd "$(dirname "$0")/.." && . hack/lib.sh

# Most tests wait for sockets and timers, so more of them than cores run at a time.
export RUST_TEST_THREADS="${RUST_TEST_THREADS:-16}"

case "${1:-all}" in
all)
  say "test: building every test of the workspace (a few minutes the first time)"
  cargo test --locked --workspace --no-run
  say "test: running them"
  cargo test --locked --workspace --quiet
  ;;
e2e)
  say "e2e: building moorline, then foreign clients and services against it"
  cargo test --locked --workspace --no-run
  cargo test --locked --workspace --test foreign
  ;;
*) die "usage: $0 [e2e]" ;;
esac
say "test: all passed"
