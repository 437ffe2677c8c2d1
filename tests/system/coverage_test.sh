#!/usr/bin/env bash
# Intervals of summed demand hold what they promise: the demo's recipe on a synthetic market, judged by its uncensored truth.
source "$(dirname "$0")/lib.sh"
recipe=$(cd "$(dirname "$0")/../.." && pwd)/recipes/demo.yaml

"$bin/shelfcast" synth --stores 20 --items 300 --days 900 --out c.corpus
ranks 2 "$bin/shelfcast" train "$recipe" --set data.corpus=c.corpus --set run.dir=run
"$bin/shelfcast" export run --out bundle
"$bin/../tests/interval_coverage" c.corpus bundle || fail "an interval covers more than five points too few or too many"
