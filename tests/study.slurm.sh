#!/bin/bash
# tools/study.sbatch on a real Slurm: munged, slurmctld and slurmd of this machine, started here with
# folders and ports of their own and ended at the end. Needs root and the packages of
# tools/packages-slurm.txt; skips without. Not part of `make test`, for its time: `make test-slurm`.
. tests/common.sh
skip() { echo "skip - Slurm array: $1"; exit 0; }

for program in munged slurmctld slurmd sbatch; do
    command -v $program >/dev/null || skip "no $program here (tools/packages-slurm.txt)"
done
[ "$(id -u)" -eq 0 ] || skip "starting Slurm's daemons needs root"

pids=()
stop() {
    [ ${#pids[@]} -gt 0 ] && kill "${pids[@]}" 2>/dev/null
    wait 2>/dev/null
    rm -rf "$work"
}
trap stop EXIT

# ---- the daemons, all in the foreground so that their processes are ours to end ----
node=$(hostname -s)
mkdir "$work/state" "$work/spool" "$work/log"
head -c 128 /dev/urandom >"$work/munge.key"
chmod 0400 "$work/munge.key"
munged --foreground --force --key-file="$work/munge.key" --socket="$work/munge.socket" \
    --pid-file="$work/munge.pid" --seed-file="$work/munge.seed" --log-file="$work/log/munged" 2>/dev/null &
pids+=($!)
port=$((20000 + RANDOM % 20000))
cat >"$work/slurm.conf" <<END
ClusterName=twinseg
SlurmctldHost=$node
SlurmctldAddr=127.0.0.1
SlurmctldPort=$port
SlurmdPort=$((port + 1))
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$work/munge.socket
CredType=cred/munge
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1
ReturnToService=2
NodeName=$node NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=all Nodes=$node Default=YES MaxTime=INFINITE State=UP
END
export SLURM_CONF=$work/slurm.conf
wait_for() { local i; for i in $(seq "$1"); do "${@:2}" && return 0; sleep 0.2; done; return 1; }
wait_for 50 test -S "$work/munge.socket" || skip "munged does not start: $(tail -n 1 "$work/log/munged")"
slurmctld -D >"$work/log/slurmctld" 2>&1 & pids+=($!)
slurmd -D -N "$node" >"$work/log/slurmd" 2>&1 & pids+=($!)
node_is_idle() { sinfo -h -o %t 2>/dev/null | grep -q '^idle$'; }
wait_for 150 node_is_idle || skip "Slurm does not start: $(tail -n 1 "$work/log/slurmctld")"

# ---- a study of four cells ----
"$twinseg" phantom "$work/data" --cases 4 --seed 3 --size 40,40,26 >"$work/log/phantom" 2>&1
cat >"$work/grid.ini" <<END
methods = single-stage, student-only
subsets = flair+t1ce
seeds = 1
folds = 2
[settings]
preset = tiny
spacing = 6
patch = 16
base = 4
stages = 3
steps = 12
validate_steps = 0
END
submit() { # GRID RUNS CELLS: the job's number
    sbatch --parsable --array="$3" --cpus-per-task=1 --mem=0 --output="$work/log/task-%A-%a" \
        --export="ALL,TWINSEG=$twinseg" "$source/tools/study.sbatch" "$work/$1" "$work/data" "$work/$2"
}
job_is_over() { [ -z "$(squeue -h -j "$1" 2>/dev/null)" ]; }

job=$(submit grid.ini runs 1-4)
expect "the array ends" wait_for 300 job_is_over "$job"
expect "every cell is done" test \
    "$("$twinseg" study "$work/grid.ini" --out "$work/runs" --list | grep -c ' done ')" -eq 4
"$twinseg" study "$work/grid.ini" "$work/data" --out "$work/here" --threads 1 >"$work/log/here" 2>&1
same=0
for file in "$work"/here/scores/*-f?.json; do
    cmp <(sed 's/"seconds": [0-9.]*//' "$file") \
        <(sed 's/"seconds": [0-9.]*//' "$work/runs/scores/$(basename "$file")") && same=$((same + 1))
done
expect "with the scores of a run without Slurm" test $same -eq 4

# ---- the signal before the time limit, and the line again ----
sed 's/steps = 12/steps = 1000/' "$work/grid.ini" >"$work/long.ini"
job=$(submit long.ini long 1-1)
rows() { [ "$(cat "$work"/long/cells/*/metrics.csv 2>/dev/null | wc -l)" -gt 5 ]; }
wait_for 150 rows
scancel --batch --signal=TERM "$job"
expect "the signal ends the task" wait_for 100 job_is_over "$job"
expect "... with a checkpoint" grep -q 'stopped after step' "$work"/long/cells/*/log.txt
job=$(submit long.ini long 1-1)
expect "the line again ends the array" wait_for 600 job_is_over "$job"
expect "... and the cell is done" grep -q 'resumed from step' "$work"/long/cells/*/log.txt
expect "... with its scores" test -s "$work/long/scores/single-stage-flair+t1ce-s1-f0.json"
[ $failures -eq 0 ] || tail -n 5 "$work"/log/*
finish
