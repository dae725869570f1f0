#!/usr/bin/env bash
# A real Slurm on this one machine: munge, slurmctld and slurmd, with their own ports and all their state in one folder.
# Nothing of the system is touched (no /etc/slurm, no /etc/munge, no service), so it runs beside a Slurm that is already
# there, in a container, and without root (jobs then run as the user who brought it up).
set -euo pipefail

usage() {
  cat <<END
usage: single-node.sh up|down|status [--dir DIR] [--gpus N]

  up       start what is not running yet; prints 'export SLURM_CONF=...' (use: eval "\$(single-node.sh up)")
  down     cancel the jobs, stop the daemons by their pid files, remove the folder
  status   what runs; exit status 0 when the node takes jobs, 3 when it does not

  --dir DIR   folder of the cluster (default: \$DAISY_SLURM_DIR, or daisy-slurm-USER in the folder of temporary files)
  --gpus N    declare N GPUs (default 0): /dev/nvidia* where they exist, else stand-ins that Slurm hands out like GPUs
END
}

say() { echo "single-node.sh: $*" >&2; }
fail() { say "$*"; exit 1; }

DIR=${DAISY_SLURM_DIR:-${TMPDIR:-/tmp}/daisy-slurm-$(id -un)}
GPUS=
MARK="# written by Daisy Suite's deploy/slurm/single-node.sh"
COMMAND=${1:-}
case $COMMAND in
  up | down | status) shift ;;
  -h | --help) usage; exit 0 ;;
  *) usage >&2; exit 2 ;;
esac
while (($#)); do
  case $1 in
    --dir) DIR=${2:?--dir needs a folder}; shift 2 ;;
    --gpus) GPUS=${2:?--gpus needs a number}; shift 2 ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
done
[[ $GPUS =~ ^[0-9]*$ ]] || fail "--gpus needs a number; got '$GPUS'"
PATH=$PATH:/usr/sbin:/sbin
DIR=$(realpath -m -- "$DIR")
unset "${!SLURM_@}" 2>/dev/null || true # inside a job of another cluster these would speak of that one
export SLURM_CONF=$DIR/slurm.conf

need_packages() {
  local missing=()
  for program in munged slurmctld slurmd sinfo; do
    command -v "$program" >/dev/null || missing+=("$program")
  done
  ((${#missing[@]} == 0)) || fail "not installed: ${missing[*]}; as root: apt-get install -y slurm-wlm munge"
}

# The process of a pid file, if it is alive and still the daemon that wrote it (pids are used again).
pid_of() {
  local pid
  pid=$(cat "$DIR/$1.pid" 2>/dev/null) || return 1
  [[ $pid =~ ^[0-9]+$ && $(cat "/proc/$pid/comm" 2>/dev/null) == "$1" ]] || return 1
  { tr '\0' '\n' <"/proc/$pid/environ" | grep -qxF "SLURM_CONF=$SLURM_CONF"; } 2>/dev/null || return 1
  echo "$pid"
}

wait_until() { # seconds, command...
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < end)) || return 1
    sleep 0.1
  done
}

free_port() { # the first port from $1 on that nobody listens on; below the range that the kernel hands out itself
  local port=$1
  while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
  echo "$port"
}

write_conf() {
  local node hardware cpus memory ctld_port slurmd_port gres=""
  node=$(uname -n)
  node=${node%%.*}
  hardware=$(slurmd -C)
  cpus=$(sed -n 's/.* CPUs=\([0-9]*\).*/\1/p' <<<"$hardware")
  memory=$(sed -n 's/.* RealMemory=\([0-9]*\).*/\1/p' <<<"$hardware")
  ctld_port=$(free_port $((20000 + RANDOM % 10000)))
  slurmd_port=$(free_port $((ctld_port + 1)))
  mkdir -p "$DIR/state" "$DIR/spool"
  head -c 1024 /dev/urandom >"$DIR/munge.key"
  chmod 600 "$DIR/munge.key"
  if ((GPUS > 0)); then
    gres="Gres=gpu:$GPUS"
    write_gres "$node"
  fi
  # A slurmd that knows the switch must not look for control groups, which containers do not have.
  if printf '23.11\n%s\n' "$(slurmd -V | grep -o '[0-9.]*$')" | sort -VC; then
    echo "CgroupPlugin=disabled" >"$DIR/cgroup.conf"
  fi
  # FORCE:4: up to four jobs share a CPU, so that several pilots fit on a laptop. GPUs are never shared.
  cat >"$SLURM_CONF.new" <<END
$MARK
ClusterName=daisy
SlurmctldHost=$node(127.0.0.1)
SlurmctldPort=$ctld_port
SlurmdPort=$slurmd_port
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/munge
AuthInfo=socket=$DIR/munge.socket
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation=$DIR/state
SlurmdSpoolDir=$DIR/spool
SlurmctldPidFile=$DIR/slurmctld.pid
SlurmdPidFile=$DIR/slurmd.pid
SlurmctldLogFile=$DIR/slurmctld.log
SlurmdLogFile=$DIR/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
MailProg=$(command -v true)
ReturnToService=2
KillWait=3
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
${gres:+GresTypes=gpu}
NodeName=$node NodeAddr=127.0.0.1 CPUs=$cpus RealMemory=$memory $gres State=UNKNOWN
PartitionName=daisy Nodes=$node Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:4
END
  mv "$SLURM_CONF.new" "$SLURM_CONF"
}

# Slurm hands out device files without opening them: any character device does, reached by as many links as there are GPUs.
write_gres() {
  local index files="$DIR/gpu[0-$((GPUS - 1))]"
  ((GPUS > 1)) || files=$DIR/gpu0
  for ((index = 0; index < GPUS; index++)); do
    local device=/dev/nvidia$index
    [[ -c $device ]] || device=/dev/null
    ln -sfn "$device" "$DIR/gpu$index"
  done
  printf 'AutoDetect=off\nNodeName=%s Name=gpu Flags=nvidia_gpu_env File=%s\n' "$1" "$files" >"$DIR/gres.conf"
}

start() { # daemon, command...
  local daemon=$1
  shift
  pid_of "$daemon" >/dev/null && return
  rm -f "$DIR/$daemon.pid"
  "$@" 9>&- >"$DIR/$daemon.out" 2>&1 </dev/null || { show_log "$daemon"; fail "$daemon did not start"; }
  wait_until 10 pid_of "$daemon" >/dev/null || { show_log "$daemon"; fail "$daemon ended at once"; }
}

show_log() { tail -n 8 "$DIR/$1.out" "$DIR/$1.log" >&2 2>/dev/null || true; }

node_ready() { [[ $(timeout 5 sinfo -h -o %t 2>/dev/null) =~ ^(idle|mix|alloc)$ ]]; }

make_folder() {
  ((${#DIR} <= 90)) || fail "the name of the folder is too long for the sockets inside; choose a shorter one: --dir"
  [[ $DIR != *[[:space:]#,=\[\]]* ]] || fail "slurm.conf cannot hold the folder name '$DIR'; choose one without spaces and '#'"
  mkdir -p "$DIR" 2>/dev/null || fail "cannot make the folder $DIR; choose another: --dir"
  [[ -O $DIR && -w $DIR ]] || fail "$DIR is not yours; choose another folder: --dir"
  [[ -f $SLURM_CONF || -z $(ls -A "$DIR") ]] || fail "$DIR has other files; choose another folder: --dir"
}

up() {
  need_packages
  make_folder
  exec 9<"$DIR"
  flock 9
  chmod 755 "$DIR"
  [[ -f $SLURM_CONF ]] || write_conf
  is_ours
  [[ -z $GPUS || $GPUS == "$(declared_gpus)" ]] || fail "the cluster in $DIR has $(declared_gpus) GPUs, not $GPUS; take it down first"
  # --force: warns instead of refusing where a folder above is closed to others, who have no business here anyway.
  start munged munged --force --socket="$DIR/munge.socket" --key-file="$DIR/munge.key" --pid-file="$DIR/munged.pid" \
    --log-file="$DIR/munged.log" --seed-file="$DIR/munge.seed"
  start slurmctld slurmctld
  start slurmd slurmd
  wait_until 30 node_ready || { show_log slurmctld; show_log slurmd; fail "the node does not get ready (logs in $DIR)"; }
  say "up: $(sinfo -h -o '%n, %c CPUs, %m MB'), $(declared_gpus) GPUs, folder $DIR"
  echo "export SLURM_CONF=$SLURM_CONF"
}

declared_gpus() {
  local found
  found=$(sed -n 's/^NodeName=.* Gres=gpu:\([0-9]*\).*/\1/p' "$SLURM_CONF")
  echo "${found:-0}"
}

is_ours() {
  [[ $(head -n 1 "$SLURM_CONF" 2>/dev/null) == "$MARK" ]] || fail "$DIR was not made by this script; choose another folder: --dir"
}

no_jobs() { [[ -z $(timeout 5 squeue -h -o %i 2>/dev/null) && -z $(task_pids) ]]; }

task_pids() { timeout 5 scontrol listpids 2>/dev/null | awk '$1 ~ /^[0-9]+$/ {print $1}'; }

stop() { # daemon
  local pid
  pid=$(pid_of "$1") || return 0
  kill "$pid" 2>/dev/null || true
  wait_until 10 gone "$pid" || { say "$1 does not listen; killing it"; kill -9 "$pid" 2>/dev/null || true; wait_until 5 gone "$pid"; }
}

gone() { ! readlink "/proc/$1/exe" >/dev/null; } # a dead process that nobody has waited for is gone as well

down() {
  [[ -d $DIR ]] || { say "nothing to take down: there is no folder $DIR"; return; }
  [[ -O $DIR ]] || fail "$DIR is not yours"
  exec 9<"$DIR"
  flock 9
  is_ours
  # Tasks outlive slurmd, so they end first.
  if pid_of slurmctld >/dev/null && pid_of slurmd >/dev/null; then
    timeout 5 squeue -h -o %A 2>/dev/null | sort -u | xargs -r timeout 5 scancel 2>/dev/null || true
    wait_until 15 no_jobs || true
  fi
  task_pids | xargs -r kill -9 2>/dev/null || true
  stop slurmctld
  stop slurmd
  stop munged
  rm -rf -- "$DIR"
  say "down: nothing is left of $DIR"
}

status() {
  [[ -f $SLURM_CONF ]] || { echo "down: there is no cluster in $DIR"; return 3; }
  for daemon in munged slurmctld slurmd; do
    echo "$daemon: $(pid_of "$daemon" || echo "not running")"
  done
  node_ready || { echo "the node takes no jobs; start it: single-node.sh up --dir $DIR"; return 3; }
  sinfo
  squeue
  echo "SLURM_CONF=$SLURM_CONF"
}

"$COMMAND"
