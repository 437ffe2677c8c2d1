#!/usr/bin/env bash
# Six monthly retrains on 25 stores of Rossmann (bench/retrain_rehearsal.sh). Skips (77) where the data is not there.
tree=$(cd "$(dirname "$0")/../.." && pwd)
data=${SHELFCAST_SHARED:-$tree/../shared}/data/rossmann
[[ -d $data ]] || exit 77
source "$tree/tests/system/lib.sh"
SHELFCAST_BIN=$bin "$tree/bench/retrain_rehearsal.sh" "$(realpath "$data")" 25 45
