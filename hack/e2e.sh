#!/usr/bin/env bash
# Runs the scenarios of e2e/tests/kubernetes: against a cluster that it starts, or against the one in KUBECONFIG, which must
# be able to pull the images named in MOORLINE_E2E_VALUES (a values file of the chart).
#
# Arguments go to the test program: `hack/e2e.sh rollout` runs the scenarios whose name contains it.
set -euo pipefail
cd "$(dirname "$0")/.." && . hack/lib.sh

cache="${MOORLINE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/moorline}"
images=()
if [ -z "${KUBECONFIG:-}" ]; then
  components=$(hack/kube.sh)
  export PATH="$components:$PATH"
  say "e2e: building the images (a few minutes the first time)"
  while IFS= read -r archive; do
    images+=(--image "$archive")
  done < <(IMAGE_PREFIX=moorline.dev IMAGE_TAG=e2e IMAGE_PROFILE=image hack/images.sh --out "$cache/images")
else
  need helm helm
  need kubectl kubectl
fi

say "e2e: building the scenarios"
cargo build --locked --package moorline-e2e --bin moorline-cluster
scenarios=$(cargo test --locked --package moorline-e2e --test kubernetes --no-run --message-format json 2>/dev/null |
  sed -n 's/.*"executable":"\([^"]*kubernetes-[^"]*\)".*/\1/p' | tail -1)
[ -x "$scenarios" ] || die "the scenarios did not build: cargo test --package moorline-e2e --test kubernetes --no-run"
target="${CARGO_TARGET_DIR:-target}"

figures=$(mktemp)
trap 'rm -f "$figures"' EXIT
export MOORLINE_E2E_FIGURES="$figures"
# Most of the time a scenario waits, so several run side by side; those that stop shared parts take turns by themselves.
# What the API server saw of the operator is looked at last.
# shellcheck disable=SC2016 # expanded by the inner shell
run='set -e
"$0" --ignored --test-threads 4 --skip zz_ "$@"
[ $# -gt 0 ] || "$0" --ignored zz_'
say "e2e: running the scenarios"
status=0
"$target/debug/moorline-cluster" run "${images[@]}" -- bash -c "$run" "$scenarios" "$@" || status=$?
if [ -s "$figures" ]; then
  say "e2e: figures"
  cat "$figures"
fi
[ "$status" = 0 ] || die "e2e: scenarios failed"
say "e2e: all passed"
