#!/bin/bash
# twinseg brain with the model that comes with the program: on made heads, on real ones, in prepare,
# and what it notices and refuses.
. tests/common.sh
brain() { "$twinseg" brain "$@"; }
file=$source/models/brain.safetensors
expect "the model is there, of at most 2 MB" test "$(stat -c %s "$file")" -le 2000000
"$twinseg" phantom heads --heads --cases 3 --seed 77 >log 2>&1 || { cat log; echo "not ok - phantom"; exit 1; }
head() { echo "heads/Head_0000$1/Head_0000$1_$2.nii.gz"; }

# dice NAME LEAST: of NAME.nii.gz in pred and in truth
dice() {
    "$twinseg" evaluate "pred/$1.nii.gz" "truth/$1.nii.gz" --convention legacy -o "$1.csv" >log 2>&1 || cat log
    local got
    got=$(awk -F, '$2 == "WT" { print $3 }' "$1.csv")
    expect "Dice of $1: $got, at least $2" awk "BEGIN { exit !($got >= $2) }"
}
mkdir pred truth
for k in 0 1 2; do
    check "a made head" 0 'brain of [0-9]* ml' brain "$(head $k t1)" -o pred/made$k.nii.gz
    cp "$(head $k seg)" truth/made$k.nii.gz
    dice made$k 0.9
done
check "four images vote" 0 'brain of' brain "$(head 0 t1)" "$(head 0 t1ce)" "$(head 0 t2)" "$(head 0 flair)" \
    -o pred/vote.nii.gz --probabilities p.nii.gz --stripped s.nii.gz
cp "$(head 0 seg)" truth/vote.nii.gz
dice vote 0.93
check "the same on one thread" 0 . brain "$(head 0 t1)" -o one.nii.gz --threads 1
expect "has the same bits" cmp pred/made0.nii.gz one.nii.gz
check "what is stripped already" 0 'note: .*s.nii.gz. is skull-stripped already' brain s.nii.gz -o again.nii.gz
expect "is not stripped again" cmp pred/vote.nii.gz again.nii.gz

check "images on two grids" 1 'are on different grids' brain "$(head 0 t1)" "$(head 1 t1)" -o none.nii.gz
check "a model of tumours" 1 'not a model that finds brains' brain "$(head 0 t1)" -o none.nii.gz --model flair-t1ce
check "no output" 2 'MASK.nii.gz is missing' brain "$(head 0 t1)"
check "the input as output" 2 'would overwrite the input' brain "$(head 0 t1)" -o "$(head 0 t1)"
check "an output of another kind" 2 'must end in .nii' brain "$(head 0 t1)" -o mask.png
check "the same output twice" 2 'are the same file' brain "$(head 0 t1)" -o m.nii --stripped m.nii
check "no such image" 1 'nothere' brain nothere.nii.gz -o none.nii.gz
check "predict does not take it" 1 "finds the brain in one image" "$twinseg" predict --model brain --t1 "$(head 0 t1)" \
    -o none.nii.gz
expect "nothing was written by what failed" test ! -e none.nii.gz -a ! -e mask.png -a ! -e m.nii

check "prepare cuts the brain out" 0 'brain: [0-9]* ml, found by the network' "$twinseg" prepare --t1ce "$(head 0 t1ce)" \
    --flair "$(head 0 flair)" -o P1 --spacing 2
expect "and writes the mask" test -s P1/brain.nii.gz
expect "its record" grep -q '"brain": "network"' P1/registration.json

real=$shared/heads/TCGA-FG-6692/TCGA-FG-6692
if [ -e "${real}_t1.nii.gz" ]; then
    for m in t1 t1ce t2 flair; do
        check "a real head, $m" 0 'brain of' brain "${real}_$m.nii.gz" -o pred/$m.nii.gz
        ln -s "${real}_${m}_brainmask-hdbet.nii.gz" truth/$m.nii.gz
        dice $m 0.94
    done
else
    echo "skip - real heads: ../shared/heads is not here (TWINSEG_SHARED)"
fi
finish
