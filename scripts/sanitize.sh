#!/usr/bin/env bash
# Builds and runs tests under sanitizers: scripts/sanitize.sh address|thread
#
#   address   address and undefined-behaviour sanitizers over everything that runs on a CPU in one process
#   thread    thread sanitizer over what has threads of its own: communicator, heartbeats, loader, checkpoint writer, baselines; free
#             of LibTorch, which is not built for it
#
# SANITIZE_SECONDS caps the time: programs that it left no time for are named, and do not count as wrong.
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
  address)
    preset=asan
    # Those that handle the most foreign bytes and raw memory first; the longest last.
    programs=(base_tests data_tests text_tests ingest_tests scorer_tests orders_tests synth_tests parallel_host_tests contract_tests
      eval_tests checkpoints_tests parallel_tests models_tests text_models_tests logs_tests sweep_tests retrain_tests trainer_tests)
    # Leaks: Open MPI, HDF5 and LibTorch keep memory until the process ends. Custom new/delete pairs of LibTorch's wheel
    # are not seen as pairs. A size that cannot be had is an error that the code under test has to handle.
    export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1:alloc_dealloc_mismatch=0:detect_stack_use_after_return=0
    export UBSAN_OPTIONS=print_stacktrace=1
    # Sizes of programs and of their memory are the sanitizer's own.
    skipped='MpiRanks.*:Synth.memory_does_not_grow*:Program.links_none*:SharedMemory.of_others*'
    ;;
  thread)
    preset=tsan
    programs=(eval_tests contract_tests base_tests checkpoints_tests data_tests parallel_host_tests heartbeat_tests)
    export TSAN_OPTIONS=halt_on_error=0:exitcode=66
    # Open MPI is not built for the thread sanitizer and takes its own locks in both orders; nor are XGBoost and its OpenMP,
    # whose own ways of waiting it does not see. Sizes of memory are the sanitizer's own.
    skipped='MpiRanks.*:HeartbeatProcesses.*:Trees.*:LearnedBacktest.*:SharedMemory.of_others*'
    ;;
  *)
    echo "usage: scripts/sanitize.sh address|thread" >&2
    exit 2
    ;;
esac

scripts/configure.sh "$preset"
parts=$(nproc)  # before the next line, which it heeds
export OMP_NUM_THREADS=1 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
left() { echo $((${SANITIZE_SECONDS:-86400} - SECONDS)); }

# run_part PROGRAM PART PARTS: those tests of a program that are this part's, on a log of their own.
run_part() {
  local program=$1 part=$2 began=$SECONDS log=build/$preset/$1.$2.log status=124 time
  time=$(left)
  if ((time > 0)); then
    status=0
    # A training catches SIGTERM, to stop at a checkpoint; a test of trainings then goes on with its next.
    GTEST_TOTAL_SHARDS=$3 GTEST_SHARD_INDEX=$part timeout --kill-after=5 "$time" "build/$preset/tests/$program" \
      --gtest_filter="-$skipped" --gtest_brief=1 >"$log" 2>&1 || status=$?
    ((status != 137 || $(left) > 0)) || status=124  # killed at the end of the time, and not for its memory
  fi
  if ((status == 0)); then
    echo "$preset: $program, part $((part + 1)) of $3, clean ($((SECONDS - began)) s)"
  elif ((status == 124)); then
    echo "$preset: $program, part $((part + 1)) of $3, needs more time"
  else
    echo "$preset: $program found something ($((SECONDS - began)) s)"
    grep -nE -A 30 'ERROR: AddressSanitizer|WARNING: ThreadSanitizer|runtime error:|FAILED' "$log" | head -n 80
    return 1
  fi
}

# What is built runs beside the build of the next, as many parts at a time as there are cores.
failed=0 running=0
for program in "${programs[@]}"; do
  status=0
  (($(left) > 0)) && timeout "$(left)" ninja -C "build/$preset" "$program" >"build/$preset/build.log" || status=$?
  if ((status == 124 || $(left) <= 0)); then
    echo "$preset: $program needs more time"
    continue
  elif ((status)); then
    tail -n 40 "build/$preset/build.log"
    failed=1
    continue
  fi
  for ((part = 0; part < parts; ++part)); do
    if ((running == parts)); then
      wait -n || failed=1
      running=$((running - 1))
    fi
    run_part "$program" $part "$parts" &
    running=$((running + 1))
  done
done
while ((running--)); do wait -n || failed=1; done
exit $failed
