#!/usr/bin/env bash
# Everything that can be said about the code without running it. Cheap checks first, so that a
# forgotten `make fmt` is told in a second.
set -euo pipefail
cd "$(dirname "$0")/.." && . hack/lib.sh

say "lint: formatting"
cargo fmt --all --check

say "lint: house rules (file length, links, words that do not belong)"
python3 hack/check-files.py
"$(tools_dir)/python/bin/shellcheck" --external-sources --source-path=SCRIPTDIR/.. hack/*.sh .ci/run

say "lint: clippy"
cargo clippy --locked --workspace --all-targets --quiet -- -D warnings

say "lint: generated files equal committed ones"
hack/crds.sh --check

if [ -n "$(hack/helm.sh --present)" ]; then
  say "lint: the chart"
  hack/chart.sh --check
else
  say "lint: the chart NOT checked, there is no helm yet: 'make chart' or 'make e2e' builds it"
fi

deny=$(hack/cargo-deny.sh)
say "lint: licences, sources and banned or doubled dependencies"
"$deny" --log-level error check --hide-inclusion-graph bans licenses sources

# The RustSec database lives in a git repository that not every machine can reach. A check that cannot
# be made is said aloud; one that finds something fails.
if timeout 20 git ls-remote --exit-code https://github.com/rustsec/advisory-db HEAD >/dev/null 2>&1; then
  say "lint: advisories"
  "$deny" --log-level error check advisories
else
  say "lint: advisories NOT checked, the RustSec database cannot be reached from here"
fi
say "lint: clean"
