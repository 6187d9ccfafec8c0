#!/bin/bash
# twinseg train and plan at the command line, on a phantom of a few coarse cases: resuming after
# --stop-after, SIGTERM and kill -9 gives the bits of the uninterrupted run, on any number of threads;
# bad requests get a sentence and leave nothing behind.
. tests/common.sh

"$twinseg" phantom "$work/data" --cases 5 --seed 3 --size 40,40,26 >"$work/log" 2>&1 ||
    { cat "$work/log"; echo "not ok - phantom cohort"; exit 1; }

tiny="--preset tiny spacing=6 patch=16 base=4 stages=3 steps=24 checkpoint_steps=5"
tiny="$tiny validate_steps=8 --student flair,t1ce"
train() { "$twinseg" train "$work/data" $tiny --cache "$work/cache" "$@" >"$work/log" 2>&1; }

train_out() { "$twinseg" train "$work/data" $tiny --cache "$work/cache" --out "$@"; }

# metrics.csv without the two columns of time
untimed() { cut -d, -f1-8,11- "$1/metrics.csv"; }
same_runs() {
    cmp "$1/model.safetensors" "$2/model.safetensors" &&
        cmp "$1/teacher.safetensors" "$2/teacher.safetensors" &&
        cmp "$1/checkpoint.safetensors" "$2/checkpoint.safetensors" &&
        cmp <(untimed "$1") <(untimed "$2")
}

expect "train a fold to its end" train --out "$work/whole" --fold 1/5 --threads 2
for file in config.ini split.json provenance.json metrics.csv log.txt checkpoint.safetensors model.safetensors \
    teacher.safetensors model-best.safetensors teacher-best.safetensors; do
    expect "the run folder holds $file" test -s "$work/whole/$file"
done
expect "metrics.csv has a row a step" test "$(wc -l <"$work/whole/metrics.csv")" -eq 25
expect "validation stands where it is due" test \
    "$(awk -F, 'NR > 1 && $11 != "" { printf "%s ", $1 }' "$work/whole/metrics.csv")" = "8 16 24 "

# At this rate a few steps help and more do harm.
train --out "$work/best" --fold 1/5 --method student-only steps=12 validate_steps=2 learning_rate=0.1
best=$(awk -F, 'NR > 1 && $11 != "" && $11 + $12 + $13 > most { most = $11 + $12 + $13; at = $1 }
    END { print at }' "$work/best/metrics.csv")
expect "the best step is neither the first nor the last" test "$best" -gt 2 -a "$best" -lt 12
expect "model-best is the model of that step" grep -q "\"steps\": $best," \
    <("$twinseg" info --json "$work/best/model-best.safetensors")

train --out "$work/one" --fold 1/5 --threads 1
expect "one thread gives the same bits" same_runs "$work/whole" "$work/one"

# --json: begin, a step a line, end; keys and figures are those of metrics.csv.
events_agree() {
    [ "$(sed -n 1p "$work/events" | grep -c '"event":"begin".*"train":4,"held_out":1')" = 1 ] &&
        [ "$(grep -c '"event":"step"' "$work/events")" = 10 ] &&
        [ "$(tail -n 1 "$work/events")" = '{"event":"end","status":"stopped","step":10}' ] &&
        for column in lr loss_student loss_barlow dice_teacher_et; do
            diff <(sed -n "/\"step\":8,/s/.*\"$column\":\([^,}]*\).*/\1/p" "$work/events" |
                xargs printf '%.5g\n') \
                <(awk -F, -v c=$column 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == c) at = i }
                    $1 == 8 { print $at }' "$work/events-run/metrics.csv" | xargs printf '%.5g\n') ||
                return 1
        done
}
"$twinseg" train "$work/data" $tiny --cache "$work/cache" --out "$work/events-run" --fold 1/5 \
    --stop-after 10 --json >"$work/events" 2>"$work/log"
expect "--json tells what metrics.csv tells" events_agree
expect "the progress line names the validation" grep -q 'Dice 0\.' "$work/log"

train --out "$work/parts" --fold 1/5 --stop-after 7
expect "a stopped run has no model yet" test ! -e "$work/parts/model.safetensors"
"$twinseg" train "$work/data" --out "$work/parts" --cache "$work/cache" --resume --stop-after 6 >"$work/log" 2>&1
"$twinseg" train "$work/data" --out "$work/parts" --cache "$work/cache" --resume >"$work/log" 2>&1
expect "stopped twice and resumed: the same bits" same_runs "$work/whole" "$work/parts"
expect "provenance.json has a session each" test "$(grep -o '"from_step": [0-9]*' \
    "$work/parts/provenance.json" | tr -dc '0-9\n' | tr '\n' ' ')" = "0 7 13 "
sed 's/"\([0-9a-f]\{8\}\)"/"xxxxxxxx"/' "$work/parts/provenance.json" >"$work/other" && mv "$work/other" "$work/parts/provenance.json"
"$twinseg" train "$work/data" --out "$work/parts" --cache "$work/cache" --resume >"$work/log" 2>&1
expect "a case that has changed since is noted" grep -q 'has changed since the run began' "$work/log"

# killed SIGNAL RUN SETTING...: begins a run and sends the signal once some steps beyond a checkpoint are done
killed() {
    "$twinseg" train "$work/data" $tiny --cache "$work/cache" --out "$2" --fold 1/5 --threads 1 "${@:3}" \
        >"$work/log" 2>&1 &
    local pid=$! i
    for i in $(seq 600); do
        [ "$(cat "$2/metrics.csv" 2>/dev/null | wc -l)" -ge 8 ] && break
        sleep 0.02
    done
    kill -"$1" $pid 2>/dev/null
    wait $pid 2>/dev/null
}
killed KILL "$work/killed" 2>/dev/null
expect "kill -9 came before the end" test ! -e "$work/killed/model.safetensors"
train --out "$work/killed" --fold 1/5 --resume
expect "killed and resumed: the same bits" same_runs "$work/whole" "$work/killed"
killed TERM "$work/termed"
expect "SIGTERM says where it stopped" grep -q 'stopped after step .* --resume' "$work/log"
train --out "$work/termed" --fold 1/5 --resume
expect "SIGTERM and resumed: the same bits" same_runs "$work/whole" "$work/termed"

check "a finished run that is resumed says so" 0 "'$work/whole' is finished: all its 24 steps are done" \
    "$twinseg" train "$work/data" --cache "$work/cache" --out "$work/whole" --resume
expect "and keep their bits" same_runs "$work/whole" "$work/parts"

# One process trains a run: a second is refused, however it comes, and rows do not mix.
long=(train "$work/data" $tiny steps=4000 checkpoint_steps=1000 --cache "$work/cache" --out "$work/held")
rows() { cat "$work/held/metrics.csv" 2>/dev/null | wc -l; }
"$twinseg" "${long[@]}" >"$work/log" 2>&1 & pid=$!
for i in $(seq 600); do [ "$(rows)" -ge 4 ] && break; sleep 0.02; done
check "a run in other hands is not resumed" 1 "held' is being trained by process $pid \($(uname -n)\): wait" \
    "$twinseg" "${long[@]}" --resume
check "... nor begun again" 1 "add --resume" "$twinseg" "${long[@]}"
expect "the first goes on" kill -TERM $pid
wait $pid
expect "... and its rows are whole" test "$(cut -d, -f1 "$work/held/metrics.csv" | sed 1d | tr '\n' ' ')" = \
    "$(seq -s ' ' $(($(rows) - 1))) "
check "then it can be resumed" 0 "" "$twinseg" "${long[@]}" --resume --stop-after 1
expect "a run that has ended leaves no lock" test ! -e "$work/held/lock"
mkdir "$work/early" # a lock without a run: another call that is still preprocessing
(exec 9>"$work/early/lock" && flock 9 && exec sleep 300) & pid=$!
for i in $(seq 600); do flock -n "$work/early/lock" true || break; sleep 0.02; done
check "a run that another call begins is not begun" 1 "early' is being trained by another process" \
    train_out "$work/early"
kill $pid
wait $pid 2>/dev/null
check "... but after it" 0 "" train_out "$work/early" --stop-after 1

# What is refused, or fails before the run has begun, leaves nothing; an old checkpoint is not taken.
check "a model of another size, refused" 1 "another network" "$twinseg" train "$work/data" $tiny base=8 \
    --from "$work/whole/model.safetensors" --out "$work/none/deep"
expect "... leaves nothing" test ! -e "$work/none"
mkdir -p "$work/blocked/split.json"
check "a folder that cannot take the split" 1 "split.json" train_out "$work/blocked" \
    --from "$work/whole/model.safetensors"
expect "... holds no checkpoint" test "$(ls -A "$work/blocked")" = split.json
rmdir "$work/blocked/split.json"
cp "$work/whole/checkpoint.safetensors" "$work/blocked"
killed KILL "$work/blocked" checkpoint_steps=1000 2>/dev/null
expect "an old checkpoint is not that of a new run" test -s "$work/blocked/config.ini" -a \
    ! -e "$work/blocked/checkpoint.safetensors"

train --out "$work/w0" barlow_weight=0 steps=6
train --out "$work/alone" --method student-only steps=6
expect "without a fold nothing is called best" test ! -e "$work/w0/model-best.safetensors"
expect "student-only has no teacher" test ! -e "$work/alone/teacher.safetensors"
# the tensors lie behind the headers, which differ by the settings
tensors() { tail -c +$((9 + $(od -An -tu8 -N8 "$1"))) "$1"; }
expect "Barlow weight 0 is the student-only baseline, bit for bit" \
    cmp <(tensors "$work/w0/model.safetensors") <(tensors "$work/alone/model.safetensors")
train --out "$work/teacher" --method teacher steps=6
expect "the teacher alone trains" test -s "$work/teacher/teacher.safetensors"

cp -r "$work/data" "$work/partial"
mkdir "$work/fewer" && cp -r "$work"/data/*_00000 "$work/fewer"
rm "$work"/partial/*00000*/*_t2.nii.gz
plain=${tiny% --student *}
"$twinseg" train "$work/partial" $plain steps=1 --student t2 --out "$work/p1" >"$work/log" 2>&1
expect "a case without the student's T2 is skipped and named" grep -q '1 of 5 cases lack.*00000 lacks t2' "$work/log"
"$twinseg" train "$work/partial" $tiny steps=1 --out "$work/p3" >"$work/log" 2>&1
expect "where the student does without, it trains the student" \
    grep -q '5 cases train (1 of them the student alone)' "$work/p3/log.txt"
"$twinseg" train "$work/partial" $tiny steps=1 --out "$work/p2" --method student-only >"$work/log" 2>&1
expect "student-only uses it" grep -q '5 cases train' "$work/p2/log.txt"

# Two folders, of which the second has FLAIR alone.
"$twinseg" phantom "$work/more" --cases 4 --seed 9 --size 40,40,26 --layout brats2023 >"$work/log" 2>&1
rm "$work"/more/*/*-{t1n,t1c,t2w}.nii.gz
lacking=(train "$work/data" "$work/more" $plain ema_decay=0.9 --fold 0/3)
any="--method any-subset"
"$twinseg" "${lacking[@]}" $any --out "$work/any" >"$work/log" 2>&1
expect "cases of FLAIR alone teach" grep -Eq '6 cases train \([1-4] of them the student alone\), 3 are held out' \
    "$work/any/log.txt"
taught() { awk -F, -v want="$2" 'NR > 1 && ($4 != "") == want' "$1/metrics.csv" | wc -l; }
expect "... in some steps, in which the teacher rests" test "$(taught "$work/any" 0)" -gt 2 -a \
    "$(taught "$work/any" 1)" -gt 2
"$twinseg" "${lacking[@]}" $any --out "$work/any2" --stop-after 7 --threads 1 >"$work/log" 2>&1
"$twinseg" train "$work/data" "$work/more" --out "$work/any2" --resume >"$work/log" 2>&1
expect "... stopped and resumed with the same bits" same_runs "$work/any" "$work/any2"
check "a folder less is another data set" 1 "any2/split.json': the data set has changed .*case 'BraTS-GLI.* no longer there" \
    "$twinseg" train "$work/data" --out "$work/any2" --resume
"$twinseg" "${lacking[@]}" $any partial_share=0 --out "$work/any3" --cache "$work/any/cache" >"$work/log" 2>&1
expect "partial_share=0 leaves them out of training" grep -q '0 of them the student alone), 3 are held out' \
    "$work/any3/log.txt"
"$twinseg" "${lacking[@]}" --method two-stage --student flair --out "$work/two" --cache "$work/any/cache" >"$work/log" 2>&1
expect "two-stage's teacher is trained on the others alone" test "$(head -n 25 "$work/two/metrics.csv" |
    awk -F, 'NR > 1 && $4 == ""' | wc -l)" -eq 0
expect "... its student on all" test "$(sed 1,25d "$work/two/metrics.csv" | awk -F, '$5 == ""' | wc -l)" -gt 2
check "a case in two folders is refused" 1 "case 'BraTS2021_00000' stands in '.*/data' and in '.*/fewer'" \
    "$twinseg" train "$work/data" "$work/fewer" $tiny --out "$work/none"
check "nothing for a teacher: what is missing" 1 \
    "more': no case is left to train the teacher on: .* of 4 cases 0 have no truth, 4 lack t1, 4 t1ce, 4 t2 and 0 flair" \
    "$twinseg" train "$work/more" $plain --student flair --out "$work/none"
check "... nor for this student" 1 "no case is left to train on: it takes a truth and the modalities t1ce; of 4 cases" \
    "$twinseg" train "$work/more" $plain --method student-only --student t1ce --out "$work/none"
check "a teacher that takes what there is" 0 "" "$twinseg" train "$work/more" $plain steps=2 --student flair \
    partial_teacher=on --out "$work/blind"
check "check says what each case is good for" 0 "BraTS-GLI.*: lacks t1,t1ce,t2: it trains students of flair, but no teacher" \
    "$twinseg" check "$work/data" "$work/more"
expect "... and all of them" grep -q '^            4 cases: students of flair, without the teacher' "$work/said"
expect "... and their folders" grep -q '^            .*/more: BraTS.*, 4 cases' "$work/said"
check "plan takes both" 0 "9 cases, 9 usable" "$twinseg" plan "$work/data" "$work/more" $plain --student flair --no-timing

check "a run is not overwritten" 1 "add --resume" "$twinseg" train "$work/data" $tiny --out "$work/whole"
check "changed settings are named" 1 "base = 4 and cannot continue with base = 8" \
    "$twinseg" train "$work/data" --out "$work/parts" --resume base=8
check "another number of steps, too" 1 "cannot continue with steps = 99" \
    "$twinseg" train "$work/data" --out "$work/parts" --resume steps=99
check "another fold is named" 1 "fold 1/5" \
    "$twinseg" train "$work/data" --out "$work/parts" --resume --fold 2/5
check "another data set is named" 1 "case 'BraTS2021_00000' lacks modalities now" \
    "$twinseg" train "$work/partial" --out "$work/parts" --resume --cache "$work/cache"
check "nothing to resume" 1 "no run to resume" "$twinseg" train "$work/data" --out "$work/none" --resume
check "no data" 1 "nowhere" "$twinseg" train "$work/nowhere" --out "$work/none"
check "no --out" 2 "out" "$twinseg" train "$work/data"
check "a fold beyond the last" 2 "I/K" "$twinseg" train "$work/data" --out "$work/none" --fold 5/5
check "a patch that does not halve" 2 "patch 20" "$twinseg" train "$work/data" --out "$work/none" patch=20
check "an unknown setting" 2 "learning_rate" "$twinseg" train "$work/data" --out "$work/none" lerning_rate=1
check "a learning rate that blows up" 1 "finite" \
    "$twinseg" train "$work/data" $tiny --out "$work/nan" learning_rate=100 weight_decay=1 gradient_clip=0 steps=60
expect "it leaves the last good checkpoint and no model" \
    test -s "$work/nan/checkpoint.safetensors" -a ! -e "$work/nan/model.safetensors"
expect "refused runs leave nothing" test ! -e "$work/none"
: >"$work/file"
check "an --out that is a file" 1 "file" "$twinseg" train "$work/data" $tiny --out "$work/file"

"$twinseg" plan "$work/data" $tiny >"$work/log" 2>&1
expect "plan prints memory and time" grep -q 's a step' "$work/log"
expect "plan counts the parameters" grep -Eq 'student [0-9]{4,}, teacher [0-9]{4,}' "$work/log"
check "plan says when memory does not fit" 1 "memory" \
    "$twinseg" plan "$work/data" --preset nnunet patch=512 batch=64
finish
