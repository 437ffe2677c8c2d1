# Shared by the system tests: where the programs are, a scratch folder, and what a failure looks like.
set -euo pipefail
bin=${SHELFCAST_BIN:?set to the folder of the programs}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'echo "$(basename "$0"), line $LINENO: exit code $?" >&2' ERR
cd "$scratch"
export OMP_NUM_THREADS=1
export CUDA_VISIBLE_DEVICES=  # these tests are about the CPU, on any number of ranks

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

# ranks N COMMAND...: under mpirun, also as root and with more ranks than cores.
ranks() {
  local n=$1 options=(--oversubscribe --bind-to none)
  shift
  ((EUID == 0)) && options+=(--allow-run-as-root)
  mpirun "${options[@]}" -n "$n" "$@"
}

# newest RUN: the step of its newest checkpoint; nothing where there is none. A run at work removes folders while they are
# listed, which find calls an error.
newest() {
  { find "$1/checkpoints" -maxdepth 1 -regex '.*/[0-9]+' -printf '%f\n' 2>/dev/null || true; } | sort -n | tail -1
}

# refused 'PATTERN' ['PATTERN' ...] -- COMMAND...: the command fails with one clear message that holds every pattern.
refused() {
  local patterns=()
  while [[ $1 != -- ]]; do
    patterns+=("$1")
    shift
  done
  shift
  local code=0
  "$@" >"$scratch/refused.out" 2>&1 || code=$?
  ((code != 0)) || fail "exit code 0 from: $*"
  ((code < 128)) || fail "exit code $code (a crash) from: $*: $(cat "$scratch/refused.out")"
  for pattern in "${patterns[@]}"; do
    grep -q -- "$pattern" "$scratch/refused.out" || fail "no \"$pattern\" in the message of: $*: $(cat "$scratch/refused.out")"
  done
}
