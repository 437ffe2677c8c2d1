#!/usr/bin/env bash
# Ranks that are killed, stopped, out of memory or started unlike the others, file systems that stall, signals: everybody stops in
# time with a message that says who, where and in what, nobody is left behind; who is only slow is warned about.
source "$(dirname "$0")/lib.sh"

"$bin/shelfcast" synth --stores 1 --items 8 --days 120 --out s.corpus >/dev/null
cat >r.yaml <<'Y'
data: {corpus: s.corpus, context: 14, horizon: 7, chunk_series: 4, superblock: 2}
model: {tower: bolt-nano, patch: 7, scale_floor: 0.5, dropout: 0.1}
train: {steps: 1000000, batch: 4, micro_batch: 2, validate_every: 50, validate_windows: 8, checkpoint_every: 50, log_every: 5, early_stop: 0}
parallel: {start_deadline: 30s, step_deadline: 3s, file_deadline: 3s, heartbeat: 200ms, warn_after: 1s}
backtest: {origins: 2, stride: 7, horizon: 7, batch: 16}
Y
run_options=(--oversubscribe --bind-to none)
((EUID == 0)) && run_options+=(--allow-run-as-root)

# Ranks of the run NAME.
engines() {
  local pid
  for pid in $(pgrep -f -- "run.dir=runs/$1\$"); do
    [[ $(cat "/proc/$pid/comm" 2>/dev/null) == shelfcast-engi* ]] && echo "$pid"
  done
  return 0
}
rank_of() { tr '\0' '\n' <"/proc/$1/environ" | sed -n 's/^OMPI_COMM_WORLD_RANK=//p'; }
engine_of_rank() {
  local pid
  for pid in $(engines "$1"); do [[ $(rank_of "$pid") == "$2" ]] && echo "$pid"; done
  return 0
}
# start NAME [OPTIONS...]: three ranks in the background; returns when they train.
start() {
  name=$1
  shift
  mpirun "${run_options[@]}" -n 3 "$bin/shelfcast" train r.yaml "$@" --set "run.dir=runs/$name" >"$name.txt" 2>&1 &
  job=$!
  began=$SECONDS
  for ((i = 0; i < 300; ++i)); do [[ -s runs/$name/metrics.jsonl ]] && break || sleep 0.1; done
  sleep 0.6  # a few heartbeats
  [[ -s runs/$name/metrics.jsonl ]] && return
  fail "$name did not begin to train: $(cat "$name.txt")"
}
# ends CODE_PATTERN SECONDS 'PATTERN'...: the job ends in time with such an exit code, its output holds the patterns, nobody stays.
ends() {
  local codes=$1 limit=$2 code=0
  shift 2
  local since=$SECONDS
  for ((i = 0; i < limit * 20; ++i)); do kill -0 "$job" 2>/dev/null && sleep 0.05 || break; done
  kill -0 "$job" 2>/dev/null && fail "$name still runs after $((SECONDS - since)) s: $(cat "$name.txt")"
  wait "$job" || code=$?
  [[ $code =~ ^($codes)$ ]] || fail "$name: exit code $code: $(cat "$name.txt")"
  for pattern in "$@"; do grep -qE -- "$pattern" "$name.txt" || fail "$name: no \"$pattern\" in: $(cat "$name.txt")"; done
  for ((i = 0; i < 40; ++i)); do [[ -z $(engines "$name") ]] && break || sleep 0.05; done
  [[ -z $(engines "$name") ]] || fail "$name left processes behind"
  echo "ok: $name ($((SECONDS - since)) s)"
}
host=$(hostname)
place="phase (train|validate|save), step [0-9]+"
not_zero='[1-9][0-9]*'

for rank in 0 2; do
  start "killed-$rank"
  kill -9 "$(engine_of_rank "$name" $rank)"
  ends "$not_zero" 5 "rank $rank on $host" "ended without a goodbye|is gone" "$place"
done

start stopped
kill -STOP "$(engine_of_rank stopped 1)"
ends "$not_zero" 12 "did not end within" "rank 1 on $host" "no heartbeat for" "$place" "\"[a-z][a-z0-9 ]*\""

# Three seconds without a beat are late, not lost, when the rank comes back.
start slow --set parallel.step_deadline=30s
late=$(engine_of_rank slow 1)
kill -STOP "$late"
sleep 3
kill -CONT "$late"
sleep 0.5
"$bin/shelfcast" stop runs/slow --wait
ends 0 10 "warning.*rank 1 on $host" "saved"

# A rank without memory for its model: its own words, and the others'. What MPI needs to start is left to it.
for ((limit = 700000; limit < 4000000; limit += 150000)); do (ulimit -v $limit; "$bin/shelfcast" train r.yaml --print-recipe >/dev/null 2>&1) && break; done
((limit += 300000))
memory=(train r.yaml --set model.tower=bolt-small --set run.dir=runs/memory)
mpirun "${run_options[@]}" -n 2 "$bin/shelfcast" "${memory[@]}" : \
  -n 1 bash -c "ulimit -v $limit; exec '$bin/shelfcast' ${memory[*]}" >memory.txt 2>&1 &
name=memory job=$!
ends "$not_zero" 20 "rank 2 on $host"

# Other recipes, other builds.
mpirun "${run_options[@]}" -n 2 "$bin/shelfcast" train r.yaml --set run.dir=runs/recipe : \
  -n 1 "$bin/shelfcast" train r.yaml --set train.optimizer.lr=0.5 --set run.dir=runs/recipe >recipe.txt 2>&1 &
name=recipe job=$!
ends "$not_zero" 20 "rank 2 on $host has another recipe" "lr: 0.001 on rank 0, lr: 0.5 on rank 2"
[[ ! -e runs/recipe ]] || fail "ranks that disagree left a run folder"
mkdir -p other/bin other/libexec
cp "$bin/shelfcast" other/bin/
# The same program but for the first letters of its version.
version=$("$bin/shelfcast" --version | grep -oE '[0-9]+\.[0-9]+\.[0-9]+-')
sed "s|${version//./\\.}|$(tr '0-9' '1-90' <<<"$version")|g" "$bin/../libexec/shelfcast-engine" >other/libexec/shelfcast-engine
chmod +x other/libexec/shelfcast-engine
mpirun "${run_options[@]}" -n 2 "$bin/shelfcast" train r.yaml --set run.dir=runs/build : \
  -n 1 other/bin/shelfcast train r.yaml --set run.dir=runs/build >build.txt 2>&1 &
name=build job=$!
ends "$not_zero" 20 "rank 2 on $host has another build"

# A file system that stalls: a FIFO answers nobody.
cp -r s.corpus stalled.corpus
rm stalled.corpus/manifest.json
mkfifo stalled.corpus/manifest.json
mpirun "${run_options[@]}" -n 2 "$bin/shelfcast" train r.yaml --set data.corpus=stalled.corpus --set run.dir=runs/stalled >stalled.txt 2>&1 &
name=stalled job=$!
ends "$not_zero" 15 "warning.*file system.*stalled.corpus/manifest.json" "error.*manifest.json" "the file system does not answer"
"$bin/shelfcast" train r.yaml --stop-after 3 --set run.dir=runs/alone
rm runs/alone/metrics.jsonl
mkfifo runs/alone/metrics.jsonl
"$bin/shelfcast" train r.yaml --resume --set run.dir=runs/alone >alone.txt 2>&1 &
name=alone job=$!
ends "$not_zero" 15 "file system.*metrics.jsonl" "step|start"

# Signals: saved, and the run goes on where it was.
resumes() {
  local at
  at=$(newest "runs/$name")
  ranks 3 "$bin/shelfcast" train "runs/$name/recipe.yaml" --resume --stop-after $((at + 1)) >again.txt 2>&1 || fail "$(cat again.txt)"
  grep -q "resuming runs/$name at step $at" again.txt || fail "$name does not resume at $at: $(cat again.txt)"
}
start usr1
kill -USR1 "$job"  # mpirun passes it on
ends 0 5 "stopped by a signal, saved"
resumes
start term
kill -TERM $(engines term)
ends 0 5 "stopped by a signal, saved"
resumes
start one-rank-term
kill -TERM "$(engine_of_rank one-rank-term 2)"
ends 0 5 "stopped by a signal, saved"
resumes
start asked
"$bin/shelfcast" stop runs/asked --wait
ends 0 5 "stopped by a signal, saved"
resumes
refused "nobody trains" -- "$bin/shelfcast" stop runs/asked
start interrupted --set train.checkpoint_every=5
kill -INT "$job"
ends '0|'"$not_zero" 5
resumes
# In the middle of validations and of savings, of which these runs are full.
start validating --set train.validate_every=1 --set train.validate_windows=400 --set backtest.batch=4
kill -USR1 "$job"
ends 0 5 "stopped by a signal, saved"
resumes
start saving --set train.checkpoint_every=1
kill -USR1 "$job"
ends 0 5 "stopped by a signal, saved"
resumes
start elsewhere
refused "is being trained by another process" -- "$bin/shelfcast" train r.yaml --resume --set run.dir=runs/elsewhere
"$bin/shelfcast" stop runs/elsewhere
ends 0 8 "saved"
echo "nobody was stuck"
