#!/usr/bin/env bash
# Runs every test that needs no cluster; those are `make e2e`.
#
# One `cargo test` of the workspace, because the e2e tests drive the `moorline` binary which that very
# command builds. Tests run in parallel; each has its own ports and its own gateway.
set -euo pipefail
cd "$(dirname "$0")/.." && . hack/lib.sh

# Most tests wait for sockets and timers, so more of them than cores run at a time.
export RUST_TEST_THREADS="${RUST_TEST_THREADS:-16}"

say "test: building every test of the workspace (a few minutes the first time)"
cargo test --locked --workspace --no-run
say "test: running them"
cargo test --locked --workspace --quiet
say "test: all passed"
