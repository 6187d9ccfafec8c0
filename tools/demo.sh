#!/bin/bash
# The whole job on made brains: a phantom cohort, teacher and student (FLAIR + T1CE) trained in one
# stage, held-out cases segmented and scored, and pictures. `make demo` builds what it needs first.
# Where real cases are at hand, in ../shared/brats or in $TWINSEG_SHARED/brats, they are segmented with the
# model that comes with the program.
#   demo.sh FOLDER      the folder is made anew; 20 cases to train on, 4 held out, 2 mm voxels
set -eu
export LC_ALL=C
here=$(cd "$(dirname "$0")/.." && pwd)
build=${BUILD:-$here/build}
twinseg=$build/twinseg
folder=$1
started=$(date +%s)

title() {
    printf '\n== %s (%d s)\n' "$1" $(($(date +%s) - started))
}

rm -rf "$folder"
mkdir -p "$folder"

title "20 made brains to train on, 4 others to be scored"
"$twinseg" phantom "$folder/train" --cases 20 --seed 1 --size 120,120,78
"$twinseg" phantom "$folder/held-out" --cases 4 --seed 2 --size 120,120,78

title "a student (FLAIR, T1CE) beside a teacher (all four), in one stage"
"$twinseg" train "$folder/train" --student flair,t1ce --preset demo --out "$folder/run"

# predict WHO MODEL: segments the held-out cases and scores them by region.
predict() {
    "$twinseg" predict "$folder/run/$2" --data "$folder/held-out" -o "$folder/$1"
    "$twinseg" evaluate "$folder/$1" "$folder/held-out" --convention legacy \
        -o "$folder/scores-$1.csv" >"$folder/scores-$1.txt"
}

title "the held-out cases, segmented and scored"
predict student model.safetensors
predict teacher teacher.safetensors

title "pictures"
for id in $(cd "$folder/held-out" && ls); do
    case=$folder/held-out/$id/$id
    "$twinseg" picture "$folder/$id.png" --t1 "${case}_t1.nii.gz" --t1ce "${case}_t1ce.nii.gz" \
        --t2 "${case}_t2.nii.gz" --flair "${case}_flair.nii.gz" --truth "${case}_seg.nii.gz" \
        --prediction "$folder/student/$id.nii.gz" --title "phantom ${id#BraTS2021_}: the student's outlines"
done
"$twinseg" picture "$folder/curves.png" --run "$folder/run"

# Real patients, with the model in models/; those it was trained on are named in docs/models.md, "The patients".
real=${TWINSEG_SHARED:-$here/../shared}/brats
if [ -d "$real" ]; then
    title "real cases of $real, segmented with --model flair-t1ce"
    "$twinseg" predict --model flair-t1ce --data "$real" -o "$folder/real"
    "$twinseg" evaluate "$folder/real" "$real" --convention legacy -o "$folder/scores-real.csv" >/dev/null
fi

# Means over the cases; columns are found by name.
mean() {
    awk -F, -v region="$2" 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
        $at["region"] == region { sum += $at["dice"]; n++ }
        END { printf "%.3f", sum / n }' "$folder/scores-$1.csv"
}

printf '\n%-28s %6s %6s %6s\n' 'Dice of 4 held-out phantoms' WT TC ET
printf -- '-------------------------------------------------\n'
printf '%-28s %6s %6s %6s\n' 'student (FLAIR, T1CE)' "$(mean student WT)" "$(mean student TC)" \
    "$(mean student ET)"
printf '%-28s %6s %6s %6s\n' 'teacher (all four)' "$(mean teacher WT)" "$(mean teacher TC)" \
    "$(mean teacher ET)"
if [ -d "$real" ]; then
    trained_on=$(sed -n '/^## The patients/,$p' "$here/docs/models.md")
    printf '\n%-28s %6s %6s %6s\n' 'Dice of real cases' WT TC ET
    printf -- '-------------------------------------------------\n'
    awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
        { dice[$1, $at["region"]] = $at["dice"]; if (!seen[$1]++) ids[++n] = $1 }
        END { for (i = 1; i <= n; i++)
            printf "%-28s %6.3f %6.3f %6.3f\n", ids[i], dice[ids[i], "WT"], dice[ids[i], "TC"], dice[ids[i], "ET"] }' \
        "$folder/scores-real.csv" | while read -r id scores; do
        printf '%-28s %s%s\n' "$id" "$scores" "$(grep -qw -- "$id" <<<"$trained_on" && echo '  trained on')"
    done
fi
printf '\nslices  %s/*.png\ncurves  %s\n' "$folder" "$folder/curves.png"
printf 'time    %d s%s\n' $(($(date +%s) - started)) "${DEMO_BEFORE:+, after $DEMO_BEFORE s of packages and building}"
echo "Made brains, research use: not a medical device."
