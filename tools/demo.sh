#!/bin/bash
# The whole workflow on phantoms: makes a cohort, trains teacher and student (FLAIR + T1CE) in one stage,
# segments and scores held-out cases, and draws pictures. `make demo` builds the program first.
# Real cases in ../shared/brats or $TWINSEG_SHARED/brats, if there are any, are segmented with the included
# model.
#   demo.sh FOLDER      FOLDER is deleted first; 20 cases to train on, 4 held out, 2 mm voxels
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

title "Making 20 phantoms to train on and 4 to test on"
"$twinseg" phantom "$folder/train" --cases 20 --seed 1 --size 120,120,78
"$twinseg" phantom "$folder/held-out" --cases 4 --seed 2 --size 120,120,78

title "Training a student (FLAIR, T1CE) and a teacher (all four modalities) in one stage"
"$twinseg" train "$folder/train" --student flair,t1ce --preset demo --out "$folder/run"

# predict WHO MODEL: segments the held-out cases and scores them by region.
predict() {
    "$twinseg" predict "$folder/run/$2" --data "$folder/held-out" -o "$folder/$1"
    "$twinseg" evaluate "$folder/$1" "$folder/held-out" --convention legacy \
        -o "$folder/scores-$1.csv" >"$folder/scores-$1.txt"
}

title "Segmenting and scoring the held-out cases"
predict student model.safetensors
predict teacher teacher.safetensors

title "Drawing pictures"
for id in $(cd "$folder/held-out" && ls); do
    case=$folder/held-out/$id/$id
    "$twinseg" picture "$folder/$id.png" --t1 "${case}_t1.nii.gz" --t1ce "${case}_t1ce.nii.gz" \
        --t2 "${case}_t2.nii.gz" --flair "${case}_flair.nii.gz" --truth "${case}_seg.nii.gz" \
        --prediction "$folder/student/$id.nii.gz" --title "Phantom ${id#BraTS2021_}: the student's outlines"
done
"$twinseg" picture "$folder/curves.png" --run "$folder/run"

# Real patients, with the included model; docs/models.md, "The patients", names those it was trained on.
real=${TWINSEG_SHARED:-$here/../shared}/brats
if [ -d "$real" ]; then
    title "Segmenting the real cases of $real with --model flair-t1ce"
    "$twinseg" predict --model flair-t1ce --data "$real" -o "$folder/real"
    "$twinseg" evaluate "$folder/real" "$real" --convention legacy -o "$folder/scores-real.csv" >/dev/null
fi

# mean WHO REGION: of the Dice over the cases.
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
printf 'time    %d s%s\n' $(($(date +%s) - started)) "${DEMO_BEFORE:+, after $DEMO_BEFORE s of installing and building}"
echo "Phantoms, for research only: not a medical device."
