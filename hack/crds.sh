#!/usr/bin/env bash
# Writes the CustomResourceDefinition, its copy in the chart and its reference from the Rust types. With --check the
# committed files must already be what the types say; they are left as they were.
set -euo pipefail
cd "$(dirname "$0")/.." && . hack/lib.sh

crd=websocketroutes.moorline.dev.yaml
# A chart cannot read outside its folder, and not everyone who packs one follows links.
files=("crds/$crd" "charts/moorline/files/$crd" docs/crd-reference.md)
committed=$(mktemp -d)
trap 'rm -rf "$committed"' EXIT
cp --parents "${files[@]}" "$committed"
cargo run --locked --quiet -p moorline-crds --example crdgen
cp "crds/$crd" "charts/moorline/files/$crd"

if [ "${1:-}" != --check ]; then
  say "crds: wrote ${files[*]}"
  exit 0
fi
for file in "${files[@]}"; do
  if ! diff -u "$committed/$file" "$file" >&2; then
    cp "$committed/$file" "$file"
    die "$file is not what the types say: run 'make crds' and commit"
  fi
done
