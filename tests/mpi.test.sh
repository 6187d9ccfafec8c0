#!/bin/bash
# One run on several ranks, in a build with MPI=1 (`make MPI=1 test`): the numbers are those of one
# rank to rounding whatever couples the samples, the bits do not depend on threads or interruptions.
. tests/common.sh
skip() { echo "skip - ranks: $1"; exit 0; }
"$twinseg" --version | grep -q 'with MPI' || skip "built without MPI (make MPI=1 test)"
command -v mpirun >/dev/null || skip "no mpirun here (tools/packages-mpi.txt)"

export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
"$twinseg" phantom "$work/data" --cases 5 --seed 3 --size 40,40,26 >"$work/log" 2>&1 ||
    { cat "$work/log"; echo "not ok - phantom cohort"; exit 1; }

# train RANKS RUN ARGUMENTS...: threads by default 1 a rank
train() {
    timeout 120 mpirun --oversubscribe -n "$1" "$twinseg" train "$work/data" --out "$work/$2" --preset tiny \
        spacing=6 patch=16 base=4 stages=3 steps=10 validate_steps=5 checkpoint_steps=3 \
        --student flair,t1ce --fold 0/2 --cache "$work/cache" threads=1 "${@:3}" >"$work/log" 2>&1
}
# the greatest relative difference of two runs' losses, in all steps, or of their gradients' norms in
# the first: later ones grow by rounding (as much between two kernels' targets on one rank)
difference() {
    paste -d, "$work/$1/metrics.csv" "$work/$2/metrics.csv" | awk -F, -v what="$3" 'NR > 1 {
        n = NF / 2
        for (i = 3; i <= 8; i++) {
            if ((i > 6) != (what == "norms") || i > 6 && NR > 2 || $i == "" && $(i + n) == "") continue
            d = $i - $(i + n); d = d < 0 ? -d : d
            d = $i > 0 ? d / $i : d
            if (d > most) most = d
        } rows++ } END { print rows == 0 ? 1 : most + 0 }'
}
near() {
    local losses norms
    losses=$(difference "$1" "$2" losses) norms=$(difference "$1" "$2" norms)
    echo "greatest relative difference: losses $losses, first norms $norms"
    awk -v l="$losses" -v n="$norms" 'BEGIN { exit !(l < 1e-3 && n < 1e-6) }'
}

train 1 plain1
train 2 plain2
expect "2 ranks with 1 patch are 1 rank with 2" near plain1 plain2
all="barlow_stage=bottleneck+encoder1+decoder0 barlow_projector=8 teacher_gradient=on soft_weight=1"
train 1 all1 $all && train 2 all2 $all
expect "... with a projector, a gradient into the teacher, softened labels" near all1 all2
train 1 any1 batch=4 --method any-subset loss=regions ema_decay=0.9
train 2 any2 batch=4 --method any-subset loss=regions ema_decay=0.9
expect "... over any subset with regions and a moving average, 2 patches a rank" near any1 any2
train 1 two1 batch=3 --method two-stage loss=ce
train 3 two3 batch=3 --method two-stage loss=ce
expect "... in two stages, on 3 ranks" near two1 two3
expect "the runs differ among themselves" test "$(difference plain1 all1 losses)" != 0

train 2 again threads=2
expect "any number of threads gives the same bits" cmp "$work/plain2/model.safetensors" "$work/again/model.safetensors"
train 2 parts --stop-after 4
train 2 parts --resume
expect "stopped and resumed: the same bits" cmp "$work/plain2/model.safetensors" "$work/parts/model.safetensors"
expect "one process writes the rows" test "$(wc -l <"$work/plain2/metrics.csv")" -eq 11
expect "log.txt says how many ranks" grep -q 'on 2 ranks' "$work/plain2/log.txt"

train 2 odd batch=3
status=$?
expect "a batch that ranks cannot share ends with a sentence" test $status -ne 0 -a $status -ne 124
expect "... that says so" grep -q '2 ranks cannot share a batch of 3' "$work/log"
train 2 plain2
status=$?
expect "what one rank refuses ends all" test $status -ne 0 -a $status -ne 124
expect "... with its sentence" grep -q 'add --resume' "$work/log"
# the first rank holds the run's lock for all of them
mkdir "$work/held"
(exec 9>"$work/held/lock" && flock 9 && exec sleep 300) & pid=$!
for i in $(seq 600); do flock -n "$work/held/lock" true || break; sleep 0.02; done
train 2 held
status=$?
expect "a run in other hands is refused on all ranks" test $status -ne 0 -a $status -ne 124
expect "... with its sentence" grep -q 'held. is being trained by another process' "$work/log"
kill $pid
wait $pid 2>/dev/null
expect "... and begun afterwards" train 2 held
finish
