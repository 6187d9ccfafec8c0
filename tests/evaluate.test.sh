#!/bin/bash
# twinseg evaluate at the command line: two files, two folders, a missing prediction, both outputs.
. tests/common.sh
"$twinseg" phantom "$work/truth" --cases 3 --seed 5 --size 40,40,26 >"$work/log" 2>&1 ||
    { cat "$work/log"; echo "not ok - phantom cohort"; exit 1; }
mkdir "$work/flat" "$work/predictions"
for seg in "$work"/truth/*/*_seg.nii.gz; do
    cp "$seg" "$work/flat/"
    cp "$seg" "$work/predictions/$(basename "$seg" | sed 's/_seg//')"
done
one=$(ls "$work/flat" | head -1)
"$twinseg" evaluate "$work/flat/$one" "$work/flat/$one" --json >"$work/one.json"
expect "a truth scores 1 against itself" test "$(grep -c '"dice": 1.0' "$work/one.json")" -ge 3
expect "JSON is keyed by the case" grep -q "\"${one%_seg.nii.gz}\": {" "$work/one.json"
expect "JSON has a summary" grep -q '"convention": "lesion"' "$work/one.json"
"$twinseg" evaluate "$work/predictions" "$work/flat" -o "$work/a.csv" >/dev/null 2>&1
expect "folders pair by case" test $? -eq 0
"$twinseg" evaluate "$work/predictions" "$work/truth" -o "$work/b.csv" >/dev/null 2>&1
expect "a data set is a folder of truths too" cmp "$work/a.csv" "$work/b.csv"
expect "CSV has a line per case and region" test "$(wc -l <"$work/a.csv")" -eq 10
rm "$work/predictions/${one/_seg/}"
"$twinseg" evaluate "$work/predictions" "$work/flat" --convention legacy -o "$work/c.csv" >"$work/log" 2>&1
expect "a missing prediction gives status 1" test $? -eq 1
expect "and is named" grep -q "${one%_seg.nii.gz}' has no prediction" "$work/log"
expect "and scores as empty" grep -q "${one%_seg.nii.gz},WT,0,373.12866" "$work/c.csv"
"$twinseg" evaluate "$work/predictions" "$work/flat/$one" >"$work/log" 2>&1
expect "a file and a folder are refused" test $? -eq 1
"$twinseg" evaluate "$work/flat" "$work/flat" --labels 2021 >"$work/log" 2>&1
expect "unknown labels are a usage error" test $? -eq 2
"$twinseg" evaluate "$work/flat" "$work/nowhere" >"$work/log" 2>&1
expect "a folder that is not there is named" grep -q nowhere "$work/log"
"$twinseg" evaluate "$work/flat/$one" "$work/flat/$one" --convention panoptic --json >"$work/p.json"
expect "instances: a truth is found whole in itself" test "$(grep -c '"pq": 1.0' "$work/p.json")" -ge 6
expect "RC is left out" test -z "$(grep '"RC"' "$work/p.json")"
"$twinseg" evaluate "$work/flat/$one" "$work/flat/$one" --convention panoptic --labels brats2024 \
    --json >"$work/p.json"
expect "but with labels of 2024, where 4 is RC" \
    grep -q "\"RC\": {" "$work/p.json"
"$twinseg" evaluate "$work/predictions" "$work/flat" --convention panoptic -o "$work/d.csv" \
    >"$work/log" 2>&1
expect "a missing prediction has nothing in common" \
    grep -q "${one%_seg.nii.gz},WT,0,0,inf,0,0,nan,0,0,nan,0,nan,inf,nan,0,0,1" "$work/d.csv"
expect "and enters the mean with 373" grep -q "^WT .* 124.3333 " "$work/log"

# ---- challenges with label values of their own, by their names ----
child=BraTS-PED-00001-000-seg.nii.gz visit=BraTS-GLI-00001-100-seg.nii.gz
mkdir "$work/child" "$work/visit" "$work/model"
cp "$work/flat/$one" "$work/child/$child" # 1, 2, 4: 4 is the edema there
cp "$work/flat/$one" "$work/visit/$visit" # and the resection cavity here
"$twinseg" convert "$work/truth" --to brats2023 -o "$work/2023" >/dev/null 2>&1
cp "$work/2023/${one%_seg.nii.gz}/${one%_seg.nii.gz}-seg.nii.gz" "$work/model/$child"
cp "$work/model/$child" "$work/model/$visit"
"$twinseg" evaluate "$work/model/$child" "$work/child/$child" --convention legacy -o "$work/e.csv" >/dev/null
expect "BraTS-PED: 4 of the truth is no enhancing tumour" \
    test "$(grep -c 'ET,0,' "$work/e.csv")$(grep -c 'WT,1,' "$work/e.csv")" = 11
"$twinseg" evaluate "$work/model/$child" "$work/child/$child" --convention legacy -o "$work/e.csv" \
    --labels auto,brats2021 >/dev/null
expect "but it is where --labels says so" test "$(grep -c 'ET,1,' "$work/e.csv")" = 1
"$twinseg" evaluate "$work/model/$visit" "$work/visit/$visit" --convention legacy -o "$work/e.csv" >/dev/null
expect "after treatment: 4 of the truth is background" \
    test "$(grep -c 'ET,0,' "$work/e.csv")$(grep -c 'WT,1,' "$work/e.csv")" = 10
"$twinseg" evaluate "$work/child/$child" "$work/model/$child" >/dev/null 2>"$work/log"
expect "BraTS-PED without a 4: both readings are named" \
    grep -q -e '--labels NAME .*brats2023 .*brats-ped ' "$work/log"
"$twinseg" evaluate "$work/child/$child" "$work/child/$child" >/dev/null 2>"$work/log"
expect "and so they are of a prediction with a 4" grep -q -e '--labels NAME .*brats2021 .*brats-ped ' "$work/log"

# ---- which files are a case's ----
ids=$(ls "$work/flat" | sed 's/_seg.nii.gz//')
set -- $ids
mkdir "$work/mixed" "$work/plain" "$work/images"
for id in $ids; do
    cp "$work/flat/${id}_seg.nii.gz" "$work/mixed/$id.nii.gz"
    cp "$work/flat/${id}_seg.nii.gz" "$work/plain/$id.nii.gz"
    cp "$work/flat/${id}_seg.nii.gz" "$work"/truth/"$id"/*_flair.nii.gz "$work/images/"
done
mv "$work/mixed/$3.nii.gz" "$work/mixed/$3_seg.nii.gz"
"$twinseg" evaluate "$work/mixed" "$work/plain" -o "$work/f.csv" >"$work/log" 2>&1
expect "one marked file hides no other" test $? -eq 0
expect "all three score 1" test "$(grep -c 'WT,1,0,1' "$work/f.csv")" = 3
"$twinseg" evaluate "$work/plain" "$work/mixed" -o "$work/g.csv" >"$work/log" 2>&1
expect "nor does one among the truths" cmp "$work/f.csv" "$work/g.csv"
"$twinseg" evaluate "$work/mixed" "$work/images" -o "$work/g.csv" >"$work/log" 2>&1
expect "images beside marked truths are no cases" cmp "$work/f.csv" "$work/g.csv"
"$twinseg" evaluate "$work/images" "$work/images" -o "$work/g.csv" >"$work/log" 2>&1
expect "on both sides" cmp "$work/f.csv" "$work/g.csv"
mkdir "$work/images/$2"
mv "$work/images/$2_seg.nii.gz" "$work/images/$2"
"$twinseg" evaluate "$work/mixed" "$work/images" -o "$work/g.csv" >"$work/log" 2>&1
expect "files hide no folders of cases" test $? -eq 0
mkdir "$work/longer"
cp "$work/flat/$1_seg.nii.gz" "$work/longer/P1_seg.nii.gz"
cp "$work/flat/$2_seg.nii.gz" "$work/longer/P1_2.nii.gz"
"$twinseg" evaluate "$work/longer" "$work/longer" -o "$work/g.csv" >/dev/null 2>&1
expect "P1_2 beside P1_seg is a case where both have it" test "$(grep -c 'P1_2,WT,1' "$work/g.csv")" = 1
cp "$work/flat/$3_seg.nii.gz" "$work/mixed/"
cp "$work/flat/$3_seg.nii.gz" "$work/mixed/$3.nii.gz"
"$twinseg" evaluate "$work/mixed" "$work/plain" -o "$work/g.csv" >"$work/log" 2>&1
expect "copies of one file are one case" cmp "$work/f.csv" "$work/g.csv"
cp "$work/flat/$1_seg.nii.gz" "$work/mixed/$3.nii.gz"
"$twinseg" evaluate "$work/mixed" "$work/plain" >"$work/log" 2>&1
expect "two files of a case that differ are refused" test $? -eq 1
expect "and both are named" grep -q "/$3.nii.gz' and '.*/$3_seg.nii.gz' are both of case '$3'" "$work/log"

# ---- headers that contradict each other ----
gzip -dc "$work/flat/$1_seg.nii.gz" >"$work/a.nii"
cp "$work/a.nii" "$work/spacing.nii"
printf '\0\0\0\100' | dd of="$work/spacing.nii" bs=1 seek=88 conv=notrunc 2>/dev/null # pixdim[3] = 2
cp "$work/a.nii" "$work/turned.nii"
dd if="$work/a.nii" of="$work/turned.nii" bs=1 skip=280 seek=296 count=16 conv=notrunc 2>/dev/null
dd if="$work/a.nii" of="$work/turned.nii" bs=1 skip=296 seek=280 count=16 conv=notrunc 2>/dev/null
"$twinseg" evaluate "$work/a.nii" "$work/a.nii" >/dev/null 2>"$work/log"
expect "headers that agree are not warned of" test "$(grep -c 'voxels\|axes' "$work/log")" = 0
"$twinseg" evaluate "$work/spacing.nii" "$work/a.nii" >/dev/null 2>"$work/log"
expect "another voxel size is warned of" \
    grep -q "spacing.nii' has voxels of 6x6x2 mm, its truth '.*a.nii' of 6x6x6 mm" "$work/log"
"$twinseg" evaluate "$work/turned.nii" "$work/a.nii" >/dev/null 2>"$work/log"
expect "axes of another direction are warned of" grep -q "may be flipped" "$work/log"
cp "$work/a.nii" "$work/flipped.nii" # the sign of srow_x[0], byte 283
sign=$(od -An -tu1 -j283 -N1 "$work/a.nii")
printf "\\$(printf %o $((sign ^ 128)))" | dd of="$work/flipped.nii" bs=1 seek=283 conv=notrunc 2>/dev/null
"$twinseg" evaluate "$work/flipped.nii" "$work/a.nii" >/dev/null 2>"$work/log"
expect "so is one axis that runs the other way" grep -q "may be flipped" "$work/log"
printf '\0\0\0\0' | dd of="$work/a.nii" bs=1 seek=252 conv=notrunc 2>/dev/null # qform_code, sform_code
cp "$work/a.nii" "$work/b.nii"
"$twinseg" evaluate "$work/a.nii" "$work/b.nii" >/dev/null 2>"$work/log"
expect "a guessed orientation is warned of, once a case" \
    test "$(grep -c "a.nii' does not say how its voxels lie" "$work/log")$(grep -c 'does not say how' "$work/log")" = 11

# ---- output ----
mkdir "$work/odd" "$work/bin"
cp "$work/a.nii" "$work/odd/=1+2.nii"
cp "$work/a.nii" "$work/odd/$(printf 'two\nlines').nii"
"$twinseg" evaluate "$work/odd" "$work/odd" -o "$work/h.csv" >/dev/null 2>&1
expect "a case's name is no formula in a spreadsheet" grep -q "^'=1+2,WT,1" "$work/h.csv"
expect "and its newline stays within quotes" grep -q '^lines",WT,1' "$work/h.csv"
"$twinseg" evaluate "$work/plain" "$work/plain" -o "$work/nowhere/x.csv" >"$work/log" 2>&1
expect "a missing folder for the CSV is refused" test $? -eq 1
expect "before any case is scored" test "$(grep -c 'nowhere/x.csv' "$work/log")$(wc -l <"$work/log")" = 14
"$twinseg" tune "$work/mixed" "$work/plain" --write "$work/nomodel.safetensors" >/dev/null 2>"$work/log"
expect "tune: a missing model is named before the work" grep -q "nomodel.safetensors" "$work/log"
"$twinseg" tune "$work/odd" "$work/plain" >/dev/null 2>"$work/log"
expect "tune: two folders without a common case" grep -q "^twinseg: 0 cases are both predicted" "$work/log"
check "tune: a case that two folders predict" 1 "case .* is predicted twice, in .*plain/.* and .*plain/" \
    "$twinseg" tune "$work/plain,$work/plain" "$work/plain"

# ---- what dataset.json and predict.json say of the values ----
mkdir "$work/own"
for id in $ids; do
    cp "$work/2023/$id/$id-seg.nii.gz" "$work/own/$id.nii.gz"
done
wt_tc_et='(WT|TC|ET),1,0,1,'
for layout in msd nnunet; do
    "$twinseg" convert "$work/truth" --to $layout -o "$work/$layout" >/dev/null 2>&1
    check "$layout: labelsTr is read by its dataset.json" 0 \
        "labels of '.*labelsTr' are read as msd .1 ED, 2 NCR, 3 ET., as '.*$layout/dataset.json' says" \
        "$twinseg" evaluate "$work/own" "$work/$layout/labelsTr" -o "$work/g.csv"
    expect "$layout: predictions that are right score 1" test "$(grep -cE "$wt_tc_et" "$work/g.csv")" = 9
    check "$layout: so is one file of it" 0 "are read as msd" \
        "$twinseg" evaluate "$work/own/$1.nii.gz" "$work/$layout/labelsTr/$1.nii.gz" -o "$work/g.csv"
    expect "$layout: which scores 1" test "$(grep -cE "$wt_tc_et" "$work/g.csv")" = 3
    (cd "$work/$layout/labelsTr" && "$twinseg" evaluate ../../own . -o "$work/g.csv" >/dev/null 2>&1)
    expect "$layout: also from within" test "$(grep -cE "$wt_tc_et" "$work/g.csv")" = 9
    check "$layout: --labels that contradicts is warned of" 0 "as requested, but '.*dataset.json' says msd" \
        "$twinseg" evaluate "$work/own" "$work/$layout/labelsTr" --labels auto,brats2023 -o "$work/g.csv"
    expect "$layout: and is what counts" test "$(grep -cE 'TC,1,0,1,' "$work/g.csv")" = 0
    check "$layout: --labels that agrees is not" 0 '^region' \
        "$twinseg" evaluate "$work/own" "$work/$layout/labelsTr" --labels auto,msd -o "$work/g.csv"
    expect "$layout: nor noted" test -z "$(grep dataset.json "$work/said")"
done
cp -r "$work/nnunet/labelsTr" "$work/theirs" # as nnU-Net's predict leaves them
cp "$work/nnunet/dataset.json" "$work/theirs/"
check "predictions beside a dataset.json are read by it" 0 "labels of '.*theirs' are read as msd" \
    "$twinseg" evaluate "$work/theirs" "$work/plain" -o "$work/g.csv"
expect "and score 1" test "$(grep -cE "$wt_tc_et" "$work/g.csv")" = 9
mkdir "$work/nnunet/predictions" && cp "$work"/own/* "$work/nnunet/predictions/"
"$twinseg" evaluate "$work/nnunet/predictions" "$work/nnunet/labelsTr" -o "$work/g.csv" >/dev/null 2>&1
expect "a dataset.json above predictions is not theirs" test "$(grep -cE "$wt_tc_et" "$work/g.csv")" = 9
mkdir "$work/recorded" && cp "$work"/msd/labelsTr/* "$work/recorded/"
echo '{"models": [], "settings": {"labels": "msd"}}' >"$work/recorded/predict.json"
check "predict.json tells too" 0 "as '.*predict.json' says" \
    "$twinseg" evaluate "$work/recorded" "$work/plain" -o "$work/g.csv"
expect "and they score 1" test "$(grep -cE "$wt_tc_et" "$work/g.csv")" = 9
check "tune reads them alike" 0 'as predicted +1.0000 +1.0000 +1.0000' \
    "$twinseg" tune "$work/own" "$work/nnunet/labelsTr"
check "and predictions by predict.json" 0 'as predicted +1.0000 +1.0000 +1.0000' \
    "$twinseg" tune "$work/recorded" "$work/plain"
check "picture --truth reads by dataset.json" 0 'are read as msd' "$twinseg" picture "$work/p.png" \
    --flair "$work/truth/$1/$1_flair.nii.gz" --truth "$work/msd/labelsTr/$1.nii.gz"
sed 's/"edema"/"stroke"/' "$work/msd/dataset.json" >"$work/d.json" && mv "$work/d.json" "$work/msd/dataset.json"
for command in evaluate tune; do
    check "$command: labels that are not known are refused" 1 \
        "msd/dataset.json' names the labels '.*stroke.*--labels NAME" \
        "$twinseg" $command "$work/own" "$work/msd/labelsTr"
    check "$command: unless --labels says what they are" 0 '1.0000' \
        "$twinseg" $command "$work/own" "$work/msd/labelsTr" --labels auto,msd
done

finish
