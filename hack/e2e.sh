#!/usr/bin/env bash
# Runs the scenarios of e2e/tests/kubernetes: against a cluster that it starts, or against the one in KUBECONFIG. That one
# gets its images from a registry: MOORLINE_E2E_VALUES is a values file of the chart that names them, MOORLINE_E2E_APP the
# image of examples/orders/app.
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
  archives=$(IMAGE_PREFIX=moorline.dev IMAGE_TAG=e2e IMAGE_PROFILE=image hack/images.sh --out "$cache/images")
  while IFS= read -r archive; do images+=(--image "$archive"); done <<<"$archives"
else
  need helm helm
  need kubectl kubectl
fi

# program PACKAGE NAME FLAGS...: builds a test program and prints where it is.
program() {
  local package=$1 name=$2 path; shift 2
  path=$(cargo test --locked --package "$package" "$@" --no-run --message-format json |
    sed -n "s/.*\"executable\":\"\([^\"]*$name-[^\"]*\)\".*/\1/p" | tail -1)
  [ -x "$path" ] || die "$package: the tests $name did not build"
  printf '%s\n' "$path"
}
say "e2e: building the scenarios"
cargo build --locked --package moorline-e2e --bin moorline-cluster
scenarios=$(program moorline-e2e kubernetes --test kubernetes)
target="${CARGO_TARGET_DIR:-target}"
export SCENARIOS="$scenarios"
if [ -z "${KUBECONFIG:-}" ] && [ $# = 0 ]; then
  CLUSTER_TESTS=$(program moorline-e2e cluster --test cluster)
  OPERATOR_TESTS=$(program moorline-operator moorline_operator --lib)
  export CLUSTER_TESTS OPERATOR_TESTS
  say "e2e: running the tests that need a cluster without Moorline"
  # shellcheck disable=SC2016 # expanded by the inner shell
  "$target/debug/moorline-cluster" run -- bash -c \
    'set -e; for tests in "$CLUSTER_TESTS" "$OPERATOR_TESTS on_cluster"; do $tests --ignored --test-threads 1; done'
  # The cluster itself, from outside: whatever ends its owner, nothing of it is left.
  "$(program moorline-e2e cluster_end --test cluster_end)" --ignored --test-threads 1
fi

figures=$(mktemp)
trap 'rm -f "$figures"' EXIT
export MOORLINE_E2E_FIGURES="$figures"
# Most of the time a scenario waits, so several run side by side; those that stop shared parts take turns by themselves.
# What the API server saw of the operator is looked at last.
# shellcheck disable=SC2016 # expanded by the inner shell
run='set -e
"$SCENARIOS" --ignored --test-threads 4 --skip zz_ "$@"
[ $# -gt 0 ] || "$SCENARIOS" --ignored zz_'
say "e2e: running the scenarios"
status=0
"$target/debug/moorline-cluster" run "${images[@]}" -- bash -c "$run" e2e "$@" || status=$?
if [ -s "$figures" ]; then
  say "e2e: figures"
  cat "$figures"
fi
[ "$status" = 0 ] || die "e2e: scenarios failed"
say "e2e: all passed"
