#!/usr/bin/env bash
# Writes the CustomResourceDefinitions from the Rust types. With --check the committed file must already
# be what the types say; it is left as it was.
set -euo pipefail
cd "$(dirname "$0")/.." && . hack/lib.sh

file=crds/websocketroutes.moorline.dev.yaml
committed=$(mktemp)
trap 'rm -f "$committed"' EXIT
cp "$file" "$committed"
cargo run --locked --quiet -p moorline-crds --example crdgen

if [ "${1:-}" != --check ]; then
  say "crds: wrote $file"
elif ! diff -u "$committed" "$file" >&2; then
  cp "$committed" "$file"
  die "$file is not what the types say: run 'make crds' and commit"
fi
