#!/bin/bash
# twinseg screen, and predict's warnings, on a phantom cohort in which one case has two files exchanged.
. tests/common.sh

"$twinseg" phantom data --cases 10 --seed 3 --size 60,60,40 >log 2>&1 || { cat log; exit 1; }
"$twinseg" screen data spacing=4 >said 2>log
expect "a clean cohort is clean" grep -q '^0 of 10 cases' said
"$twinseg" screen data spacing=4 --rates >said 2>log
expect "every exchange of two names is noticed" \
    test "$(grep -A3 '| two given' said | grep -o '10' | wc -l)" -ge 3
expect "one row a subset" test "$(grep -c ' of 10 | ' said)" = 15

small="--preset tiny spacing=4 patch=16 base=4 stages=3 steps=2 --student flair,t1ce,t2"
"$twinseg" train data $small --out run >log 2>&1
case=$(ls data | head -1)
image() { ls data/$case/*_$1.nii.gz; }
"$twinseg" predict run --flair $(image flair) --t1ce $(image t1ce) --t2 $(image t2) -o a.nii.gz >said 2>&1
expect "the right images get no warning" test "$(grep -c warning said)" = 0
expect "how sure it is" grep -Eq 'expected Dice: WT 0\.[0-9]+, .* of 1$' said
"$twinseg" predict run --flair $(image t2) --t1ce $(image t1ce) --t2 $(image flair) -o b.nii.gz >said 2>&1
expect "a T2 given as FLAIR is noticed" grep -q 'warning: .*given as flair looks like a t2' said
expect "and predicted all the same" test -s b.nii.gz

mkdir mixed && cp -r data/* mixed && cp "$(image t2)" mixed/$case/${case}_flair.nii.gz &&
    cp "$(image flair)" mixed/$case/${case}_t2.nii.gz
"$twinseg" screen mixed spacing=4 >said 2>log
expect "screen names the case" grep -q "case $case: the image given as flair looks like a t2" said
"$twinseg" predict run --data mixed -o out >log 2>&1
expect "a row a case" test "$(wc -l <out/confidence.csv)" -eq 11
expect "with the warnings" grep -q "^$case,t1ce+t2+flair,.*looks like a t2" out/confidence.csv
cp out/confidence.csv before.csv
truncate -s -1 out/confidence.csv # as an editor may save it
rm out/$case.nii.gz
"$twinseg" predict run --data mixed -o out >log 2>&1
expect "a case that is made again has its row once" cmp <(sort out/confidence.csv) <(sort before.csv)

"$twinseg" phantom few --cases 4 --seed 3 --size 40,40,26 >log 2>&1
"$twinseg" screen few spacing=6 >said 2>log
expect "too few cases are refused" test $? -eq 1
expect "and it is said why" grep -q 'too few' log
TWINSEG=$twinseg "$source/tools/confidence.sh" data out >said 2>&1
expect "expected beside true Dice" test "$(grep -Ec '^[|] (WT|TC|ET) [|] 10 [|] [01][.]' said)" = 3

# tune: halves of the cohort as two folds; the model then carries rules, which predict uses
mkdir first second
i=0
for file in out/*.nii.gz; do
    i=$((i + 1))
    cp "$file" "$([ $((i % 2)) = 0 ] && echo first || echo second)"
done
cp run/model.safetensors tuned.safetensors
"$twinseg" tune first,second data --write tuned.safetensors >said 2>&1
expect "tune counts the cases of both folds" grep -q 'chosen on 10 cases' said
expect "tune shows what to expect" grep -q "^each case by the others' rules" said
expect "the model carries the rules" grep -aq '"twinseg.rules":"{..cases..:10' tuned.safetensors
printf '{"settings": {"component_confidence": "0.9"}}' >second/predict.json
"$twinseg" tune first,second data >said 2>&1
expect "folds predicted under two rules are refused" grep -q 'component_confidence=0.9' said
cp second/predict.json first
"$twinseg" tune first,second data --write tuned.safetensors >said 2>&1
expect "the model carries the rule of its folds" grep -aq 'component_confidence..:0.9' tuned.safetensors
"$twinseg" predict tuned.safetensors --data data -o tuned >log 2>&1
expect "predict uses it" grep -q '"component_confidence": 0.9' tuned/predict.json
"$twinseg" predict tuned.safetensors --data data -o untuned component_confidence=0 >log 2>&1
expect "and lets go of it" test -z "$(grep rules untuned/predict.json)"
printf '{"settings": [' >first/predict.json
"$twinseg" tune first,second data >said 2>&1
expect "a damaged record is refused" grep -qE "first/predict.json'.*(as|not) JSON" said
rm first/predict.json second/predict.json
"$twinseg" tune first,first data >said 2>&1
expect "a case of two folds is refused" grep -q 'is predicted twice' said
"$twinseg" tune first few >said 2>&1
expect "truths on another grid are refused" grep -q 'grid' said
[ $failures -eq 0 ]
