#!/bin/bash
# twinseg evaluate --subsets at the command line, on a phantom: the table of all 15 subsets has the
# scores that predict and evaluate give, in the order of the literature, in its three forms.
. tests/common.sh

"$twinseg" phantom "$work/data" --cases 3 --seed 3 --size 40,40,26 >"$work/log" 2>&1 ||
    { cat "$work/log"; echo "not ok - phantom cohort"; exit 1; }
tiny="--preset tiny spacing=6 patch=16 base=4 stages=3 steps=30 validate_steps=0"
"$twinseg" train "$work/data" $tiny --method any-subset --out "$work/any" >"$work/log" 2>&1
"$twinseg" train "$work/data" $tiny --method student-only --student t1,flair --out "$work/fixed" >"$work/log" 2>&1
cp -r "$work/data" "$work/lacking"
rm "$work"/lacking/BraTS2021_00001/*_t1.nii.gz

table() { "$twinseg" evaluate "$work/any" "$work/data" --subsets "$@"; }
check "all subsets" 0 "^\| mean of 15 \| \| \| \| " table "$work/all"
expect "what is shown is subsets.md" diff <(grep '^|' "$work/said") <(grep '^|' "$work/all/subsets.md")
expect "... a row a subset, and their mean" test "$(grep -c '^| [●○]' "$work/said")" -eq 15
expect "in the order of the literature" test "$(cut -d, -f1 "$work/all/subsets.csv" | tr '\n' ' ')" = \
    "modalities t2 t1ce t1 flair t1ce+t2 t1+t1ce t1+flair t1+t2 t2+flair t1ce+flair t1+t1ce+flair t1+t2+flair \
t1ce+t2+flair t1+t1ce+t2 t1+t1ce+t2+flair mean "
# the circles of the table as the names of the CSV
circles() {
    awk -F' *[|] *' '/^\| [●○]/ { split("x FLAIR T1 T1CE T2", name, " "); s = ""
        if ($3 == "●") s = s "+t1"; if ($4 == "●") s = s "+t1ce"; if ($5 == "●") s = s "+t2"
        if ($2 == "●") s = s "+flair"; print substr(s, 2) }' "$work/all/subsets.md"
}
expect "the circles say what was given" diff <(circles) <(sed '1d;$d' "$work/all/subsets.csv" | cut -d, -f1)

# one subset, as the user's own commands give it
mkdir "$work/truth" "$work/two"
cp "$work"/data/*/*_seg.nii.gz "$work/truth"
for case in "$work"/data/*; do
    mkdir "$work/two/$(basename "$case")" && cp "$case"/*_t1.nii.gz "$case"/*_flair.nii.gz "$work/two/$(basename "$case")"
done
"$twinseg" predict "$work/any" --data "$work/two" -o "$work/predicted" >"$work/log" 2>&1
for case in "$work"/predicted/*.nii.gz; do
    expect "$(basename "$case") is that of predict" cmp "$case" "$work/all/t1+flair/$(basename "$case")"
done
"$twinseg" evaluate "$work/predicted" "$work/truth" --convention legacy -o "$work/legacy.csv" >"$work/log" 2>&1
expect "the scores are those of evaluate" diff <(sed 1d "$work/legacy.csv" | cut -d, -f1-4) \
    <(sed -n 's/^t1+flair,//p' "$work/all/scores.csv")
expect "some of them is not 0" awk -F, '/,WT,/ { s += $4 } END { exit !(s > 0.05) }' "$work/all/scores.csv"
# mean FIELD FILE KEY: over the rows that begin with KEY
expect "a row is the mean over the cases" awk -F, 'FNR == NR { if ($1 == "t1+flair" && $3 == "WT") { s += $4; n++ }; next }
    $1 == "t1+flair" { d = $3 - s / n; exit !(n == 3 && d < 1e-9 && d > -1e-9) }' \
    "$work/all/scores.csv" "$work/all/subsets.csv"
expect "the last row is the mean over the subsets" awk -F, 'NR > 1 && $1 != "mean" { s += $4; n++ }
    $1 == "mean" { d = $4 - s / n; exit !(n == 15 && d < 1e-9 && d > -1e-9) }' "$work/all/subsets.csv"
expect "in per cent in Markdown" test "$(sed -n '$p' "$work/all/subsets.csv" |
    awk -F, '{ printf "%.1f | %.1f | %.1f |", 100 * $3, 100 * $4, 100 * $5 }')" = \
    "$(grep 'mean of' "$work/all/subsets.md" | sed 's/.*| | | //')"
expect "... and the same in LaTeX" diff <(grep '^| ' "$work/all/subsets.md" | grep -o '[0-9]*\.[0-9]') \
    <(grep '\\\\$' "$work/all/subsets.tex" | grep -o '[0-9]*\.[0-9]')

cp "$work/all/subsets.csv" "$work/before.csv"
rm "$work/all/t2/BraTS2021_00000.nii.gz"
check "a second call predicts what is missing" 0 "case BraTS2021_00000 .1 of 3.: t2" table "$work/all"
expect "... and nothing else" test "$(grep -c 'expected Dice' "$work/said")" -eq 1
expect "... to the same table" cmp "$work/before.csv" "$work/all/subsets.csv"
check "by the lesion" 0 "^lesion-wise Dice" table "$work/all" --convention lesion
expect "... other figures" test "$(sed -n 2p "$work/all/subsets.csv")" != "$(sed -n 2p "$work/before.csv")"
check "other settings do not mix with what is there" 1 "another model or other settings" table "$work/all" mirror=on

check "cases that lack an image" 0 "^\| ○ \| ● \| ○ \| ○ \|.*\| 2 \|" \
    "$twinseg" evaluate "$work/any" "$work/lacking" --subsets "$work/some"
expect "... are scored on what they have" grep -q "^| ● | ○ | ○ | ○ |.*| 3 |" "$work/said"
check "two folders" 1 "case 'BraTS2021_00000' stands in" \
    "$twinseg" evaluate "$work/any" "$work/data" "$work/lacking" --subsets "$work/none"
check "a student of one subset" 1 "the model sees t1,flair and nothing else" \
    "$twinseg" evaluate "$work/fixed" "$work/data" --subsets "$work/none"
rm "$work"/lacking/*/*_seg.nii.gz
check "no truth" 1 "lacking': no case has a truth" "$twinseg" evaluate "$work/any" "$work/lacking" --subsets "$work/none"
check "a folder within the data" 1 "lies within the data set" table "$work/data/all"
check "another convention" 2 "legacy .the default. or lesion" table "$work/none" --convention panoptic
check "an option of the other form" 2 "leave out" table "$work/none" --json
check "settings without --subsets" 2 "'mirror=on' goes with --subsets" \
    "$twinseg" evaluate "$work/predicted" "$work/truth" mirror=on
check "three folders without --subsets" 2 "one argument too many" \
    "$twinseg" evaluate "$work/predicted" "$work/truth" "$work/data"
expect "refused calls leave nothing" test ! -e "$work/none" -a ! -e "$work/data/all"
finish
