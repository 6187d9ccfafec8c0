#!/bin/bash
# twinseg measure: what it prints and writes, and what it refuses.
. tests/common.sh
"$build/tests/test_measure" --make . || { echo "not ok - make the files"; exit 1; }
measure() { "$twinseg" measure "$@"; }

check "a label file" 0 '^seg$' measure seg.nii.gz -o m.csv --brain brain.nii.gz
expect "its volumes" grep -q 'ml: NCR 0.00, ED [0-9.]*, ET 7.10; tumour core 7.10, whole tumour 16.94' said
expect "its lesion" grep -qE '^1 +7.10 +24.4 x 24.4 +593 +25.5 +14 .* yes +right$' said
expect "how sides were told" grep -q 'sides by the middle of the brain' said
expect "a table of 8 rows" test "$(wc -l <m.csv)" -eq 8
expect "as many cells in each" test "$(awk -F, '{print NF}' m.csv | sort -u)" = 17
check "several files" 0 'no such' sh -c "'$twinseg' measure seg.nii.gz other.nii.gz -o m.json && echo no such"
expect "two lesions, the small one on the left" grep -qE '^2 .* no +left$' said
if command -v python3 >/dev/null; then
    check "JSON that others read" 0 'seg 1 other 2 grid' python3 -c '
import json
cases = json.load(open("m.json"))["cases"]
print(*[w for c in cases for w in (c["case"], len(c["lesions"]))], cases[0]["midline_of"])
lesion = cases[0]["lesions"][0]
assert abs(lesion["axial"]["mm"] * lesion["perpendicular"]["mm"] - lesion["product_mm2"]) < 1e-6
assert lesion["measurable"] is True and lesion["side"] == "right"'
    check "the same by --json" 0 . measure seg.nii.gz other.nii.gz --json
    expect "byte by byte" cmp <(cat m.json; echo) said
fi
check "another ending" 2 'must end in .csv or .json' measure seg.nii.gz -o m.txt
check "over its input" 2 'would overwrite' sh -c "cp seg.nii.gz seg.csv; '$twinseg' measure seg.csv -o seg.csv"
check "a brain of several" 2 'goes with a single SEG' measure seg.nii.gz other.nii.gz --brain brain.nii.gz
"$twinseg" phantom cohort --cases 1 --size 32,32,24 >/dev/null
case=cohort/BraTS2021_00000/BraTS2021_00000
check "a brain on another grid" 1 'lies on another grid' measure seg.nii.gz --brain ${case}_t1.nii.gz
check "an image is no label file" 1 'not a label|whole number|labels' measure ${case}_t1.nii.gz
check "a file that is not there" 1 'no.nii.gz' measure seg.nii.gz no.nii.gz -o new.csv
expect "and nothing is written" test ! -e new.csv
check "a phantom's truth, read as BraTS writes it" 0 'ET [0-9.]*[1-9]' measure ${case}_seg.nii.gz
gunzip -c seg.nii.gz >flat.nii
printf '\0\0\0\0' | dd of=flat.nii bs=1 seek=80 conv=notrunc status=none # pixdim[1]
for at in 280 284 288; do printf '\0\0\0\0' | dd of=flat.nii bs=1 seek=$at conv=notrunc status=none; done
check "voxels without a size" 1 'flat.nii' measure flat.nii
finish
