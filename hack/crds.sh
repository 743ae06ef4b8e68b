#!/usr/bin/env bash
# Writes the CustomResourceDefinitions from the Rust types. With --check nothing is written: the
# committed files must be what would be.
set -euo pipefail
cd "$(dirname "$0")/.." && . hack/lib.sh

out=crds/yaml/websocketroutes.moorline.dev.yaml
generated=$(mktemp)
trap 'rm -f "$generated"' EXIT
cargo run --locked --quiet -p moorline-crds --bin crdgen >"$generated"

if [ "${1:-}" = --check ]; then
  diff -u "$out" "$generated" >&2 || die "$out is not what the types say: run 'make crds' and commit"
else
  cp "$generated" "$out"
  say "crds: wrote $out"
fi
