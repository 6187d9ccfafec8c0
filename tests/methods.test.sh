#!/bin/bash
# The methods beside single-stage at the command line: two-stage stops and is killed in either stage
# and ends with the bits of the uninterrupted run, also from a teacher trained before; any-subset's
# student is written as one that takes any modalities.
. tests/common.sh

"$twinseg" phantom "$work/data" --cases 4 --seed 3 --size 40,40,26 >"$work/log" 2>&1 ||
    { cat "$work/log"; echo "not ok - phantom cohort"; exit 1; }
tiny="--preset tiny spacing=6 patch=16 base=4 stages=3 steps=12 checkpoint_steps=5 validate_steps=6"
train() {
    "$twinseg" train "$work/data" $tiny --student flair,t1ce --cache "$work/cache" "$@" >"$work/log" 2>&1
}
resume() { "$twinseg" train "$work/data" --cache "$work/cache" --resume "$@" >"$work/log" 2>&1; }
same_models() {
    cmp "$1/model.safetensors" "$2/model.safetensors" && cmp "$1/teacher.safetensors" "$2/teacher.safetensors"
}
# the tensors lie behind the headers, which differ by the settings
tensors() { tail -c +$((9 + $(od -An -tu8 -N8 "$1"))) "$1"; }
metadata() { head -c $((8 + $(od -An -tu8 -N8 "$1"))) "$1" | tail -c +9; }

two="--method two-stage --fold 1/4"
expect "two stages" train $two --out "$work/two"
expect "twice the schedule" test "$(wc -l <"$work/two/metrics.csv")" -eq 25
expect "first the teacher learns, then the student" test \
    "$(awk -F, 'NR > 1 { printf "%s", ($3 != "") ($4 != "") ($6 != "") " " }' "$work/two/metrics.csv" |
        tr ' ' '\n' | uniq -c | tr -s ' \n' ' ')" = " 12 010 12 101 "
expect "both are validated in their stage" test \
    "$(awk -F, 'NR > 1 && $11 $14 != "" { printf "%s%s ", $1, $11 != "" ? "s" : "t" }' "$work/two/metrics.csv")" = \
    "6t 12t 18s 24s "
train $two --out "$work/parts" --threads 1 --stop-after 9
resume --out "$work/parts" --stop-after 8
expect "a stop in either stage" grep -q 'stopped after step 17 of 24' "$work/parts/log.txt"
resume --out "$work/parts"
expect "stopped in either stage and resumed: the same bits" same_models "$work/two" "$work/parts"

# kills a run of two stages once it has written so many rows of metrics, then resumes it
killed_after() {
    local pid i
    "$twinseg" train "$work/data" $tiny --student flair,t1ce --cache "$work/cache" $two --out "$work/killed$1" \
        --threads 1 >"$work/log" 2>&1 &
    pid=$!
    for i in $(seq 600); do
        [ "$(cat "$work/killed$1/metrics.csv" 2>/dev/null | wc -l)" -ge "$1" ] && break
        sleep 0.01
    done
    kill -KILL $pid 2>/dev/null
    wait $pid 2>/dev/null
    resume --out "$work/killed$1"
}
killed_after 7 2>/dev/null
killed_after 16 2>/dev/null
expect "killed in the first stage: the same bits" same_models "$work/two" "$work/killed7"
expect "killed in the second: the same bits" same_models "$work/two" "$work/killed16"

given="--method two-stage --fold 1/4 --teacher $work/two/teacher.safetensors"
train $given --out "$work/given" --stop-after 3
expect "a given teacher begins at the second stage" test "$(awk -F, 'NR == 2 { print $1 }' "$work/given/metrics.csv")" = 13
resume --out "$work/given"
expect "a given teacher: the same student" same_models "$work/two" "$work/given"
check "a student for a teacher" 1 "is a student" "$twinseg" train "$work/data" $tiny --method two-stage \
    --cache "$work/cache" --teacher "$work/two/model.safetensors" --out "$work/none"
check "a teacher of another size" 1 "another network" "$twinseg" train "$work/data" $tiny base=8 \
    --cache "$work/cache" --method two-stage --teacher "$work/two/teacher.safetensors" --out "$work/none"
check "a teacher for a method without" 1 "method has none: leave it out" "$twinseg" train "$work/data" $tiny --method student-only \
    --cache "$work/cache" --teacher "$work/two/teacher.safetensors" --out "$work/none"
check "a student of other modalities" 1 "other modalities" "$twinseg" train "$work/data" $tiny --student t1ce \
    --cache "$work/cache" --from "$work/two/model.safetensors" --out "$work/none"
check "a student of any subset for one of two" 1 "other modalities" "$twinseg" train "$work/data" $tiny \
    --method any-subset --cache "$work/cache" --from "$work/two/model.safetensors" --out "$work/none"
check "no model of that name" 1 "nowhere" "$twinseg" train "$work/data" $tiny \
    --cache "$work/cache" --from nowhere --out "$work/none"
expect "refused runs leave nothing" test ! -e "$work/none"

# steps so small that no bit of a weight moves
still="steps=2 learning_rate=1e-30 --from $work/two/model.safetensors --teacher $work/two/teacher.safetensors"
expect "networks may begin with weights trained before" train $still --out "$work/still"
for m in model teacher; do
    expect "... the $m's" cmp <(tensors "$work/two/$m.safetensors") <(tensors "$work/still/$m.safetensors")
done
train $still steps=4 learning_rate=0.001 --out "$work/on"
train $still steps=4 learning_rate=0.001 --out "$work/on2" --stop-after 1
resume --out "$work/on2"
expect "... and the model tells which" grep -q 'begun_with' <(metadata "$work/on2/model.safetensors")
expect "... and stop and resume: the same bits" same_models "$work/on" "$work/on2"
check "... but not again on resuming" 1 "leave it out" "$twinseg" train "$work/data" --out "$work/on2" \
    --cache "$work/cache" --resume --from "$work/two/model.safetensors"

train --out "$work/two0" --method two-stage barlow_weight=0 two_stage_soft_weight=0 --fold 1/4
train --out "$work/alone" --method student-only --fold 1/4
expect "without distillation two-stage's student is the student-only baseline, bit for bit" \
    cmp <(tensors "$work/two0/model.safetensors") <(tensors "$work/alone/model.safetensors")
train --out "$work/teacher-alone" --method teacher --fold 1/4
expect "its teacher is that of method teacher" \
    cmp <(tensors "$work/two/teacher.safetensors") <(tensors "$work/teacher-alone/teacher.safetensors")

train --out "$work/any" --method any-subset soft_weight=0.5 ema_decay=0.9
check "another teacher on resuming" 1 "is not the teacher" "$twinseg" train "$work/data" --out "$work/given" \
    --cache "$work/cache" --resume --teacher "$work/any/teacher.safetensors"
expect "any-subset's student says so" grep -q '"twinseg.inputs":"any subset"' <(metadata "$work/any/model.safetensors")
expect "its teacher is a plain one" grep -q '"twinseg.inputs":"all"' <(metadata "$work/any/teacher.safetensors")
train --out "$work/any2" --method any-subset soft_weight=0.5 ema_decay=0.9 --stop-after 7 --threads 1
resume --out "$work/any2"
expect "with softened labels and an average, resumed: the same bits" same_models "$work/any" "$work/any2"
train --out "$work/dropout" --method channel-dropout
train --out "$work/any0" --method any-subset barlow_weight=0
expect "without distillation it is channel-dropout, bit for bit" \
    cmp <(tensors "$work/dropout/model.safetensors") <(tensors "$work/any0/model.safetensors")
expect "channel-dropout has no teacher" test ! -e "$work/dropout/teacher.safetensors"
train --out "$work/image" --method any-image
expect "any-image's network says so" grep -q '"twinseg.inputs":"any image"' <(metadata "$work/image/model.safetensors")
expect "it has one input" grep -q '"encoder.0.conv0.weight":{"dtype":"F32","shape":\[[0-9]*,1,3,3,3\]' \
    <(head -c 20000 "$work/image/model.safetensors" | tr -d '\0')
train --out "$work/image2" --method any-image --stop-after 7 --threads 1
resume --out "$work/image2"
expect "any-image, resumed: the same bits" \
    cmp <(tensors "$work/image/model.safetensors") <(tensors "$work/image2/model.safetensors")
check "predict refuses it" 1 "finds the brain in one image" "$twinseg" predict "$work/image" --data "$work/data" \
    -o "$work/none"
check "a student of T1 does not go on as any-image" 1 "other modalities" "$twinseg" train "$work/data" $tiny \
    --student t1 --method student-only --cache "$work/cache" --from "$work/image/model.safetensors" --out "$work/none"
check "an average that takes gradients" 2 "exclude each other" "$twinseg" train "$work/data" $tiny \
    ema_decay=0.9 teacher_gradient=on --out "$work/none"
finish
