#!/usr/bin/env bash
# Checks that cargo is there. Rust itself is not installed for you: a toolchain is a choice that
# belongs to the owner of the machine.
set -euo pipefail
cd "$(dirname "$0")/.." && . hack/lib.sh

command -v cargo >/dev/null || die "cargo is not on the PATH: install Rust 1.95 or newer, see https://rustup.rs"
cargo --version >/dev/null || die "cargo does not start; 'rustup toolchain list' should show 'stable'"
