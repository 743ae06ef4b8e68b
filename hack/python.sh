#!/usr/bin/env bash
# Makes .tools/python, a virtual environment with what e2e/python/requirements.txt pins. Does nothing
# when the environment was already made from that very file.
set -euo pipefail
cd "$(dirname "$0")/.." && . hack/lib.sh

env="$(tools_dir)/python"
wanted=e2e/python/requirements.txt
cmp -s "$wanted" "$env/installed.txt" && exit 0

need python3 python3 python3-venv
say "python: installing $(grep -c '==' "$wanted") pinned packages into ${env#"$PWD"/}"
rm -rf "$env"
python3 -m venv "$env" || die "python3 -m venv failed (Debian: python3-venv)"
"$env/bin/pip" install --quiet --no-deps -r "$wanted"
cp "$wanted" "$env/installed.txt"
