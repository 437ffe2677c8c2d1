#!/usr/bin/env bash
# docs/tutorial.md, command by command as it stands there. The sweep goes to a Slurm on this host where one can be started, else
# it runs with --local.
tree=$(cd "$(dirname "$0")/../.." && pwd)
source "$tree/tests/system/lib.sh"
PATH=$bin:$PATH
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none

code=0
"$tree/slurm/cluster.sh" start "$scratch/cluster" >cluster.txt 2>&1 || code=$?
if ((code == 0)); then
  trap '"$tree/slurm/cluster.sh" stop "$scratch/cluster"; rm -rf "$scratch"' EXIT
  export SLURM_CONF=$scratch/cluster/slurm.conf
elif ((code != 77)); then
  fail "the cluster does not start: $(cat cluster.txt)"
fi

sed -n 's/^    //p' "$tree/docs/tutorial.md" >commands.sh
[[ $(grep -c shelfcast commands.sh) -ge 15 ]] || fail "the tutorial's blocks were not found"
if ((code == 77)); then
  echo "no Slurm here: the sweep runs with --local"
  sed -i 's/--submit$/--local/' commands.sh
else
  # Whoever reads waits; the queue is empty when all have come.
  sed -i '/--submit$/a end=$((SECONDS + 600)); while [[ -n $(squeue -h) ]]; do ((SECONDS < end)); sleep 0.3; done' commands.sh
fi
bash -euo pipefail commands.sh >said.txt 2>&1 || fail "$(tail -30 said.txt)"
[[ $(wc -l <orders.csv) == 25 ]] || fail "orders.csv has $(wc -l <orders.csv) lines"
grep -q "finished" runs/search/leaderboard.csv || fail "$(cat runs/search/leaderboard.csv)"
grep -q "^| 0002 | .* |" retrain/renew/history.md || fail "$(cat retrain/renew/history.md)"
[[ $(readlink retrain/renew/current) == bundles/0001-2023-10-01 ]] || fail "the rollback went to $(readlink retrain/renew/current)"
echo "the tutorial holds"
