#!/usr/bin/env bash
# Configures a preset unless it already is, with the same options: scripts/configure.sh PRESET [-DNAME=VALUE ...]
set -euo pipefail
cd "$(dirname "$0")/.."

preset=$1
shift
case $preset in
  release) folder=build ;;
  *) folder=build/$preset ;;
esac

# The toolchain goes in as an option, so that another one (GPU=1, a changed pin) configures anew.
toolchain=$(scripts/toolchain.sh)
wanted="$toolchain ${SHELFCAST_TORCH:-} ${CUDA_HOME:-} $*"
stamp=$folder/configured-for
if [[ -f $folder/build.ninja && $stamp -nt CMakePresets.json && $(<"$stamp") == "$wanted" ]]; then exit 0; fi

mkdir -p "$folder"
rm -f "$stamp"
if ! cmake --preset "$preset" -DSHELFCAST_TOOLCHAIN="$toolchain" "$@" >"$folder/configure.log" 2>&1; then
  cat "$folder/configure.log" >&2
  exit 1
fi
echo "$wanted" >"$stamp"
echo "configured $folder"
