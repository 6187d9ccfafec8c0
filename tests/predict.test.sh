#!/bin/bash
# twinseg predict on a small random model and a synthetic patient: what it writes and what it refuses.
. tests/common.sh
"$build/tests/test_predict_case" --make . || { echo "not ok - make the files"; exit 1; }
predict() { "$twinseg" predict "$@"; }
both=(--flair flair.nii.gz --t1ce t1ce.nii.gz)

check "a patient" 0 'seg.nii.gz' predict model.safetensors "${both[@]}" -o seg.nii.gz
expect "its file" test -s seg.nii.gz
cp seg.nii.gz first.nii.gz
check "again, over what is there" 0 'seg.nii.gz' predict model.safetensors "${both[@]}" -o seg.nii.gz threads=3
expect "the same bytes" cmp seg.nii.gz first.nii.gz
check "probabilities" 0 . predict model.safetensors "${both[@]}" -o seg.nii --probabilities p.nii --verbose
expect "windows and memory said" grep -qE 'windows of 16x16x16, .* MiB' said
expect "four float volumes" test "$(stat -c %s p.nii)" -ge $((24 * 20 * 18 * 16 + 352))
check "mirrored" 0 . predict model.safetensors "${both[@]}" -o mirrored.nii.gz --mirror
expect "mirroring changes something" test "$(cmp seg.nii.gz mirrored.nii.gz >/dev/null; echo $?)" = 1
mkdir run && cp model.safetensors run
check "a run folder, and two models" 0 . predict run,model.safetensors "${both[@]}" -o two.nii.gz
expect "the same model twice changes nothing" cmp two.nii.gz first.nii.gz
check "an unused modality" 0 'note: --t2 is not used' predict run "${both[@]}" --t2 t2.nii.gz -o seg.nii.gz

gunzip -c flair.nii.gz >noform.nii
printf '\0\0\0\0' | dd of=noform.nii bs=1 seek=252 conv=notrunc status=none # qform_code, sform_code
check "a guessed orientation" 0 "warning: .*'noform.nii' does not say how its voxels lie" \
    predict any.safetensors --flair noform.nii -o doubt.nii.gz
gunzip -c flair.nii.gz >sizes.nii
printf '\0\0\0\x40' | dd of=sizes.nii bs=1 seek=80 conv=notrunc status=none # pixdim of x: 2
check "voxel sizes that contradict the affine" 0 "warning: .*'sizes.nii' contradicts itself" \
    predict any.safetensors --flair sizes.nii -o doubt.nii.gz
mkdir doubts && cp noform.nii doubts/case1_flair.nii && cp noform.nii doubts/case1_t1.nii
check "the same in a folder" 0 "warning: .*case1_t1.nii' does not say how its voxels lie" \
    predict any.safetensors --data doubts -o doubted
expect "once a case" test "$(grep -c 'does not say' said)" = 1

cp noform.nii doubts/case2_flair.nii && cp noform.nii doubts/case3_flair.nii
check "a model that computes infinities ends the work" 1 "^twinseg: case case1: the model '.*diverged.*' computes infin" \
    predict diverged.safetensors --data doubts -o diverged
expect "at the first case" test "$(grep -c 'computes infinite' said)" = 1
expect "with no result" test -z "$(ls diverged | grep nii)"

combinations=0
for subset in $(printf '%s\n' {,t1}{,+t1ce}{,+t2}{,+flair} | sed 's/^+//' | grep .); do
    check "any subset: $subset" 0 "from ${subset//+/,}," \
        predict any.safetensors $(for m in ${subset//+/ }; do echo "--$m $m.nii.gz"; done) -o any-$subset.nii.gz
    combinations=$((combinations + 1))
done
expect "15 combinations" test $combinations = 15
expect "each is a result of its own" test "$(md5sum any-*.nii.gz | cut -d' ' -f1 | sort -u | wc -l)" = 15
check "any subset and a plain model are not averaged" 1 'takes any modalities' \
    predict any.safetensors,model.safetensors "${both[@]}" -o none.nii.gz
mkdir models && cp any.safetensors models/mine.safetensors
mkdir -p installed/bin installed/share/twinseg && cp "$twinseg" installed/bin && cp -r models installed/share/twinseg
mkdir -p tree/build && cp "$twinseg" tree/build && cp -r models tree
check "a model by name, beside an installed program" 0 'from flair' \
    installed/bin/twinseg predict --model mine --flair flair.nii.gz -o named.nii.gz
check "a model by name, in the source tree" 0 'from flair' \
    tree/build/twinseg predict --model mine --flair flair.nii.gz -o named2.nii.gz
expect "both are the model itself" cmp <(cat named.nii.gz named2.nii.gz) <(cat any-flair.nii.gz any-flair.nii.gz)
check "a model by path" 0 'from flair' predict --model models/mine.safetensors --flair flair.nii.gz -o named.nii.gz
check "a name that is not there" 1 "'yours'.*mine" \
    tree/build/twinseg predict --model yours --flair flair.nii.gz -o none.nii.gz
check "two models" 2 'once' predict any.safetensors --model mine --flair flair.nii.gz -o none.nii.gz
check "no model named" 2 'MODEL' predict --flair flair.nii.gz -o none.nii.gz

check "a missing modality" 1 'needs t1ce,flair; given: t1,flair; missing: t1ce' \
    predict run --flair flair.nii.gz --t1 t1.nii.gz -o none.nii.gz
check "no model" 1 "nowhere" predict nowhere "${both[@]}" -o none.nii.gz
mkdir empty
check "an unfinished run" 1 'holds no model.safetensors' predict empty "${both[@]}" -o none.nii.gz
head -c 1000 model.safetensors >cut.safetensors
check "a model cut short" 1 "cut.safetensors" predict cut.safetensors "${both[@]}" -o none.nii.gz
head -c 3000 flair.nii.gz >cut.nii.gz
check "an image cut short" 1 "cut.nii.gz" predict run --flair cut.nii.gz --t1ce t1ce.nii.gz -o none.nii.gz
check "an image that is not there" 1 "gone.nii.gz" predict run --flair gone.nii.gz --t1ce t1ce.nii.gz -o none.nii.gz
check "one file twice" 1 'the same file' predict run --flair t1ce.nii.gz --t1ce t1ce.nii.gz -o none.nii.gz
check "an output over an input" 1 'would overwrite' predict run "${both[@]}" -o flair.nii.gz
check "an output of another kind" 1 'must end in .nii' predict run "${both[@]}" -o none.png
check "an output folder that is not there" 1 'nodir' predict run "${both[@]}" -o nodir/none.nii.gz
expect "nothing was written" test ! -e none.nii.gz
if [ "$(id -u)" -ne 0 ]; then
    mkdir locked && chmod a-w locked
    check "a read-only folder" 1 'locked' predict run "${both[@]}" -o locked/none.nii.gz
else
    echo "skip - a read-only folder: root may write everywhere"
fi
full() { (trap '' XFSZ; ulimit -f 1; predict run "${both[@]}" -o full.nii); }
check "a full disk" 1 'full.nii' full
expect "nothing half-written" test -z "$(ls | grep -v -e '^p.nii' | grep '^full')"

mkdir dicom && { head -c 128 /dev/zero; printf DICM; head -c 500 /dev/zero; } >dicom/0001
check "a DICOM folder" 1 "'dicom' is a folder of DICOM files: 'twinseg prepare'" \
    predict run --flair dicom --t1ce t1ce.nii.gz -o none.nii.gz
check "a DICOM file" 1 "'dicom/0001' is not a NIfTI file: it is DICOM .'twinseg prepare'" \
    predict run --flair dicom/0001 --t1ce t1ce.nii.gz -o none.nii.gz
check "a data set of DICOM" 1 "DICOM.*twinseg prepare" predict run --data dicom -o none

check "no output" 2 'where shall' predict run "${both[@]}"
check "no input" 2 'either' predict run -o none.nii.gz
check "files and a folder" 2 'either' predict run "${both[@]}" --data . -o out
check "a setting of training" 2 'not a setting' predict run "${both[@]}" -o none.nii.gz base=8
check "a setting out of range" 2 'window_step' predict run "${both[@]}" -o none.nii.gz window_step=7

for i in 1 2 3; do
    mkdir -p data/BraTS2021_0000$i
    for m in flair t1 t1ce t2; do cp $m.nii.gz data/BraTS2021_0000$i/BraTS2021_0000${i}_$m.nii.gz; done
done
head -c 2000 flair.nii.gz >data/BraTS2021_00002/BraTS2021_00002_flair.nii.gz
check "a folder with a broken case" 1 '2 written, 0 there already and kept, 1 failed' predict run --data data -o out
expect "the others went on" cmp out/BraTS2021_00003.nii.gz first.nii.gz
cp flair.nii.gz data/BraTS2021_00002/BraTS2021_00002_flair.nii.gz
head -c 100 first.nii.gz >out/BraTS2021_00001.nii.gz
check "it goes on where it stopped" 0 '2 written, 1 there already and kept, 0 failed' predict run --data data -o out
expect "a damaged result was made again" cmp out/BraTS2021_00001.nii.gz first.nii.gz
check "other settings, the same folder" 1 'other settings' predict run --data data -o out mirror=on
check "no such data" 1 'nodata' predict run --data nodata -o out2

# a folder that is another's: nothing is written, nothing is claimed
state() { find "$1" -type f | sort | xargs md5sum | md5sum; }
mkdir foreign && cp first.nii.gz foreign/BraTS2021_00002.nii.gz
before=$(state foreign)
check "results of another program" 1 \
    "'foreign' holds files that are not predictions of twinseg, such as 'BraTS2021_00002.nii.gz'" \
    predict run --data data -o foreign
expect "nothing was written" test "$(state foreign)" = "$before"
cp first.nii.gz out/patient7.nii.gz
check "one among ours" 1 "such as 'patient7.nii.gz' .its predict.json does not name that case" \
    predict run --data data -o out
rm out/patient7.nii.gz
check "without it" 0 '0 written, 3 there already and kept' predict run --data data -o out
expect "the record names the cases" test "$(grep -c '"BraTS2021_0000' out/predict.json)" = 3
mkdir more && cp -r data/BraTS2021_00001 more/BraTS2021_00009
rename=more/BraTS2021_00009/BraTS2021_0000
for m in flair t1 t1ce t2; do mv ${rename}1_$m.nii.gz ${rename}9_$m.nii.gz; done
check "a second data set into the same folder" 0 '1 written, 0 there already' predict run --data more -o out
check "and the first again" 0 '0 written, 3 there already and kept' predict run --data data -o out
expect "a row a case" test "$(cut -d, -f1 out/confidence.csv | sort -u | wc -l)" = 5

# several processes may predict into one folder: what each reads, changes and writes there is its own
mkdir third && cp -r more/BraTS2021_00009 third/BraTS2021_00012
rename=third/BraTS2021_00012/BraTS2021_000
for m in flair t1 t1ce t2; do mv ${rename}09_$m.nii.gz ${rename}12_$m.nii.gz; done
flock out sh -c 'touch begun; sleep 1; cp out/predict.json seen.json' &
while [ ! -e begun ]; do sleep 0.02; done
check "into a folder that another process holds" 0 '1 written' predict run --data third -o out
wait
expect "the record waited for it" test "$(grep -c BraTS2021_00012 seen.json)" = 0
expect "and names the case" grep -q BraTS2021_00012 out/predict.json

mkdir -p raw/imagesTr raw/labelsTr
echo '{"channel_names": {"0": "T1ce", "1": "FLAIR"}, "labels": {"background": 0, "NCR": 1, "ED": 2, "ET": 3},
    "numTraining": 1, "file_ending": ".nii.gz"}' >raw/dataset.json
cp t1ce.nii.gz raw/imagesTr/c_0000.nii.gz && cp flair.nii.gz raw/imagesTr/c_0001.nii.gz
before=$(state raw)
for place in raw raw/ ./raw/labelsTr "$PWD/raw/labelsTr/" raw/imagesTr raw/labelsTs; do
    check "into the data set: $place" 1 "belongs to the data set 'raw'" predict run --data raw -o "$place"
done
check "into a case's folder" 1 "belongs to the data set 'more'" predict run --data more -o more/BraTS2021_00009
expect "nothing was written" test "$(state raw)" = "$before"
check "beside the images" 0 '1 written' predict run --data raw -o raw/predictions

[ $failures -eq 0 ]
