#!/usr/bin/env bash
# Builds the images from static binaries of this machine, and saves each as a docker-archive. Prints the files.
#
#   hack/images.sh [--out DIR] [moorline] [moorline-operator] [orders]
#
#   IMAGE_PREFIX   what comes before the names     ghcr.io/moorline, as in the chart's values
#   IMAGE_TAG      their tag                       the version
#   IMAGE_PROFILE  release, or image for tests     release
#
# What an image is stands in the Dockerfile alone. Only its stage `build` is replaced, by a folder with binaries that
# cargo has built here, in the caches that are there already. buildah, because it needs no daemon; its storage lives in a
# folder of its own that is gone afterwards, so nothing is left in, or taken from, the storage of the machine.
set -euo pipefail
cd "$(dirname "$0")/.." && . hack/lib.sh

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
prefix=${IMAGE_PREFIX:-ghcr.io/moorline} tag=${IMAGE_TAG:-$version} profile=${IMAGE_PROFILE:-release}
out="${MOORLINE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/moorline}/images"
images=()
while [ $# -gt 0 ]; do
  case "$1" in
  --out) out=${2:?--out needs a folder}; shift 2 ;;
  moorline | moorline-operator | orders) images+=("$1"); shift ;;
  *) die "usage: $0 [--out DIR] [moorline] [moorline-operator] [orders]" ;;
  esac
done
[ ${#images[@]} -gt 0 ] || images=(moorline moorline-operator orders)
case "$profile" in release | image) ;; *) die "IMAGE_PROFILE is release or image" ;; esac
need buildah buildah
mkdir -p "$out"

# Named, or the flag below would be for build scripts and procedural macros too, which cannot be static.
target=$(rustc -vV | sed -n 's/^host: //p')
variable="CARGO_TARGET_$(tr 'a-z-' 'A-Z_' <<<"$target")_RUSTFLAGS"
export "$variable=-C target-feature=+crt-static"
declare -A package=([moorline]=moorline-sidecar [moorline-operator]=moorline-operator [orders]=orders)
flags=()
for image in "${images[@]}"; do flags+=(-p "${package[$image]}" --bin "$image"); done
say "images: building ${images[*]} (static, profile $profile)"
cargo build --locked --quiet --profile "$profile" --target "$target" "${flags[@]}"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/bin/out" "$work/empty"
store=(buildah --root "$work/store" --runroot "$work/run" --storage-driver vfs)
for image in "${images[@]}"; do
  name="$prefix/$image:$tag" archive="$out/$image.tar"
  binary="${CARGO_TARGET_DIR:-target}/$target/$profile/$image"
  key=$(cat "$binary" Dockerfile <(printf '%s %s' "$name" "$version") | sha256sum | cut -d' ' -f1)
  if [ ! -f "$archive" ] || [ "$(cat "$archive.key" 2>/dev/null)" != "$key" ]; then
    say "images: packing $name"
    rm -f "$work/bin/out/"* "$archive" "$archive.key"
    cp "$binary" "$work/bin/out/"
    # One time for all, so that the same binary makes the same image.
    "${store[@]}" build --quiet --isolation chroot --target "$image" --build-context "build=$work/bin" \
      --build-arg "VERSION=$version" --timestamp "${SOURCE_DATE_EPOCH:-0}" -t "$name" -f Dockerfile "$work/empty" >/dev/null
    "${store[@]}" push --quiet "$name" "docker-archive:$archive:$name"
    printf '%s' "$key" >"$archive.key"
  fi
  size=$(($(stat -c %s "$archive") / 1000))
  [ "$size" -lt 30000 ] || die "$archive has $size kB: an image stays below 30 MB"
  say "images: $name is $size kB"
  printf '%s\n' "$archive"
done
