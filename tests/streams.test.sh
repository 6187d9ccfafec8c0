#!/bin/bash
# Standard streams of every command: output that cannot be written ends with a sentence and status 1;
# closed descriptors harm no file; a named pipe in the place of an input holds nobody; foreign text
# obeys no terminal.
. tests/common.sh
mkdir made raw && "$build/tests/test_predict_case" --make made && "$build/tests/test_align" --make raw &&
    "$build/tests/test_exchange" --make made || { echo "not ok - make the files"; exit 1; }
"$twinseg" phantom data --cases 9 --seed 3 --size 40,40,26 >said 2>&1 || { cat said; echo "not ok - phantom"; exit 1; }
small="--student flair,t1ce spacing=6 patch=16 base=4 stages=2 steps=2"
check "a run" 0 . "$twinseg" train data $small --out run --cache cache
check "its predictions" 0 . "$twinseg" predict run --data data -o predicted
printf 'methods = single-stage\nsubsets = flair+t1ce\nseeds = 1\nfolds = 2\n[settings]\npreset = tiny\nsteps = 2\n' >grid.ini

# ---- output that cannot be written ----
# full NAME ARGUMENTS: a command that works, but for its standard output
covered=
full() {
    covered="$covered $1 "
    "$twinseg" "$@" >/dev/full 2>said
    local status=$?
    if [ $status -eq 1 ] && grep -q '^twinseg: cannot write to standard output: No space left on device$' said; then
        echo "ok - a full standard output: $*"
    else
        echo "not ok - a full standard output: $* (status $status)"
        sed 's/^/    /' said
        failures=$((failures + 1))
    fi
}
if [ -w /dev/full ]; then
    full phantom more --cases 1 --size 40,40,26
    full prepare --t1ce raw/t1ce.nii.gz --flair raw/flair.nii.gz -o patient --spacing 3
    full brain raw/head.nii.gz -o brain.nii.gz
    full segment --t1ce raw/t1ce.nii.gz --flair raw/flair.nii.gz --model "$PWD/run/model.safetensors" -o whole
    full compare whole whole -o change
    full measure whole/seg.nii.gz
    full check data
    full screen data spacing=6
    full plan data $small
    full predict run --flair made/flair.nii.gz --t1ce made/t1ce.nii.gz -o one.nii.gz
    full predict run --data data -o predicted
    full evaluate predicted data
    full tune predicted data
    full study grid.ini --out study --list
    full picture curves.png --run run
    full report run -o report.html
    full convert data --to nnunet -o converted
    full export run/model.safetensors --onnx model.onnx
    full import made/converted.safetensors -o imported.safetensors
    full info run
    full info run --json
    full evaluate predicted data --json
    for word in --help --version --manual --completion; do full $word; done
    for command in $("$twinseg" --help | sed -n 's/^  \([a-z]*\)  .*/\1/p'); do
        full "$command" --help
    done
    # train says all on standard error
    expect "no command is missing here" test -z "$("$twinseg" --help | sed -n 's/^  \([a-z]*\)  .*/\1/p' |
        while read -r command; do [ "$command" = train ] || [[ $covered == *" $command "*" $command "* ]] || echo "$command"; done)"
else
    echo "skip - a full standard output: there is no /dev/full"
fi

# ---- closed descriptors ----
"$twinseg" train data $small --out closed --cache cache <&- >&- 2>&-
expect "a run without standard streams ends well" test $? -eq 0
expect "its metrics hold nothing else" cmp <(cut -d, -f1-8 run/metrics.csv) <(cut -d, -f1-8 closed/metrics.csv)
expect "nor does its log" test -z "$(grep -vE '^[0-9]{4}-[0-9]{2}-[0-9]{2} ' closed/log.txt)"
expect "the same model" cmp run/model.safetensors closed/model.safetensors
"$twinseg" predict run --flair made/flair.nii.gz --t1ce made/t1ce.nii.gz -o closed.nii.gz <&- >&- 2>&-
expect "a prediction without standard streams ends well" test $? -eq 0
expect "and is the same" cmp one.nii.gz closed.nii.gz

# ---- named pipes ----
mkfifo pipe.nii.gz pipe.ini pipe.csv
brief() { timeout -s KILL 20 "$twinseg" "$@"; }
check "a named pipe: predict" 1 'not a regular file' brief predict run --flair pipe.nii.gz --t1ce made/t1ce.nii.gz -o x.nii.gz
check "a named pipe: info" 1 'not a regular file' brief info pipe.nii.gz
check "a named pipe: evaluate" 1 'not a regular file' brief evaluate pipe.nii.gz data/BraTS2021_00000/BraTS2021_00000_seg.nii.gz
check "a named pipe: train" 1 'not a regular file' brief train data --config pipe.ini --out x
mkdir halt && cp run/config.ini halt && mkfifo halt/split.json halt/metrics.csv
check "a named pipe: info of a run" 1 'not a regular file' brief info halt
check "a named pipe: report of a run" 1 'not a regular file' brief report halt -o x.html

# ---- foreign text ----
escape=$(printf 'bad\033[2J\302\233name')
shown='bad.x1b\[2J.x9bname'
expect_plain() { expect "$1" test -z "$(tr -d '\n' <said | LC_ALL=C grep -a "$(printf '[\001-\037\177]')")"; }
cp -r data strange && mv strange/BraTS2021_00000 "strange/$escape"
for file in "strange/$escape"/*; do mv "$file" "strange/$escape/$escape${file##*00000}"; done
check "a case of that name: check" 0 . "$twinseg" check strange
expect_plain "check prints no control characters"
rm "strange/$escape/$escape"_t2.nii.gz && : >"strange/$escape/$escape"_t1.nii.gz
check "a case of that name: findings" 1 "case $shown" "$twinseg" check strange
expect_plain "nor in findings"
check "a file of that name: info" 1 "$shown" "$twinseg" info "$escape.nii"
expect_plain "info prints no control characters"
check "a command of that name" 2 "$shown" "$twinseg" "$escape"
expect_plain "nor does the program"
check "an output of that name" 0 "$shown" "$twinseg" picture "$escape.png" --run run
expect_plain "nor picture"
finish
