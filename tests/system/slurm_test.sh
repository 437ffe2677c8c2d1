#!/usr/bin/env bash
# A real Slurm, two nodes on this host: sweeps that lose jobs and nodes end like undisturbed ones, a time limit and a scancel
# leave runs that go on exactly. Skips (77) where Slurm cannot be started.
tree=$(cd "$(dirname "$0")/../.." && pwd)
source "$tree/tests/system/lib.sh"
cluster() { "$tree/slurm/cluster.sh" "$@"; }
code=0
cluster start "$scratch/cluster" || code=$?
((code != 77)) || exit 77
((code == 0)) || fail "the cluster does not start"
trap 'cluster stop "$scratch/cluster"; rm -rf "$scratch"' EXIT
export SLURM_CONF=$scratch/cluster/slurm.conf SHELFCAST=$bin/shelfcast
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
shelfcast=$bin/shelfcast

# until_true COMMAND...: waits for it to succeed, up to $patience seconds (a loaded machine is slow). Slurm holds requeued jobs
# back for two minutes; they are called up here after five seconds, when every daemon has forgotten their first start
# (cred_expire in slurm/cluster.sh).
declare -A held_since
patience=300
until_true() {
  local end=$((SECONDS + patience)) job
  until "$@"; do
    ((SECONDS < end)) || return 1
    for job in $(squeue -h -r -t pending -o '%i %r' | awk '$2 == "BeginTime" { print $1 }'); do
      held_since[$job]=${held_since[$job]:-$SECONDS}
      ((SECONDS - held_since[$job] < 5)) && continue
      scontrol update "JobId=$job" StartTime=now 2>/dev/null || true
      unset "held_since[$job]"
    done
    sleep 0.3
  done
}
queue_is_empty() { [[ -z $(squeue -h) ]]; }

"$shelfcast" synth --stores 1 --items 12 --days 160 --out s.corpus >/dev/null
cat >r.yaml <<'Y'
data: {corpus: s.corpus, context: 14, horizon: 7, chunk_series: 4, superblock: 2}
model: {tower: bolt-nano, patch: 7, scale_floor: 0.5, dropout: 0.1}
train: {steps: 180, batch: 32, micro_batch: 32, validate_every: 20, validate_windows: 16, checkpoint_every: 10, log_every: 5, early_stop: 0}
backtest: {origins: 2, stride: 7, horizon: 7, batch: 16}
Y
sweep() {
  cat <<Y
recipe: r.yaml
dir: runs/$1
method: sobol
runs: 12
keys:
  train.optimizer.lr: {log: [1.0e-4, 1.0e-2]}
  model.dropout: {range: [0.0, 0.3]}
halving: {kind: $2, first: 20, keep: 3}
local: {at_once: 2}
${3:-}
Y
}

# --- what an undisturbed sweep comes to, without Slurm
sweep undisturbed sync >undisturbed.yaml
PATH=/nowhere "$shelfcast" sweep undisturbed.yaml --local >undisturbed.txt 2>&1 || fail "$(cat undisturbed.txt)"
"$shelfcast" sweep undisturbed.yaml --collect >/dev/null
[[ $(awk -F, '$3 == "finished"' runs/undisturbed/leaderboard.csv | wc -l) == 1 ]] || fail "$(cat runs/undisturbed/leaderboard.csv)"

# --- the same with a run that fails once, a node that is lost, a job that is scancelled, and a submitter in a hurry
cat >launcher.sh <<'L'
#!/bin/bash
# The third start of all breaks.
mkdir "start.$(ls -d start.* 2>/dev/null | wc -l)" 2>/dev/null
if [[ -d start.2 ]] && mkdir broke 2>/dev/null; then
  echo "error: this node has had it"
  exit 1
fi
# The first training on n2 stands still at its checkpoint of step 10, to be lost with its node.
if [[ $SLURMD_NODENAME == n2 ]] && mkdir caught 2>/dev/null; then
  "$@" &
  run=$(grep -o "run.dir='[^']*'" <<<"$*" | cut -d"'" -f2)
  until [[ -d $run/checkpoints/10 ]]; do sleep 0.01; done
  kill -STOP $!
  echo "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID" >caught/task
  wait
fi
exec "$@"
L
chmod +x launcher.sh
sweep disturbed sync "slurm: {launcher: $scratch/launcher.sh, warn_seconds: 30}" >disturbed.yaml
"$shelfcast" sweep disturbed.yaml --submit >submit.txt || fail "$(cat submit.txt)"
"$shelfcast" sweep disturbed.yaml --submit | grep -q "nothing to submit" || fail "a second --submit submitted again"
[[ $(squeue -h -r | wc -l) -le 12 ]] || fail "more than twelve tasks"
until_true test -s caught/task || fail "nothing trains on n2"
lost=$(cat caught/task)
cluster kill "$scratch/cluster" n2
echo "n2 was lost with $lost on it"
victim=$(squeue -h -r -t pending -o '%F_%K %r' | awk '$2 != "BeginTime" { print $1 }' | tail -1)
[[ -z $victim ]] || scancel "$victim"
node_is_given_up() { [[ -z $(squeue -h -w n2 -t running,completing) && $(sinfo -h -n n2 -o %t) == down* ]]; }
# When Slurm takes long to notice, its operator says so, as on a real cluster.
patience=60 until_true node_is_given_up || {
  echo "Slurm has not given up n2 after 60 s ($(sinfo -h -n n2 -o %t)); its last words: $(tail -n 20 "$scratch/cluster/log/slurmctld.log")"
  scontrol update NodeName=n2 State=DOWN Reason="power cut"
}
cluster revive "$scratch/cluster" n2
until_true queue_is_empty || fail "the sweep does not end: $(squeue; "$shelfcast" sweep disturbed.yaml --status)"
# The job that was scancelled before it ran is missing, and nobody else will bring it.
for ((i = 0; i < 4; ++i)); do
  "$shelfcast" sweep disturbed.yaml --submit >submit.txt || fail "$(cat submit.txt)"
  until_true queue_is_empty || fail "the sweep does not end: $(squeue)"
done
grep -q "nothing to submit" submit.txt || fail "$(cat submit.txt; "$shelfcast" sweep disturbed.yaml --status)"
"$shelfcast" sweep disturbed.yaml --collect >/dev/null
cmp runs/undisturbed/leaderboard.csv runs/disturbed/leaderboard.csv ||
  fail "$(diff runs/undisturbed/leaderboard.csv runs/disturbed/leaderboard.csv; cat runs/disturbed/ledger.jsonl)"
grep -q '"error":"exit code 1: error: this node has had it"' runs/disturbed/ledger.jsonl || fail "no run failed on the way"
(($(grep -c "^task" "runs/disturbed/logs/slurm-$lost.out") >= 2)) || fail "Slurm did not bring back $lost: $(cat "runs/disturbed/logs/slurm-$lost.out" runs/disturbed/ledger.jsonl)"
echo "sync: the leaderboard of the disturbed sweep is that of the undisturbed one"

# --- asynchronous halving: one job array, every decision noted
sweep async async "slurm: {stage: $scratch/local}" >async.yaml
"$shelfcast" sweep async.yaml --submit >/dev/null
until_true queue_is_empty || fail "the asynchronous sweep does not end: $(squeue)"
"$shelfcast" sweep async.yaml --collect >async.txt
grep -q "not finished" async.txt && fail "$("$shelfcast" sweep async.yaml --status)"
[[ $(grep -c '"event":"submitted"' runs/async/ledger.jsonl) == 1 ]] || fail "more than one job array"
[[ $(grep -c '"event":"decided"' runs/async/ledger.jsonl) -ge 12 ]] || fail "decisions are missing"
grep -q "^stage: .*s.corpus" runs/async/logs/slurm-*_0.out || fail "the corpus was not copied to the node: $(cat runs/async/logs/slurm-*_0.out)"
compgen -G "local/*" >/dev/null && fail "copies of the corpus are left behind: $(ls local)"
echo "async: done with one job array, from copies of the corpus"

# --- Slurm says no
sweep refused sync "slurm: {partition: gpux}" >refused.yaml
refused "Slurm rejected the sweep" "invalid partition" -- "$shelfcast" sweep refused.yaml --submit

# --- a time limit, then scancel, on two ranks under srun --mpi=pmix; after both the weights of an undisturbed run
cat >c.yaml <<'Y'
data: {corpus: s.corpus, context: 14, horizon: 7, chunk_series: 4, superblock: 2}
model: {tower: bolt-nano, patch: 7, scale_floor: 0.5, dropout: 0.1}
train: {steps: 1000000, batch: 8, micro_batch: 4, validate_every: 100, validate_windows: 16, checkpoint_every: 50, log_every: 50, early_stop: 0}
backtest: {origins: 2, stride: 7, horizon: 7, batch: 16}
Y
job=$(STAGE=$scratch/local sbatch --parsable --nodes=1 --ntasks=2 --time=2 --signal=B:USR1@100 --output=train.txt "$tree/slurm/train.sbatch" c.yaml)
came_back() { grep -q "start 2," train.txt 2>/dev/null && (($(grep -c '^train: ' train.txt) > 0)) && (($(newest runs/c) > left)); }
left_for_its_limit() { grep -q "saved at step" train.txt 2>/dev/null; }
until_true left_for_its_limit || fail "no signal before the time limit: $(cat train.txt)"
left=$(grep -o "saved at step [0-9]*" train.txt | grep -o "[0-9]*")
back_in_the_queue() { [[ $(squeue -h -n shelfcast -o %T) == PENDING ]]; }
until_true back_in_the_queue || fail "the job is not queued again: $(cat train.txt)"
compgen -G "local/*" >/dev/null && fail "a copy of the corpus is left behind: $(ls local)"
until_true came_back || fail "the job did not come back: $(cat train.txt; squeue)"
grep -q "resuming .*runs/c at step $left" train.txt || fail "it did not go on at step $left: $(cat train.txt)"
scancel "$job"
until_true queue_is_empty || fail "$(squeue)"
cancelled=$(newest runs/c)
grep -Eq "^ *1  $(hostname) +1 +CPU" train.txt || fail "no table of ranks: $(cat train.txt)"
end=$((cancelled + 30))
for run in c whole; do
  ranks 2 "$shelfcast" train c.yaml --resume auto --set "run.dir=runs/$run" --stop-after "$end" >"$run.txt" 2>&1 || fail "$(cat "$run.txt")"
done
grep -q "resuming runs/c at step $cancelled" c.txt || fail "$(cat c.txt)"
for file in tower/model.safetensors fusion.safetensors optimizer-00001-of-00002.safetensors optimizer-00002-of-00002.safetensors; do
  cmp "runs/c/checkpoints/$end/$file" "runs/whole/checkpoints/$end/$file" || fail "$file differs"
done
echo "train.sbatch: left at step $left for its time limit, came back, was cancelled at step $cancelled; the weights at step $end are those of an undisturbed run"

# --- a signal before the training begins costs no job, and mpirun brings up ranks on both nodes
job=$(sbatch --parsable --nodes=1 --ntasks=2 --time=5 --output=early.txt "$tree/slurm/train.sbatch" c.yaml --set run.dir=runs/early)
until_true grep -qs "^== job" early.txt || fail "it does not start: $(squeue)"
scancel --batch --signal=USR1 "$job"
until_true grep -qs "queued again" early.txt || fail "the job is gone: $(cat early.txt)"
scancel "$job"
until_true queue_is_empty || fail "$(squeue)"
LAUNCHER="mpirun --oversubscribe --bind-to none" sbatch --parsable --nodes=2 --ntasks-per-node=1 --output=both.txt \
  "$tree/slurm/train.sbatch" c.yaml --set run.dir=runs/both --set train.steps=20 >both.job
until_true grep -qs "trained at step 20 of 20" both.txt || fail "$(cat both.txt)"
grep -q "2 ranks on 2 nodes" both.txt || fail "$(cat both.txt)"
echo "train.sbatch: queued again by an early signal; mpirun trained on both nodes"
