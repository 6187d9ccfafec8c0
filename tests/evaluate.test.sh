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
finish
