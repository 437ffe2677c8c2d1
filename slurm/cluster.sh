#!/usr/bin/env bash
# A real Slurm on this one machine, for tests and for trying things: slurmctld, munged and one slurmd a node.
#
#   slurm/cluster.sh start FOLDER [NODES]   starts NODES (default 2) nodes n1, n2, ... of the machine's cores each; FOLDER
#                                           holds everything and must be new. Then: export SLURM_CONF=FOLDER/slurm.conf
#   slurm/cluster.sh kill FOLDER NODE       kills a node without a word, as a power cut would: its slurmd and all its jobs
#   slurm/cluster.sh revive FOLDER NODE     starts it again
#   slurm/cluster.sh stop FOLDER            ends all of it
#
# Needs root (daemons that start jobs) and the Debian packages slurmctld, slurmd, slurm-client and munge. Exit code 77: it
# cannot run here, and why.
set -euo pipefail

cannot() { echo "cluster: no Slurm here: $*" >&2; exit 77; }

action=${1:-} folder=${2:-}
[[ -n $action && -n $folder ]] || { sed -n '2,12s/^# \{0,1\}//p' "$0" >&2; exit 2; }
PATH=$PATH:/usr/sbin:/sbin
host=$(hostname -s)

free_port() {
  local port
  for ((port = 20000 + $$ % 20000; ; ++port)); do
    (echo >"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { ((port > ${1:-0})) && { echo "$port"; return; }; }
  done
}

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for() {
  local until=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < until)) || return 1
    sleep 0.2
  done
}

start_node() { slurmd -f "$folder/slurm.conf" -N "$1"; }
node_is_up() { [[ $(sinfo -h -n "$1" -o %t) == @(idle|mix|alloc) ]]; }

start() {
  [[ $(id -u) == 0 ]] || cannot "starting it needs root"
  local program nodes=${1:-2} first last controller cores port i
  for program in slurmctld slurmd munged sbatch; do
    command -v $program >/dev/null || cannot "$program is missing - apt-get install slurmctld slurmd slurm-client munge"
  done
  [[ ! -e $folder ]] || { echo "cluster: $folder exists" >&2; exit 2; }
  mkdir -p "$folder"/{state,log}
  folder=$(realpath "$folder")
  chmod 755 "$folder"
  cores=$(nproc --all)  # plain nproc listens to OMP_NUM_THREADS
  ((cores > 1)) || cores=2
  (umask 077 && head -c 128 /dev/urandom >"$folder/munge.key")
  munged --force --key-file "$folder/munge.key" --socket "$folder/munge.socket" --pid-file "$folder/munged.pid" \
    --log-file "$folder/log/munged.log" --seed-file "$folder/munge.seed" || cannot "munged does not start"
  controller=$(free_port)
  {
    cat <<CONF
ClusterName=onehost
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$controller
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$folder/munge.socket,cred_expire=2
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool-%n
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd-%n.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdLogFile=$folder/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_min_interval=100000,sched_interval=1,bf_interval=1
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SlurmdParameters=config_overrides
ReturnToService=2
# A silent node is given up after ten seconds; what a cluster waits minutes for, seconds here.
SlurmdTimeout=10
KillWait=5
MessageTimeout=10
OverTimeLimit=0
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
    port=$controller
    for ((i = 1; i <= nodes; ++i)); do
      port=$(free_port "$port")
      echo "NodeName=n$i NodeHostname=$host NodeAddr=127.0.0.1 Port=$port CPUs=$cores State=UNKNOWN"
    done
  } >"$folder/slurm.conf"
  export SLURM_CONF=$folder/slurm.conf
  slurmctld -f "$folder/slurm.conf"
  for ((i = 1; i <= nodes; ++i)); do start_node "n$i"; done
  for ((i = 1; i <= nodes; ++i)); do
    wait_for 20 node_is_up "n$i" || { tail -n 5 "$folder"/log/*.log >&2; "$0" stop "$folder"; cannot "node n$i does not come up"; }
  done
}

# A process and all below it.
tree() {
  local child
  echo "$1"
  for child in $(pgrep -P "$1"); do tree "$child"; done
}

# The slurmstepd processes of a job: they hang below no slurmd.
steps_of() { pgrep -f "^slurmstepd: \\[$1\\." || true; }

kill_node() {
  local job step victims=()
  mapfile -t victims < <(
    cat "$folder/slurmd-$1.pid"
    for job in $(squeue -h -w "$1" -t running,completing -o %A); do
      for step in $(steps_of "$job"); do tree "$step"; done
    done
  )
  kill -9 "${victims[@]}" 2>/dev/null || true
  rm -f "$folder/slurmd-$1.pid"
}

stop() {
  local file job step pids=() i
  [[ -d $folder ]] || exit 0
  for job in $(timeout 5 squeue -h -t running,completing -o %A 2>/dev/null); do
    for step in $(steps_of "$job"); do mapfile -t -O "${#pids[@]}" pids < <(tree "$step"); done
  done
  for file in "$folder"/slurmctld.pid "$folder"/slurmd-*.pid "$folder"/munged.pid; do
    [[ -r $file ]] && pids+=("$(cat "$file")")
  done
  ((${#pids[@]} == 0)) || kill "${pids[@]}" 2>/dev/null || true
  for ((i = 0; i < 50; ++i)); do
    kill -0 "${pids[@]}" 2>/dev/null || break
    sleep 0.1
  done
  ((${#pids[@]} == 0)) || kill -9 "${pids[@]}" 2>/dev/null || true
  rm -rf "$folder"
}

[[ $action == start ]] || { folder=$(realpath -m "$folder"); export SLURM_CONF=$folder/slurm.conf; }
case $action in
  start) start "${3:-2}" ;;
  kill) kill_node "${3:?which node?}" ;;
  revive) start_node "${3:?which node?}"; wait_for 60 node_is_up "$3" ;;
  stop) stop ;;
  *) echo "cluster: unknown action '$action'" >&2; exit 2 ;;
esac
