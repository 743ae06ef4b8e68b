#!/usr/bin/env bash
# Installs the npm packages that e2e/node/package-lock.json pins. Does nothing when the installed
# packages came from that very lock file. Scripts of packages are not run: none of ours needs one.
set -euo pipefail
cd "$(dirname "$0")/.." && . hack/lib.sh

stamp=e2e/node/node_modules/.installed.json
cmp -s e2e/node/package-lock.json "$stamp" && exit 0

need node nodejs npm
need npm npm
say "node: installing the packages of e2e/node/package-lock.json"
(cd e2e/node && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
cp e2e/node/package-lock.json "$stamp"
