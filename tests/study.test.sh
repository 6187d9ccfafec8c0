#!/bin/bash
# twinseg study at the command line, on a phantom of a few coarse cases: scores are those of predict
# and evaluate, whatever interrupts, kills or shares the work; the teacher beside a student is that of
# method teacher; a cell that fails is named, the others go on, and a second call repeats it alone.
. tests/common.sh

# a score file without its times
untimed() { sed 's/"seconds": [0-9.]*//' "$1"; }
same_scores() {
    local f count=0
    for f in "$1"/*-s?-f?.json; do
        cmp <(untimed "$f") <(untimed "$2/$(basename "$f")") || return 1
        count=$((count + 1))
    done
    [ $count -eq "$3" ]
}

"$twinseg" phantom "$work/data" --cases 5 --seed 3 --size 40,40,26 >"$work/said" 2>&1 ||
    { cat "$work/said"; echo "not ok - phantom cohort"; exit 1; }
settings="[settings]
preset = tiny
spacing = 6
patch = 16
base = 4
stages = 3
steps = 12
checkpoint_steps = 4
validate_steps = 0"
cat >"$work/grid.ini" <<END
methods = single-stage, student-only, teacher
subsets = flair+t1ce, t1
seeds = 1
folds = 2
$settings
[arm no-barlow]
barlow_weight = 0
END
grid=("$work/grid.ini" "$work/data" --cache "$work/cache" --threads 1)
study() { "$twinseg" study "${grid[@]}" --out "$@"; }

check "predictions within the data set are refused" 1 "'.*/data/study' lies within the data set" \
    study "$work/data/study"
expect "and nothing is made" test ! -e "$work/data/study"
check "the whole grid" 0 "14 done, 0 failed, 0 taken" study "$work/whole" --workers 2
for file in table.md table.csv table.json differences.png; do
    expect "$file is there" test -s "$work/whole/scores/$file"
done
check "--list says what is done" 0 "14  done .*no-barlow-t1-s1-f1" study "$work/whole" --list

# the scores of a cell, as the user's own commands give them
cell=single-stage-t1-s1-f1 run=$work/whole/cells/single-stage-t1-s1-f1
mkdir "$work/truth"
for case in $(sed -n '/held_out/,/]/s/^  "\(.*\)".*/\1/p' "$run/split.json"); do
    cp "$work"/data/"$case"/*seg.nii.gz "$work/truth/$case-seg.nii.gz"
done
"$twinseg" predict "$run" --data "$work/data" -o "$work/predicted" >"$work/said" 2>&1
"$twinseg" evaluate "$work/predicted" "$work/truth" --convention lesion -o "$work/lesion.csv" >"$work/said" 2>&1
"$twinseg" evaluate "$work/predicted" "$work/truth" --convention legacy -o "$work/legacy.csv" >"$work/said" 2>&1
# rows of both tables as the score file's brackets hold them, in the same order
from_csv() {
    paste -d'\n' <(sed 1d "$work/legacy.csv" | paste - - -) <(sed 1d "$work/lesion.csv" | paste - - -) |
        tr '\t' '\n' | cut -d, -f3-
}
from_scores() {
    sed -n '/"student"/,/}}$/p' "$work/whole/scores/$cell.json" | grep -o '"[WTE][TC]*": \[[^]]*' |
        sed 's/.*\[//; s/ //g' | sed -n "1,$(from_csv | wc -l)p"
}
expect "a cell is scored as predict and evaluate do" test "$(from_csv)" = "$(from_scores)"
expect "... on as many cases as were held out" test "$(from_csv | wc -l)" -eq $((6 * $(ls "$work/truth" | wc -l)))

# weights FILE ROLE
weights() { grep -o "\"role\": \"$2\".*\"weights\": \"[0-9a-f]*\"" "$work/whole/scores/$1.json" | tail -c 18; }
expect "the teacher beside a student is that of method teacher" test -n "$(weights teacher-all-s1-f0 teacher)" -a \
    "$(weights teacher-all-s1-f0 teacher)" = "$(weights single-stage-flair+t1ce-s1-f0 teacher)" -a \
    "$(weights teacher-all-s1-f0 teacher)" = "$(weights single-stage-t1-s1-f0 teacher)"
expect "the arm without Barlow Twins is the student-only baseline" test \
    "$(weights no-barlow-t1-s1-f0 student)" = "$(weights student-only-t1-s1-f0 student)"
expect "and differs from the arm with it" test \
    "$(weights single-stage-t1-s1-f0 student)" != "$(weights student-only-t1-s1-f0 student)"

# a student of any subset has one run, scored on every subset; two-stage has its teacher too
printf 'methods = any-subset, two-stage\nsubsets = flair+t1ce, t1\nseeds = 1\nfolds = 2\n%s\n' \
    "$settings" >"$work/more.ini"
"$twinseg" study "$work/more.ini" "$work/data" --cache "$work/cache" --out "$work/more" --cell 1-2 >"$work/said" 2>&1
expect "any-subset is scored on each subset" test \
    "$(grep -o '"input": "[^"]*"' "$work/more/scores/any-subset-all-s1-f0.json" | tr '\n' ' ')" = \
    '"input": "t1ce,flair" "input": "t1" "input": "t1,t1ce,t2,flair" '
# cases INPUT: the scores for that input
cases() { sed -n "/\"input\": \"$1\"/,/^  }}/p" "$work/more/scores/any-subset-all-s1-f0.json" | sed '1d;$d'; }
expect "... and sees no more of a case than that" test -n "$(cases t1)" -a "$(cases t1)" != "$(cases t1ce,flair)"
"$twinseg" study "$work/more.ini" --scores "$work/more/scores" --table >"$work/said"
expect "... and stands in the table with each" test "$(grep -c '^| \(flair+t1ce\|t1\) | any-subset | WT' \
    "$work/more/scores/table.md")" -eq 2
expect "two-stage counts the steps of both stages" grep -q '"steps": 24' \
    "$work/more/scores/two-stage-flair+t1ce-s1-f0.json"

# two folders, the second with FLAIR alone: its cases are scored where the model is given no more
"$twinseg" phantom "$work/flairs" --cases 4 --seed 9 --size 40,40,26 --layout brats2023 >"$work/said" 2>&1
rm "$work"/flairs/*/*-{t1n,t1c,t2w}.nii.gz
printf 'methods = any-subset, student-only\nsubsets = flair, t1\nseeds = 1\nfolds = 2\n%s\n' \
    "$settings" >"$work/lacking.ini"
check "a study of two folders" 0 "6 done, 0 failed" "$twinseg" study "$work/lacking.ini" "$work/data" "$work/flairs" \
    --out "$work/lacking" --threads 1
# scored STUDY CELL INPUT: how many cases
scored() { sed -n "/\"input\": \"$2\"/,/^  }}/p" "$work/lacking/scores/$1.json" | grep -c '"legacy"'; }
both=$(($(scored any-subset-all-s1-f0 flair) + $(scored any-subset-all-s1-f1 flair)))
four=$(($(scored any-subset-all-s1-f0 t1) + $(scored any-subset-all-s1-f1 t1)))
expect "... every case is scored on what it has" test "$both $four" = "9 5"
expect "... by the teacher those with all four" test 5 -eq \
    $(($(scored any-subset-all-s1-f0 t1,t1ce,t2,flair) + $(scored any-subset-all-s1-f1 t1,t1ce,t2,flair)))
expect "... whatever the method" test "$(scored student-only-flair-s1-f0 flair)" -eq "$(scored any-subset-all-s1-f0 flair)"

# another machine: score files alone, no runs
cp -r "$work/whole/scores" "$work/elsewhere"
check "score files count as done" 0 "14 done" study "$work/new" --scores "$work/elsewhere"
expect "... and nothing was run" test -z "$(ls "$work/new/cells")"
rm "$work/elsewhere/table.md"
check "--table from score files" 0 "14 of 14" "$twinseg" study "$work/grid.ini" --scores "$work/elsewhere" --table
expect "... is the same table" cmp "$work/elsewhere/table.csv" "$work/whole/scores/table.csv"

# what another fold left is not taken for this one's
cp -r "$work/whole/scores" "$work/folds"
cp "$work/folds/student-only-t1-s1-f0.json" "$work/folds/student-only-t1-s1-f1.json"
check "scores of another fold are refused" 1 "s1-f1.json' holds the scores of fold 0 of 2, the study says 1 of 2" \
    "$twinseg" study "$work/grid.ini" --scores "$work/folds" --table
mkdir -p "$work/moved/cells"
cp -r "$work/whole/cells/student-only-t1-s1-f0" "$work/moved/cells/student-only-t1-s1-f1"
number=$("$twinseg" study "${grid[@]}" --out "$work/moved" --list | awk '/student-only-t1-s1-f1/ { print $1 }')
check "so is a run of another fold" 1 "s1-f1' is the run of fold 0 of 2, not of 1 of 2" \
    study "$work/moved" --cell "$number"

cp -r "$work/data" "$work/fewer"
rm -r "$(ls -d "$work"/fewer/*/ | head -n 1)"
check "score files of other data are refused" 1 "single-stage-t1-s1-f.: its score file has case .* other data" \
    "$twinseg" study "$work/grid.ini" "$work/fewer" --out "$work/new" --scores "$work/elsewhere" --cell 9-14

# two calls at once, one of them killed on the way
"$twinseg" study "${grid[@]}" --out "$work/shared" --cell 1-4 >"$work/first" 2>&1 & first=$!
"$twinseg" study "${grid[@]}" --out "$work/shared" --cell 1-4 >"$work/second" 2>&1 & second=$!
for i in $(seq 500); do
    [ -s "$work/shared/cells/single-stage-flair+t1ce-s1-f0/metrics.csv" ] && break
    sleep 0.02
done
{ kill -KILL $first; wait $first; } 2>/dev/null
wait $second
check "the rest after a killed worker" 0 "4 done, 0 failed, 0 taken" study "$work/shared" --cell 1-4
expect "... with the same scores" same_scores "$work/shared/scores" "$work/whole/scores" 4
expect "no more than the killed cell was begun twice" test \
    "$(cat "$work"/shared/cells/*/log.txt | grep -c 'begun from step 0')" -le 5

# an interrupt, and one cell by its number
sed -i 's/steps = 12/steps = 400/' "$work/grid.ini"
"$twinseg" study "${grid[@]}" --out "$work/slow" --cell 2 >"$work/said.slow" 2>&1 & pid=$!
for i in $(seq 500); do
    [ "$(cat "$work/slow/cells/student-only-flair+t1ce-s1-f0/metrics.csv" 2>/dev/null | wc -l)" -gt 9 ] && break
    sleep 0.02
done
check "--list says who runs" 0 "2  running .*pid $pid on" study "$work/slow" --list
check "a cell in other hands is left alone" 0 "1 taken" study "$work/slow" --cell 2
kill -TERM $pid
wait $pid
expect "SIGTERM ends it with 130" test $? -eq 130
expect "... with a checkpoint" grep -q 'stopped after step' \
    "$work/slow/cells/student-only-flair+t1ce-s1-f0/log.txt"
check "... and it stands as begun" 0 "2  begun" study "$work/slow" --list
expect "--cell runs no other" test "$(ls "$work/slow/cells")" = student-only-flair+t1ce-s1-f0
sed -i 's/steps = 400/steps = 12/' "$work/grid.ini"

# finished runs from elsewhere; a damaged one among them
mkdir -p "$work/adopted/cells"
cp -r "$work"/whole/cells/*-t1-* "$work/adopted/cells"
rm "$work"/adopted/cells/*/checkpoint.safetensors
bad=$work/adopted/cells/student-only-t1-s1-f0
sed -i 's/^base = 4/base = 8/' "$bad/config.ini"
check "a cell that fails is named with its cause" 1 "student-only-t1-s1-f0: .*base = 8" \
    study "$work/adopted" --workers 2 --cell 9-14
expect "... and the others go on" grep -q '5 done, 1 failed' "$work/said"
expect "adopted runs are not trained again" test ! -e "$work/adopted/cells/single-stage-t1-s1-f0/checkpoint.safetensors"
check "--list remembers the failure" 0 "failed  *student-only-t1-s1-f0 .*base = 8" study "$work/adopted" --list
stamp=$(stat -c %Y%i "$work"/adopted/scores/*-f?.json)
cp "$work/whole/cells/student-only-t1-s1-f0/config.ini" "$bad"
check "a second call repeats what is missing" 0 "6 done, 0 failed" study "$work/adopted" --cell 9-14
expect "... and nothing else" test "$stamp" = "$(stat -c %Y%i $(ls "$work"/adopted/scores/*-f?.json | grep -v student-only-t1-s1-f0))"
expect "adopted runs give the same scores" same_scores "$work/adopted/scores" "$work/whole/scores" 6

# a disk that takes no more than 20 KiB a file, as a full one fails at some write
(trap '' XFSZ; ulimit -f 20
 check "a full disk is named by cell" 1 "single-stage-flair.t1ce-s1-f0: cannot write" \
     study "$work/full" --cell 1-2
 exit $failures); failures=$((failures + $?))
expect "... and the next cell was tried" grep -q '0 done, 2 failed' "$work/said"

sed -i 's/barlow_weight = 0/barlow_weight = 5/' "$work/grid.ini"
check "scores of other settings are refused" 1 "barlow_weight = 0, the study says 5" study "$work/whole"
expect "... cell by cell" grep -q '10 done, 4 failed' "$work/said"
check "no such number" 2 "from 1 to 14" study "$work/whole" --cell 15
check "no data" 1 "nowhere" "$twinseg" study "$work/grid.ini" "$work/nowhere" --out "$work/none"
check "no DATA" 2 "DATA is missing" "$twinseg" study "$work/grid.ini" --out "$work/none"
check "no --out" 2 "out" "$twinseg" study "$work/grid.ini" "$work/data"
check "no study file" 1 "none.ini" "$twinseg" study "$work/none.ini" "$work/data" --out "$work/none"
echo "steps = 5" >"$work/bad.ini"
check "a bad study file" 1 "bad.ini' line 1: 'steps' is unknown here" \
    "$twinseg" study "$work/bad.ini" "$work/data" --out "$work/none"
check "nothing to tabulate" 1 "no score file" "$twinseg" study "$work/grid.ini" --scores "$work/cache" --table
expect "refused calls leave nothing" test ! -e "$work/none"
finish
