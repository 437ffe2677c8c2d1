#!/usr/bin/env bash
# The demo's recipe on the demo's corpus: what the bundle says of demand summed over 1, 7 and 21 days against the truth.
source "$(dirname "$0")/lib.sh"
tests=${SHELFCAST_TESTS:?set to the folder of the test programs}

"$bin/shelfcast" synth --stores 20 --items 300 --days 900 --out demo/demo.corpus
ranks 2 "$bin/shelfcast" train "$recipes/demo.yaml"
"$bin/shelfcast" export runs/demo --out demo/bundle
"$tests/interval_coverage" demo/demo.corpus demo/bundle
