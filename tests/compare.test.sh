#!/bin/bash
# twinseg compare: what it prints and writes of two made dates, and what it refuses.
. tests/common.sh
"$build/tests/test_compare" --make . || { echo "not ok - make the files"; exit 1; }
compare() { "$twinseg" compare "$@"; }

check "two dates" 0 '^ET +7.07 +11.56 +\+4.49 +\+63.5' compare date1 date2/ -o out
expect "the same lesion, larger" grep -qE '^lesion 1, ET +2.14 +5.44 .* the same, left$' said
expect "a new one" grep -qE ' 0.00 +1.39 +\+1.39 +- +new, right$' said
expect "one that is gone" grep -qE ' 1.09 +0.00 +-1.09 +-100.0 +gone, right$' said
expect "two that merged, one that split" test "$(grep -cE 'merged, left$|split, right$' said)" -eq 2
expect "how they were registered" grep -q 'registered by t1ce: turned 9.0 degrees, shifted 10.1 mm' said
expect "its files" test "$(cd out && ls -A | tr '\n' ' ')" = "compare.csv compare.json compare.png "
expect "a table of 17 rows" test "$(wc -l <out/compare.csv)" -eq 17
expect "as many cells in each" test "$(awk -F, '{print NF}' out/compare.csv | sort -u)" = 7
if command -v python3 >/dev/null; then
    check "JSON that others read" 0 '^gone merged new split the same$' python3 -c '
import json
c = json.load(open("out/compare.json"))
print(*sorted(l["state"] for l in c["lesions"]))
assert c["volumes_ml"]["NCR"]["change_percent"] is None
for l in c["lesions"]:
    assert abs(l["et_ml"]["after"] - l["et_ml"]["before"] - l["et_ml"]["change"]) < 1e-9
assert sum(len(l["before"]) for l in c["lesions"]) == 5'
fi
compare date1 date2 -o again --threads 1 >/dev/null 2>&1
expect "the same bytes with one thread" sh -c 'for f in json csv png; do cmp out/compare.$f again/compare.$f; done'
mkdir flat && cp date2/images/t1ce.nii.gz flat/P_t1ce.nii.gz && cp date2/seg.nii.gz flat/P_seg.nii.gz
check "a case's own folder" 0 'merged' compare date1 flat
mkdir other && cp date2/images/t1ce.nii.gz other/P_t2.nii.gz && cp date2/seg.nii.gz other/seg.nii.gz
check "images of two kinds" 0 'have no image of one kind: t1ce and t2 are' compare date1 other
check "a folder that is not there" 1 "'no' is not a folder" compare date1 no
mkdir bare && cp date1/images/t1ce.nii.gz bare/P_t1ce.nii.gz
check "no labels" 1 "'bare' holds no labels" compare bare date2
"$twinseg" phantom cohort --cases 2 --size 32,32,24 >/dev/null 2>&1
check "a data set" 1 'holds 2 cases: give the folder of a single one' compare cohort date2
mkdir -p mixed/images && cp date1/images/t1ce.nii.gz mixed/images/ && cp cohort/*00000/*_seg.nii.gz mixed/seg.nii.gz
check "labels on another grid" 1 'lie on different grids' compare mixed date2 -o none
expect "and nothing is written" test ! -e none
finish
