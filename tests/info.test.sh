#!/bin/bash
# twinseg info of volumes, models and runs. (What it reads of odd volumes: test_json.)
. tests/common.sh
"$build/tests/test_predict_case" --make . || { echo "not ok - make the files"; exit 1; }
info() { "$twinseg" info "$@"; }

check "a volume" 0 '^shape +24 20 18$' info flair.nii.gz
expect "its data type" grep -qE "^dtype +float32$" said
expect "its affine, row by row" test "$(grep -A 3 '^affine' said | wc -w)" = 17
check "as JSON" 0 '"nonfinite": 0' info flair.nii.gz --json

expect "no warnings" grep -q '"warnings": \[\]' said

gunzip -c flair.nii.gz >noform.nii
printf '\0\0\0\0' | dd of=noform.nii bs=1 seek=252 conv=notrunc status=none # qform_code, sform_code
check "a guessed orientation" 0 "^warning: 'noform.nii' does not say how its voxels lie" info noform.nii
check "as JSON" 0 '"warnings": \[' info noform.nii --json
expect "the same sentence" grep -q '"'"'noform.nii' does not say how its voxels lie" said
gunzip -c flair.nii.gz >sizes.nii
printf '\0\0\0\x41' | dd of=sizes.nii bs=1 seek=80 conv=notrunc status=none # pixdim of x: 8
check "voxel sizes that contradict the affine" 0 "^warning: 'sizes.nii' contradicts itself.* 8x" info sizes.nii

check "a model" 0 '^channels +t1ce,flair$' info model.safetensors
expect "its plan" grep -qE '^  patch +16' said
check "as JSON" 0 '"role": "student"' info --json model.safetensors
cp model.safetensors renamed
check "a model by another name" 0 '^role +student' info renamed

LC_ALL=C sed 's/:"0\.1\.0"/:"0.\xc2\x9b0"/' model.safetensors >odd.safetensors
check "a control character in the metadata" 0 '^version +0\.\\x9b0$' info odd.safetensors
expect "none is printed raw" test -z "$(LC_ALL=C grep -P '\xc2\x9b' said)"

mkdir run
printf 'steps = 40\nstudent = flair\n' >run/config.ini
echo '{"fold": 1, "folds": 5, "train": ["a", "b", "c"], "held_out": ["d"], "skipped": []}' >run/split.json
check "a run that has no step yet" 0 '^steps_done +0$' info run
printf 'step,loss_student,dice_student_wt\n1,2.5,\n2,1.5,0.25\n3,1.25,\n4,1' >run/metrics.csv
touch run/model.safetensors
check "a run" 0 '^steps_done +3$' info run
expect "its cases" grep -qE '^  train +3$' said
expect "its last loss" grep -qE '^  loss_student +1.25$' said
expect "its last validation" grep -qE '^  dice_student_wt +0.25$' said
expect "its models" grep -qE '^models +model.safetensors$' said
check "as JSON" 0 '"fold": "1/5"' info run --json
printf '\n5,2.5\n' >>run/metrics.csv
check "a damaged metrics.csv" 1 "run/metrics.csv' line 5" info run
echo '{"fold": 1' >run/split.json
check "a run with a damaged split" 1 'split.json' info run

check "nothing there" 1 "'gone' is not there" info gone
mkdir folder
check "a folder that is no run" 1 'twinseg check' info folder
mkdir -p folder/X.nii && cp flair.nii.gz folder/X.nii/inner.nii.gz
check "a folder that is called like its image" 0 'shape' info folder/X.nii
check "no file" 2 'missing' info
check "two files" 2 'too many' info flair.nii.gz t1.nii.gz
finish
