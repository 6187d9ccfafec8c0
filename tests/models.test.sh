#!/bin/bash
# The models that come with the program: each is found by its name, small, warns of a T2 passed as FLAIR,
# and finds most of a real tumour that it was not trained on.
. tests/common.sh
"$twinseg" phantom data --cases 1 --seed 4 --size 120,120,78 >log 2>&1 || { cat log; echo "not ok - phantom"; exit 1; }
case=$(ls data)
image() { echo data/$case/${case}_$1.nii.gz; }
for name in flair-t1ce any-subset; do
    file=$source/models/$name.safetensors
    expect "$name is there, below 6 MB" test "$(stat -c %s "$file")" -lt 6000000
    check "$name is found by its name" 0 'from t1ce,flair' "$twinseg" predict --model $name \
        --flair $(image flair) --t1ce $(image t1ce) -o $name.nii.gz mirror=off
    check "a T2 passed as FLAIR is noticed by $name" 0 'given as flair looks like a t2' "$twinseg" predict \
        --model $name --flair $(image t2) --t1ce $(image t1ce) -o wrong.nii.gz mirror=off
done
check "any-subset takes one modality alone" 0 'from t2,' "$twinseg" predict --model any-subset --t2 $(image t2) \
    -o t2.nii.gz mirror=off

real=$shared/brats/BraTS-GLI-00000-000
if [ -d "$real" ]; then
    mkdir one && ln -s "$real" one/
    for name in flair-t1ce any-subset; do
        check "$name segments a real case" 0 '1 written' "$twinseg" predict --model $name --data one \
            -o real-$name mirror=off
        "$twinseg" evaluate real-$name one --convention legacy -o $name.csv >log 2>&1
        dice=$(awk -F, '$2 == "WT" { print $3 }' $name.csv)
        expect "most of its tumour is found by $name (Dice $dice)" awk "BEGIN { exit !($dice > 0.7) }"
    done
else
    echo "skip - the models on a real case: ../shared/brats is not here (TWINSEG_SHARED)"
fi
finish
