#!/usr/bin/env bash
# Prints a helm: the one on the PATH, the one built for the e2e tests, or one that is built now from the same module (two
# minutes, once). With --present it is not built, and nothing is printed when there is none.
set -euo pipefail
cd "$(dirname "$0")/.." && . hack/lib.sh

if command -v helm; then exit; fi
cache="${MOORLINE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/moorline}"
version=$(sed -n 's/^require helm.sh.* v//p' e2e/cluster/helm/go.mod)
for found in "$cache/helm-$version" "$cache"/kube/*/helm; do
  if [ -x "$found" ]; then printf '%s\n' "$found" && exit; fi
done
[ "${1:-}" != --present ] || exit 0

command -v go >/dev/null || die "neither helm nor go is on the PATH; see https://helm.sh/docs/intro/install"
say "helm: building $version (two minutes, once)"
mkdir -p "$cache"
(cd e2e/cluster/helm && CGO_ENABLED=0 go build -mod=readonly -trimpath -buildvcs=false \
  -ldflags "-s -w -X helm.sh/helm/v3/internal/version.version=v$version" \
  -o "$cache/helm-$version.partial" helm.sh/helm/v3/cmd/helm)
mv "$cache/helm-$version.partial" "$cache/helm-$version"
printf '%s\n' "$cache/helm-$version"
