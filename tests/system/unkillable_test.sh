#!/usr/bin/env bash
# kill -9 of a random rank at a random moment, many times over: every run resumes and ends in the weights of a run that was
# never killed. KILLS sets how many times (default 60), KILL_SEED the random numbers.
source "$(dirname "$0")/lib.sh"
kills=${KILLS:-60}
RANDOM=${KILL_SEED:-17}

"$bin/shelfcast" synth --stores 1 --items 8 --days 120 --out s.corpus >/dev/null
cat >r.yaml <<'Y'
run: {dir: runs/killed}
data: {corpus: s.corpus, context: 14, horizon: 7, chunk_series: 4, superblock: 2}
model: {tower: bolt-nano, patch: 7, scale_floor: 0.5, dropout: 0.1}
train: {steps: 1000000, batch: 4, micro_batch: 2, validate_every: 7, validate_windows: 8, checkpoint_every: 3, log_every: 5, early_stop: 0}
backtest: {origins: 2, stride: 7, horizon: 7, batch: 16}
Y

# Ranks and their mpirun; the ranks alone.
ranks_of() { pgrep -f -- "--resume auto --set run.dir=runs/killed$" || true; }
engines() {
  local pid
  for pid in $(ranks_of); do
    [[ $(cat "/proc/$pid/comm" 2>/dev/null) == shelfcast-engi* ]] && echo "$pid"
  done
  return 0
}

landed=0 while_saving=0 last=0
for ((kill_number = 0; kill_number < kills; ++kill_number)); do
  ranks 2 "$bin/shelfcast" train r.yaml --resume auto --set run.dir=runs/killed >out.txt 2>&1 &
  run=$!
  for ((i = 0; i < 200; ++i)); do [[ -n $(engines) ]] && break || sleep 0.01; done
  # Every fourth kill waits for a checkpoint in the making, another fourth for one that is done (so that slow machines get on, too); the
  # others come within 1.2 seconds, starting included.
  if ((kill_number % 4 == 0)); then
    for ((i = 0; i < 3000; ++i)); do
      compgen -G "runs/killed/checkpoints/*.partial" >/dev/null && break
      sleep 0.001
    done
    compgen -G "runs/killed/checkpoints/*.partial" >/dev/null && ((++while_saving))
  elif ((kill_number % 4 == 2)); then
    for ((i = 0; i < 2000; ++i)); do
      now=$(newest runs/killed)
      ((${now:-0} > last)) && break || sleep 0.01
    done
  else
    milliseconds=$((RANDOM % 1200))
    sleep "$((milliseconds / 1000)).$(printf '%03d' $((milliseconds % 1000)))"
  fi
  mapfile -t victims < <(engines)
  if ((${#victims[@]})); then
    kill -9 "${victims[RANDOM % ${#victims[@]}]}" 2>/dev/null && ((++landed))
    code=0
    wait "$run" || code=$?
    ((code != 0)) || fail "exit code 0 after losing a rank: $(cat out.txt)"
  else
    # Too early: the ranks are not there yet. All that is there ends.
    for pid in $(ranks_of); do kill -9 "$pid" 2>/dev/null || true; done
    wait "$run" 2>/dev/null || true
  fi
  for ((i = 0; i < 100; ++i)); do [[ -z $(ranks_of) ]] && break || sleep 0.05; done
  [[ -z $(ranks_of) ]] || fail "processes left behind after kill $kill_number: $(ps -o pid,stat,etime,args -p "$(ranks_of | paste -sd,)"); said: $(tail -c 2000 out.txt)"
  grep -q "is damaged" out.txt && fail "a kill left a damaged checkpoint under its final name: $(cat out.txt)"
  now=$(newest runs/killed)
  ((${now:-0} >= last)) || fail "the newest checkpoint went from $last back to $now"
  last=${now:-0}
done
((landed * 10 >= kills * 8)) || fail "only $landed of $kills kills hit a rank"
((while_saving > 0 || kills < 20)) || fail "no kill came while a checkpoint was written"
((last > 0)) || fail "the run never got anywhere"

# Both go on to the same step.
end=$((last + 20))
for run in killed whole; do
  ranks 2 "$bin/shelfcast" train r.yaml --resume auto --set "run.dir=runs/$run" --stop-after "$end" >"$run.txt" 2>&1 || fail "$(cat "$run.txt")"
done
grep -q "resuming runs/killed at step $last" killed.txt || fail "the last checkpoint, $last, was not gone on from: $(cat killed.txt)"
grep -q "is damaged" killed.txt && fail "a kill left a damaged checkpoint under its final name: $(cat killed.txt)"
for file in tower/model.safetensors fusion.safetensors optimizer-00001-of-00002.safetensors optimizer-00002-of-00002.safetensors; do
  cmp "runs/killed/checkpoints/$end/$file" "runs/whole/checkpoints/$end/$file" || fail "$file differs after $kills kills"
done
echo "$kills kills, $landed hit a rank, $while_saving of them while a checkpoint was written; the weights at step $end are the same"
