#!/usr/bin/env bash
# Checks the chart: helm's own lint, every set of values in charts/moorline/ci rendered, twice with the same bytes, and what
# must not be accepted refused.
#
#   hack/chart.sh            writes the table of values first
#   hack/chart.sh --check    only compares it
#   hack/chart.sh --server   instead, has the API server of KUBECONFIG look at everything that is rendered, by a dry run;
#                            changes nothing in the cluster
set -euo pipefail
cd "$(dirname "$0")/.." && . hack/lib.sh

chart=charts/moorline
helm=$(hack/helm.sh)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Without a cluster helm takes the newest Kubernetes that it was built for, or none.
oldest=(--kube-version 1.33.0)

# render VALUES [FLAG...]: as `helm install lint` in the namespace lint would.
render() {
  local values=$1; shift
  "$helm" template lint "$chart" --namespace "${namespace:-lint}" --values "$values" "${oldest[@]}" "$@"
}

lint() {
  python3 hack/chart-values.py "$@"
  local version
  version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
  [ "$(grep -Ec "^(appV|v)ersion: $version\$" "$chart/Chart.yaml")" = 2 ] ||
    die "$chart/Chart.yaml: version and appVersion are $version, as in Cargo.toml"
  [ "$(grep -c "image: ghcr.io/.*:$version\$" "$chart/Chart.yaml")" = 3 ] || die "$chart/Chart.yaml: images are of $version"
  cmp crds/websocketroutes.moorline.dev.yaml "$chart/files/websocketroutes.moorline.dev.yaml" || die "run 'make crds'"

  local values output
  for values in "$chart"/ci/*.yaml "$chart/values-ha.yaml"; do
    output=$("$helm" lint "$chart" --namespace lint --quiet --strict --values "$values" "${oldest[@]}") || die "$values: $output"
    render "$values" >"$work/first"
    render "$values" >"$work/second"
    cmp "$work/first" "$work/second" || die "$values: rendered twice, two results"
    # A rendering is the same wherever it is made: nothing is read from a cluster, and nothing is made up.
    ! grep -n 'null$' "$work/first" || die "$values: renders null"
  done
  say "chart: $(find "$chart/ci" -name '*.yaml' | wc -l) sets of values and values-ha.yaml render"

  refused 'replica=2' "additional properties 'replica'"
  refused 'webhook.failurePolicy=ignore' "/webhook/failurePolicy"
  refused 'expose.enabled=true' "/expose/hosts"
  refused 'expose.enabled=true,expose.hosts={https://a.example.com}' "/expose/hosts/0"
  refused 'webhook.certificate.source=Secret' "/webhook/certificate/secretName"
  refused 'image.digest=latest' "/image/digest"
  refused 'watchNamespaces={lint}' "the release's own namespace"
  refused 'test.namespace=lint' "the release's own namespace"
  refused 'serviceAccount.create=false' "serviceAccount.name: is needed"
  if grep -rnE '\{\{[^}]*\b(lookup|gen[A-Z]\w+|rand\w+|uuidv4|now|getHostByName)\b' "$chart/templates"; then
    die "the lines above render differently each time, or in each cluster"
  fi
  local metric name
  while read -r metric; do
    name=${metric%_bucket}
    case "$metric" in
    moorline_operator_*) name=${name#moorline_operator_} && grep -rqF "\"${name%_total}\"" operator/src ;;
    *) grep -qF "\`$name\`" docs/metrics.md ;;
    esac || die "$chart/files: nothing measures $metric"
  done < <(grep -oh 'moorline_[a-z_]*' "$chart/files/alerts.yaml" "$chart/files/dashboard.json" | sort -u)
  say "chart: clean"
}

# refused VALUES MESSAGE: they are not rendered, and the error says why.
refused() {
  local output
  if output=$(render /dev/null --set "$1" 2>&1); then die "--set $1 is accepted"; fi
  grep -qF "$2" <<<"$output" || die "--set $1: the error does not say '$2': $output"
}

# Everything at once and in namespaces that every cluster has, so that nothing is left behind and nothing waits.
server() {
  local values rendered unknown=0
  # Can be checked only where these projects are installed.
  local foreign='no matches for kind "(Certificate|Issuer|ServiceMonitor|PodMonitor|PrometheusRule)"'
  need kubectl kubernetes-client
  for values in "$chart"/ci/*.yaml "$chart/values-ha.yaml"; do
    rendered="$work/$(basename "$values")"
    namespace=kube-public render "$values" --set test.namespace=default >"$rendered"
    # Fails for the kinds of other projects too, so what it said decides.
    kubectl apply --server-side --force-conflicts --validate=strict --dry-run=server --field-manager=helm-lint \
      -f "$rendered" >"$work/out" 2>"$work/error" || true
    unknown=$((unknown + $(grep -Ec "$foreign" "$work/error" || true)))
    if grep -vE "$foreign|^ensure CRDs are installed first\$" "$work/error"; then
      die "$values: the API server refuses what is rendered"
    fi
    say "chart: $values: $(grep -c 'serverside-applied' "$work/out") objects accepted by the API server"
  done
  [ "$unknown" = 0 ] || say "chart: $unknown objects NOT checked, this cluster knows neither cert-manager nor the Prometheus operator"
}

case "${1:-}" in
--server) server ;;
--check) lint --check ;;
"") lint ;;
*) die "usage: $0 [--check | --server]" ;;
esac
