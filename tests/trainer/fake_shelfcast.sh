#!/bin/bash
# Stands for `shelfcast` in the tests of retrain: what it leaves behind is real enough for whoever looks. Errors of run NNNN are
# `quality-NNNN` (default 1) times those in the templates; a file `break-COMMAND` makes a command fail, `slow-COMMAND` makes it wait
# for SIGUSR1. Every call is a line of `calls`.
cd "$(dirname "$0")" || exit 1
echo "$1 $2" >>calls
if [[ -e break-$1 ]]; then
  printf 'working\nerror: %s is broken\n' "$1"
  exit 1
fi
if [[ -e slow-$1 ]]; then
  trap 'echo saved; exit 0' USR1
  touch waiting
  while :; do sleep 0.02; done
fi
out=
for ((i = 1; i < $#; ++i)); do [[ ${!i} != --out ]] || out=${*:i+1:1}; done
case $1 in
  ingest)
    [[ ! -e next ]] || { ln -sfn "$(readlink next)" swap && mv -T swap c.corpus; }
    ;;
  train)
    run=$(awk '/^  dir:/ { print $2; exit }' "$2")
    mkdir -p "$run/checkpoints" "$run.new/90"
    cp "$2" "$run/recipe.yaml"
    cp state.json manifest.json "$run.new/90/"
    rm -rf "$run/checkpoints/90"
    mv -T "$run.new/90" "$run/checkpoints/90"
    rm -rf "$run.new"
    ;;
  backtest)
    [[ -e $2/recipe.yaml ]] || { echo "error: $2 is not a run folder"; exit 1; }
    number=$(basename "$2") quality=1
    [[ ! -e quality-$number ]] || quality=$(<"quality-$number")
    mkdir -p "$out/backtest"
    awk -F, -v q="$quality" -v m="$number" 'NR == 1 { print; next }
      { print m "," $2 "," $3 "," $4 "," $5 * q "," $6 * q * q "," $7 }' series.csv >"$out/backtest/series.csv"
    sed "s/MODEL/$number/; s/QUALITY/$quality/g" result.json >"$out/backtest/result.json"
    ;;
  export)
    rm -rf "$out.partial"
    mkdir -p "$out.partial"
    cp "$2/recipe.yaml" "$out.partial/of"
    mv -T "$out.partial" "$out"
    ;;
esac
