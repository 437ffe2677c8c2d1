#!/usr/bin/env bash
# Builds and runs tests under sanitizers: scripts/sanitize.sh address|thread
#
#   address   address and undefined-behaviour sanitizers over everything that runs on a CPU in one process
#   thread    thread sanitizer over what has threads of its own: communicator, heartbeats, loader, checkpoint writer, baselines; free
#             of LibTorch, which is not built for it
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
  address)
    preset=asan
    # The longest first.
    programs=(trainer_tests contract_tests eval_tests retrain_tests models_tests sweep_tests checkpoints_tests parallel_tests scorer_tests
      data_tests ingest_tests synth_tests text_models_tests text_tests base_tests parallel_host_tests orders_tests logs_tests)
    # Leaks: Open MPI, HDF5 and LibTorch keep memory until the process ends. Custom new/delete pairs of LibTorch's wheel
    # are not seen as pairs.
    export ASAN_OPTIONS=detect_leaks=0:alloc_dealloc_mismatch=0:detect_stack_use_after_return=0
    export UBSAN_OPTIONS=print_stacktrace=1
    # Sizes of programs and of their memory are the sanitizer's own.
    skipped='MpiRanks.*:Synth.memory_does_not_grow*:Program.links_none*'
    ;;
  thread)
    preset=tsan
    programs=(base_tests checkpoints_tests data_tests parallel_host_tests contract_tests heartbeat_tests eval_tests)
    export TSAN_OPTIONS=halt_on_error=0:exitcode=66
    # Open MPI is not built for the thread sanitizer and takes its own locks in both orders; nor are XGBoost and its OpenMP,
    # whose own ways of waiting it does not see.
    skipped='MpiRanks.*:HeartbeatProcesses.*:Trees.*:LearnedBacktest.*'
    ;;
  *)
    echo "usage: scripts/sanitize.sh address|thread" >&2
    exit 2
    ;;
esac

scripts/configure.sh "$preset"
ninja -C "build/$preset" "${programs[@]}" >"build/$preset/build.log" || {
  tail -n 40 "build/$preset/build.log"
  exit 1
}
export OMP_NUM_THREADS=1 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
# Each program on its own log, as many at a time as there are cores.
run_program() {
  local program=$1 began=$SECONDS log=build/$preset/$1.log
  if "build/$preset/tests/$program" --gtest_filter="-$skipped" --gtest_brief=1 >"$log" 2>&1; then
    echo "$preset: $program clean ($((SECONDS - began)) s)"
    return
  fi
  echo "$preset: $program found something ($((SECONDS - began)) s)"
  grep -nE -A 30 'ERROR: AddressSanitizer|WARNING: ThreadSanitizer|runtime error:|FAILED' "$log" | head -n 80
  return 1
}
export -f run_program
export preset skipped
printf '%s\n' "${programs[@]}" | xargs -P "$(nproc)" -I{} bash -c 'run_program {}'
