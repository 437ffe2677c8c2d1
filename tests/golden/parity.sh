#!/usr/bin/env bash
# Ours beside the reference packages on checkpoints and inputs never seen before: tests/golden/parity.sh SEED
#
# Draws them by the seed, lets the packages and our tests compute the same things, prints the worst error of each quantity
# beside what is allowed, and gives what we save back to the packages. Exits 1 when anything is beyond its bound.
set -euo pipefail
cd "$(dirname "$0")/../.."
seed=${1:?usage: tests/golden/parity.sh SEED}
python=$(scripts/reference.sh)
out=build/parity/$seed
mkdir -p "$out/saved"
for model in bolt chronos2 bert lora; do
  # -O: Chronos-2's package asserts a REG token, without which it works as well.
  "$python" -O -W ignore tests/golden/make_$model.py "$out/$model" "$seed" 2>"$out/$model.log" || { cat "$out/$model.log"; exit 1; }
done

failed=0
run() {  # run PROGRAM FILTER: prints the summary, or everything where something failed
  local log=$out/$1.log
  if SHELFCAST_GOLDEN=$PWD/$out SHELFCAST_SAVED=$PWD/$out/saved OMP_NUM_THREADS=1 \
    build/tests/"$1" --gtest_filter="$2" --gtest_brief=1 >"$log" 2>&1; then
    grep -E 'worst error|PASSED' "$log"
  else
    failed=1
    cat "$log"
  fi
}
run models_tests '*Golden*'
run text_models_tests '*Golden*'
run text_tests '*Golden*'
run trainer_tests '*Golden*'
for model in bolt chronos2 bert; do
  for folder in "$out/saved/$model"_*; do
    "$python" -O -W ignore tests/golden/make_$model.py --check "$folder" 2>"$out/check.log" || { cat "$out/check.log"; failed=1; }
  done
done
for folder in "$out"/saved/lora_*; do
  base=$(sed -n 's/.*"base_model_name_or_path": "\(.*\)".*/\1/p' "$out/lora/${folder##*/lora_}/adapter_config.json")
  "$python" -O -W ignore tests/golden/make_lora.py --check "$folder" "$out/$base" 2>"$out/check.log" || { cat "$out/check.log"; failed=1; }
done
exit $failed
