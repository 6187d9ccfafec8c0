#!/bin/bash
# twinseg picture on the command line.
. tests/common.sh
is_png() { [ "$(head -c 4 "$1" | od -An -tx1 | tr -d ' ')" = 89504e47 ]; }

"$twinseg" phantom data --cases 2 --size 40,40,26 2>said || cat said
"$twinseg" phantom other --cases 1 --size 32,32,21 2>said || cat said
c=data/BraTS2021_00000/BraTS2021_00000 d=data/BraTS2021_00001/BraTS2021_00001
o=other/BraTS2021_00000/BraTS2021_00000
check "a case" 0 '^case.png$' "$twinseg" picture case.png --t1ce ${c}_t1ce.nii.gz --flair ${c}_flair.nii.gz \
    --truth ${c}_seg.nii.gz --prediction ${d}_seg.nii.gz --title "a phantom"
expect "a PNG" is_png case.png
mkdir run && printf 'step,loss_student,dice_student_wt\n1,2,\n2,1.5,0.4\n' >run/metrics.csv
check "a run" 0 '^run.png$' "$twinseg" picture run.png --run run
expect "a PNG" is_png run.png

check "no image" 2 'at least one image' "$twinseg" picture x.png --truth ${c}_seg.nii.gz
check "an image and a run" 2 'or --run' "$twinseg" picture x.png --t1 ${c}_t1.nii.gz --run run
check "another grid" 1 'differ in grid' "$twinseg" picture x.png --t1 ${c}_t1.nii.gz \
    --t2 ${o}_t2.nii.gz
check "a truth of another shape" 1 'another shape' "$twinseg" picture x.png --t1 ${c}_t1.nii.gz \
    --truth ${o}_seg.nii.gz
check "a missing file" 1 "none.nii.gz" "$twinseg" picture x.png --t1 none.nii.gz
check "no metrics" 1 'metrics.csv' "$twinseg" picture x.png --run data
check "an unwritable place" 1 'nowhere/x.png' "$twinseg" picture nowhere/x.png --run run
expect "nothing was written by what failed" test ! -e x.png
exit $((failures > 0))
