#!/usr/bin/env bash
# Retrains with the real programs: new days, kills in every long step, a challenger made worse, rollback, SIGTERM. What was
# killed on the way ends with the decisions and the weights of what was not.
source "$(dirname "$0")/lib.sh"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
shelfcast=$bin/shelfcast

# Twelve series with a weekly pattern and a promotion; a store comes in on day 200.
awk 'BEGIN {
  srand(5); print "date,store,item,units,promo"
  for (day = 0; day < 300; ++day) {
    date = strftime("%Y-%m-%d", (19358 + day) * 86400, 1)
    for (store = 0; store < 3; ++store) for (item = 0; item < 4; ++item) {
      promo = rand() < 0.1
      if (store == 2 && day < 200) continue
      printf "%s,S%d,I%d,%d,%d\n", date, store, item, (4 + item + 3 * (day % 7 > 4)) * (1 + promo) + int(3 * rand()), promo
    }
  }
}' >all.csv
cat >map.yaml <<'Y'
series: [store, item]
date: date
target: units
covariates: {promo: promo}
static: {store: store, item: item}
levels: {store: store, category: item}
Y
cat >r.yaml <<'Y'
data: {corpus: s.corpus, context: 28, horizon: 14, known: [promo], calendar: [weekday], static: [store], chunk_series: 4, superblock: 2}
model: {tower: bolt-nano, patch: 7, scale_floor: 0.5, dropout: 0.1}
train: {steps: 60, batch: 32, micro_batch: 16, validate_every: 20, checkpoint_every: 10, log_every: 10, optimizer: {lr: 3.0e-3}, schedule: {warmup: 5}}
backtest: {origins: 2, stride: 14, horizon: 14, batch: 32, bootstrap: 200}
Y
retrain_file() { # NAME LAUNCHER
  cat <<Y
recipe: r.yaml
dir: $1
new: {from: all.csv, format: long, map: map.yaml}
promote: {significance: not_worse, min_gain: -0.1, most_loss: 0.5}
keep: 3
launcher: "$2"
Y
}
# Kills the retrain that starts it once what it started has come so far: KILL is a file that appears then.
cat >killer.sh <<'L'
#!/bin/bash
if [[ -e kill-at ]]; then
  at=$(<kill-at)
  rm kill-at
  retrain=$PPID own=$$
  (
    until [[ -e $at ]]; do sleep 0.01; done
    kill -9 "$retrain"
    [[ ! -e kill-both ]] || kill -9 "$own"
  ) &
fi
exec "$@"
L
chmod +x killer.sh
days=(2023-07-10 2023-08-07 2023-09-04 2023-10-02)

fresh_corpus() {
  rm -rf s.corpus
  "$shelfcast" ingest --format long --map map.yaml --from all.csv --until "${days[0]}" --out s.corpus >/dev/null
}
# The decisions without days and times, and the digests of what is in service.
outcome() {
  sed -E 's/\| [0-9]{4}-[0-9]{2}-[0-9]{2} \| ([0-9]{4}-[0-9]{2}-[0-9]{2}) \|/| \1 |/' "$1/history.md"
  readlink "$1/current"
  (cd "$1" && find runs bundles -name '*.safetensors' ! -name 'optimizer*' -exec sha256sum {} + | sort -k 2)
}

# --- four in a row, undisturbed; the third is made worse on purpose
run_all() { # NAME COMMAND...
  local name=$1 day
  shift
  for day in "${days[@]}"; do
    if [[ $day == "${days[2]}" ]]; then
      sed 's/^launcher/set: {train.optimizer.lr: 0.5, train.clip: 0, run.seed: 3, model.dropout: 0.5}\nstart: scratch\nlauncher/' "$name.yaml" >"$name-worse.yaml"
      "$@" "$name-worse.yaml" "$day"
    else
      "$@" "$name.yaml" "$day"
    fi
  done
}
undisturbed() { "$shelfcast" retrain "$1" --until "$2" >"u-$2.txt" 2>&1 || fail "$(cat "u-$2.txt")"; }
retrain_file u "" >u.yaml
fresh_corpus
run_all u undisturbed
grep -q "| rejected |" u/history.md || fail "the worse challenger was not rejected: $(cat u/history.md)"
[[ $(grep -c "| promoted |" u/history.md) -ge 2 ]] || fail "nobody was promoted: $(cat u/history.md)"
grep -q "it is the first" u/history.md || fail "$(cat u/history.md)"
readlink u/current | grep -q "bundles/0004-${days[3]}" || fail "current is $(readlink u/current)"
grep -q "new steps beside" u/retrains/0002/report.md || fail "no drift: $(cat u/retrains/0002/report.md)"
grep -q "when it was promoted" u/retrains/0002/report.md || fail "no drift of the error: $(cat u/retrains/0002/report.md)"
"$shelfcast" retrain u.yaml --until "${days[3]}" | grep -q "nothing to do" || fail "a retrain without new days"
"$bin/shelfcast-score" u/current --template stock.csv
"$bin/shelfcast-score" u/current --stock stock.csv --out orders.csv
[[ $(wc -l <orders.csv) == 13 ]] || fail "orders.csv has $(wc -l <orders.csv) lines"
echo "undisturbed: $(cat u/history.md)"

# --- the same, killed in training (softly and hard), in both backtests, after the export
killed() {
  local at
  number=$((number + 1))
  run=d/runs/000$number retrain=d/retrains/000$number
  for at in "$run/checkpoints/20" "$run/checkpoints/40" "$retrain/champion/backtest/result.json" "$retrain/challenger/backtest/result.json"; do
    [[ $number == 1 && $at == */champion/* ]] && continue
    echo "$at" >kill-at
    rm -f kill-both
    [[ $at != */40 ]] || touch kill-both
    code=0
    "$shelfcast" retrain "$1" --until "$2" >"d-$2.txt" 2>&1 || code=$?
    ((code == 137)) || fail "not killed at $at: exit code $code, $(cat "d-$2.txt")"
    rm -f kill-at
    sleep 0.5  # what it had started leaves
  done
  "$shelfcast" retrain "$1" --until "$2" >"d-$2.txt" 2>&1 || fail "$(cat "d-$2.txt")"
}
retrain_file d "$scratch/killer.sh" >d.yaml
fresh_corpus
number=0
run_all d killed
diff <(outcome u) <(outcome d) || fail "the killed retrains end otherwise"
echo "killed 15 times: the decisions, weights and bundles of the undisturbed ones"

# --- rollback, and from there
"$shelfcast" retrain u.yaml --rollback
readlink u/current | grep -q "bundles/0003-${days[2]}" || fail "current is $(readlink u/current)"
"$shelfcast" retrain u.yaml --status | grep -q "Rolled back from version 0004 to 0003" || fail "$("$shelfcast" retrain u.yaml --status)"

# --- SIGTERM and two ranks: it saves, leaves with 3, and goes on
retrain_file m "mpirun --oversubscribe --bind-to none -n 2" >m.yaml
sed -i 's/^launcher/set: {train.steps: 2000, train.early_stop: 0}\nlauncher/' m.yaml
"$shelfcast" retrain m.yaml --until "${days[3]}" >m.txt 2>&1 &
m=$!
until [[ -d m/runs/0001/checkpoints/20 ]]; do
  kill -0 $m 2>/dev/null || fail "$(cat m.txt)"
  sleep 0.05
done
kill -TERM $m
code=0
wait $m || code=$?
((code == 3)) || fail "exit code $code after SIGTERM: $(cat m.txt)"
grep -q "asked to leave while training" <("$shelfcast" retrain m.yaml --status) || fail "$("$shelfcast" retrain m.yaml --status)"
left=$(newest m/runs/0001)
"$shelfcast" stop m/runs/0001 2>/dev/null && fail "a training was left behind"
"$shelfcast" retrain m.yaml --abandon
echo "SIGTERM: saved at step $left and left"

# --- bad input
retrain_file b "" | sed 's/^keep/kep/' >bad.yaml
refused 'unknown key "kep"' 'did you mean "keep"' "bad.yaml:5" -- "$shelfcast" retrain bad.yaml
refused "is not a date" -- "$shelfcast" retrain u.yaml --until tomorrow
refused "could not be appended" "no such file\|cannot read\|does not exist" -- bash -c "sed 's/all.csv/gone.csv/; s/^dir: u/dir: g/' u.yaml >g.yaml; '$shelfcast' retrain g.yaml"
echo "retrains hold"
