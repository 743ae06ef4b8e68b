#!/usr/bin/env bash
# Builds with the release profile and measures; prints one ratio a line. Nothing but loopback is used.
set -euo pipefail
cd "$(dirname "$0")/.." && . hack/lib.sh
hack/rust.sh
need taskset util-linux

say "bench: release build (some minutes the first time)"
cargo build --locked --release -p moorline-sidecar -p moorline-e2e --bins
target=${CARGO_TARGET_DIR:-target}
say "bench: measuring, about two minutes; a busy machine gives wrong figures"
"$target/release/moorline-bench" --moorline "$target/release/moorline" "$@"
