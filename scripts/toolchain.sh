#!/usr/bin/env bash
# Installs the pinned C++ libraries that Debian does not carry (LibTorch, Arrow, the CUDA runtime) into a cache
# outside the build tree, once for all clones, and prints the folder.
#
#   scripts/toolchain.sh           install if missing, print the folder (progress goes to standard error)
#   scripts/toolchain.sh --path    only print where it is or would be
#
# Environment:
#   SHELFCAST_CACHE   where toolchains are kept          (default ~/.cache/shelfcast)
#   GPU=1 | GPU=0     the GPU set (LibTorch with CUDA libraries, NCCL, nvcc) or the small CPU one
#                     (default: the GPU set when this machine has a GPU)
#   SHELFCAST_TORCH   an existing LibTorch (the folder holding include/ and lib/) to use instead of the pinned one
#   CUDA_HOME         an existing CUDA toolkit to use instead of the pinned runtime
#   SHELFCAST_WHEELS  a folder of wheels fetched beforehand, for machines that reach no package index
set -euo pipefail

torch=torch==2.11.0
arrow=pyarrow==26.0.1
cuda_runtime=(nvidia-cuda-cupti==13.0.85 nvidia-cuda-runtime==13.0.96)
# cuda-toolkit alone would take newer nvvm and crt than its ptxas accepts.
cuda_compiler=("cuda-toolkit[nvcc,cccl]==13.0.2" nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88)
# NCCL's header and library, headers that the runtime's include, and what compiles kernels, to build the GPU module with where
# LibTorch's own packages do not bring them.
module=(nvidia-nccl-cu13==2.28.9 nvidia-cuda-crt==13.0.88 nvidia-cuda-cccl==13.0.85 nvidia-cuda-nvrtc==13.0.88)
layout=2  # raise when this script arranges the folder differently

has_gpu() { [[ -e /dev/nvidiactl ]] || [[ -d /proc/driver/nvidia/gpus ]]; }

gpu=${GPU:-}
if [[ -z $gpu ]]; then gpu=0; if has_gpu; then gpu=1; fi; fi

# Two lists, because the CPU set needs only part of what its packages name.
exact=("$arrow")
resolved=()
if [[ -z ${SHELFCAST_TORCH:-} ]]; then
  if [[ $gpu == 1 ]]; then resolved+=("$torch"); else exact+=("$torch" "${cuda_runtime[@]}"); fi
elif [[ -z ${CUDA_HOME:-} ]]; then
  # All packages that share the nvidia/ folder go into one pip call: a second one would replace the folder.
  if [[ $gpu == 1 ]]; then resolved+=("${cuda_runtime[@]}"); else exact+=("${cuda_runtime[@]}"); fi
fi
if [[ $gpu == 1 && -z ${CUDA_HOME:-} ]]; then resolved+=("${cuda_compiler[@]}"); fi

digest=$(printf '%s\n' "layout $layout" "exact" "${exact[@]}" "resolved" ${resolved[@]+"${resolved[@]}"} |
  sha256sum | cut -c1-12)
cache=${SHELFCAST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/shelfcast}
target=$cache/toolchain-$digest

# Whether there is nothing left to install.
complete() {
  local header
  for header in nccl/include/nccl.h cu13/include/crt/host_defines.h cu13/include/nv/target cu13/include/nvrtc.h; do
    [[ -e $target/nvidia/$header ]] || return 1
  done
  [[ -f $target/complete ]]
}

if [[ ${1:-} == --path ]] || complete; then
  echo "$target"
  exit 0
fi

say() { echo "toolchain: $*" >&2; }
mkdir -p "$cache"
# Several clones may start at once: the first one installs, the others wait and find it done.
exec 9>"$cache/.toolchain-lock"
if ! flock -n 9; then
  say "another installation is under way, waiting for it"
  flock 9
fi
if complete; then
  echo "$target"
  exit 0
fi

work=$(mktemp -d "$cache/.toolchain-new.XXXXXX")
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/pip" >&2 || {
  say "python3 cannot make a virtual environment - install python3-venv (scripts/packages.sh does)"
  exit 1
}
# TMPDIR beside the target, so that packages are moved into place and not copied from another file system.
mkdir "$work/tmp"
install() {
  TMPDIR=$work/tmp "$work/pip/bin/python" -m pip --quiet --disable-pip-version-check install \
    ${SHELFCAST_WHEELS:+--no-index --find-links "$SHELFCAST_WHEELS"} \
    --no-cache-dir --no-compile --target "$work/$1" "${@:2}" >&2 || {
    say "the packages could not be fetched - check the package index pip is configured for, or point" \
      "SHELFCAST_TORCH (and CUDA_HOME) to an existing installation"
    exit 1
  }
}
# Wheels carry libarrow.so.2600 and the like; linkers look for libarrow.so.
unversioned_links() {
  local library name
  for library in "$1"/lib*.so.*; do
    [[ -e $library ]] || continue
    name=${library%%.so.*}.so
    [[ -e $name ]] || ln -s "$(basename "$library")" "$name"
  done
}
if [[ ! -f $target/complete ]]; then
  say "installing ${exact[*]} ${resolved[*]-} into $target"
  install set --no-deps "${exact[@]}"
  if ((${#resolved[@]})); then install set --upgrade "${resolved[@]}"; fi
  unversioned_links "$work/set/pyarrow"
  for folder in "$work"/set/nvidia/*/lib; do
    [[ -d $folder ]] || continue
    unversioned_links "$folder"
    [[ -e ${folder}64 ]] || ln -s lib "${folder}64"
  done
  for required in pyarrow/libarrow.so pyarrow/libparquet.so; do
    [[ -e $work/set/$required ]] || { say "the installed packages lack $required"; exit 1; }
  done
  printf '%s\n' "${exact[@]}" ${resolved[@]+"${resolved[@]}"} >"$work/set/complete"
  rm -rf "$target"
  mv "$work/set" "$target"
fi
# Into sets that exist as well: a new folder would have everything compiled anew.
if ! complete; then
  say "installing ${module[*]} into $target"
  install module --no-deps "${module[@]}"
  for folder in nccl cu13; do unversioned_links "$work/module/nvidia/$folder/lib"; done
  mkdir -p "$target/nvidia"
  cp -rn "$work/module/nvidia/." "$target/nvidia/"
fi
say "done"
echo "$target"
