#!/usr/bin/env bash
# Builds the Kubernetes that the e2e tests start, and prints the folder it is in.
#
# From Go modules pinned in e2e/cluster/ and not from releases: a module proxy is reached from more places than a
# download host, and go.sum says what was built. The folder lies outside the clone and is named after everything that
# decides its content, so a clean clone finds what another one built, and two versions live side by side.
set -euo pipefail
cd "$(dirname "$0")/.." && . hack/lib.sh

KUBERNETES=1.34.4
MODULES=e2e/cluster
# A folder that nobody asked for in so many days is removed by the next build.
KEPT_DAYS=14

# sbin is missing from the PATH of some accounts, and runc and iptables live there.
export PATH="$PATH:/usr/sbin:/sbin"
# The first call names everything, so that a bare machine pays for one installation; the others tell what is missing
# on a machine that has only some.
need containerd containerd runc containernetworking-plugins iptables conntrack ethtool socat iproute2 buildah openssl
need runc runc
need buildah buildah
need iptables iptables
need conntrack conntrack
need ethtool ethtool
need socat socat
need ip iproute2
need openssl openssl
need nsenter util-linux
for plugins in /usr/lib/cni /opt/cni/bin; do
  [ ! -x "$plugins/bridge" ] || found_plugins=1
done
[ -n "${found_plugins:-}" ] || need /usr/lib/cni/bridge containernetworking-plugins

root="${MOORLINE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/moorline}/kube"
inputs=$(find "$MODULES" hack/kube.sh -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum; uname -m)
folder="$root/$(sha256sum <<<"$inputs" | cut -c1-16)"
mkdir -p "$root"

# build NAME PACKAGE...: the programs of the module e2e/cluster/NAME, into $partial.
build() {
  local module=$1 started=$SECONDS; shift
  say "kube: building $module"
  (cd "$MODULES/$module" && go build -mod=readonly -trimpath -buildvcs=false -ldflags "$ldflags" -o "$partial/" "$@")
  say "kube: $module built in $((SECONDS - started)) s"
}

build_all() {
  command -v go >/dev/null || die "go is not on the PATH: install Go 1.24 or newer, see https://go.dev/dl"
  say "kube: building Kubernetes $KUBERNETES and its companions into $folder (8 minutes on 2 cores the first time)"
  partial="$folder.partial"
  rm -rf "$partial" && mkdir -p "$partial"
  export CGO_ENABLED=0

  # Without these every component says v0.0.0, and kubectl warns about the skew on every call.
  local package
  ldflags="-s -w"
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    ldflags+=" -X $package.gitVersion=v$KUBERNETES -X $package.gitTreeState=clean"
    ldflags+=" -X $package.gitMajor=${KUBERNETES%%.*} -X $package.gitMinor=$(cut -d. -f2 <<<"$KUBERNETES")"
  done
  local command=k8s.io/kubernetes/cmd
  build kubernetes $command/kube-apiserver $command/kube-controller-manager $command/kube-scheduler \
    $command/kubelet $command/kube-proxy $command/kubectl

  ldflags="-s -w"
  build etcd go.etcd.io/etcd/server/v3
  mv "$partial/server" "$partial/etcd"
  build coredns .
  ldflags="-s -w -X helm.sh/helm/v3/internal/version.version=v$(sed -n 's/^require helm.sh.* v//p' $MODULES/helm/go.mod)"
  build helm helm.sh/helm/v3/cmd/helm
  ldflags="-s -w"
  build pause .

  # The image that every pod starts with. Its store lies in the partial folder, so that nothing of it stays.
  say "kube: packing the pause image"
  printf 'FROM scratch\nCOPY pause /pause\nUSER 65535:65535\nENTRYPOINT ["/pause"]\n' >"$partial/Containerfile"
  local store=(buildah --root "$partial/store" --runroot "$partial/store-run" --storage-driver vfs)
  "${store[@]}" build --quiet --isolation chroot -t moorline.dev/pause:1 "$partial" >/dev/null
  "${store[@]}" push --quiet moorline.dev/pause:1 "docker-archive:$partial/pause.tar:moorline.dev/pause:1"
  rm -rf "$partial/store" "$partial/store-run" "$partial/Containerfile"

  rm -rf "$folder"
  mv "$partial" "$folder"
  touch "$folder/complete"
  find "$root" -mindepth 2 -maxdepth 2 -name complete -mtime "+$KEPT_DAYS" -print0 |
    while IFS= read -r -d '' stale; do rm -rf "$(dirname "$stale")"; done
}

if [ ! -e "$folder/complete" ]; then
  # Whoever comes second waits here and finds it built.
  exec 9>"$root/lock"
  flock 9
  [ -e "$folder/complete" ] || build_all
fi
touch "$folder/complete"
printf '%s\n' "$folder"
