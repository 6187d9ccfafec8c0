#!/bin/bash
# twinseg segment: what stands in OUT, what a second call keeps and what it makes anew, odd inputs, nothing of a
# patient outside; of made DICOM also the segmentation object, read back by highdicom.
. tests/common.sh
unset TWINSEG_SKULL_STRIP
small="patch=16 base=4 stages=2 spacing=4 barlow_warmup=0"
{
    "$twinseg" phantom phantom --cases 4 --seed 7 --size 60,60,40 &&
        "$twinseg" train phantom --method any-subset --out run --steps 60 $small
} >log 2>&1 || { cat log; echo "not ok - phantoms and a model"; exit 1; }
case=$work/phantom/BraTS2021_00001/BraTS2021_00001
segment() { "$twinseg" segment "$@" --model run; }
two="--t1ce ${case}_t1ce.nii.gz --flair ${case}_flair.nii.gz"

# ---- OUT ----------------------------------------------------------------------------------------
check "a patient" 0 'report.html, seg.nii.gz' segment $two -o out/
expect "what stands in OUT" test "$(cd out && find . -type f | sort | tr '\n' ' ')" = \
    "./brain.nii.gz ./images/flair.nii.gz ./images/t1ce.nii.gz ./measures.csv ./measures.json \
./native/flair_seg.nii.gz ./native/t1ce_seg.nii.gz ./registration.json ./registration.png ./report.html \
./seg.nii.gz ./segment.json "
place() { "$twinseg" info "$1" | grep -A3 -E '^(shape|affine)'; }
place out/native/flair_seg.nii.gz >a && place ${case}_flair.nii.gz >b
expect "labels lie on the grid of the image" cmp a b
sed 's/.*<script type="application\/json" id="data">//; s/<\/script>.*//' out/report.html >page
expect "the report has slices, measures and the record" grep -q '"patients":\[{"record":{.*"measures":{.*"slices":{' page
expect "and no path" test "$(grep -c "$work" out/report.html out/segment.json | grep -cv ':0')" -eq 0
check "report OUT shows the same" 0 '1 cases, 1 with slices' "$twinseg" report out -o again.html

browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome)
if [ -n "$browser" ]; then
    HOME=$work timeout 60 "$browser" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage \
        --enable-logging=stderr --virtual-time-budget=20000 --dump-dom "file://$work/out/report.html" >dom 2>console
    expect "a browser shows it" grep -q '>Segmentation</h2>' dom
    expect "without an error" bash -c '! grep CONSOLE console'
else
    echo "skip - the patient's report in a browser: no chromium here (apt-get install chromium)"
fi

# ---- a second call ------------------------------------------------------------------------------
sums() { (cd "$1" && find . -type f ! -name report.html ! -name segment.json | sort | xargs cksum); }
sums out >before && touch stamp
check "a second call keeps all" 0 '4 of 4 steps were done before' segment $two -o out
expect "and writes nothing" test -z "$(find out -type f -newer stamp)"
check "another setting: from the labels on" 0 "made with another mirror: it is made anew from the labels on" \
    segment $two -o out mirror=on
expect "the images are kept" grep -q '1 of 4 steps were done before' said
check "and back" 0 'made anew from the labels on' segment $two -o out
sums out >after
expect "to the same files" cmp before after
rm out/seg.nii.gz
check "a file that is gone is made again" 0 "seg.nii.gz' is not as it was made" segment $two -o out
echo more >>out/measures.csv
check "and one that was changed" 0 "3 of 4|2 of 4" segment $two -o out
sums out >after
expect "so that all is as before" cmp before after
check "another image: all anew" 0 "made with another flair: it is made anew from the images on" \
    segment --t1ce ${case}_t1ce.nii.gz -o out
expect "what was of the other is gone" test ! -e out/native/flair_seg.nii.gz -a ! -e out/images/flair.nii.gz
mkdir other && echo mine >other/file
check "a folder of something else" 1 "'other' holds files that 'segment' did not make, such as 'file'" segment $two -o other
expect "stays as it is" test "$(ls -A other)" = file

# ---- crashes ------------------------------------------------------------------------------------
mkdir raw && "$build/tests/test_align" --make raw >/dev/null
cat >hang.sh <<'END'
echo $$ >"$TOOL"; sleep 300
END
export TOOL=$work/tool
"$twinseg" segment --t1ce raw/head.nii.gz -o crash --model run --skull-strip 'sh hang.sh {in} {out}' >hang.txt 2>&1 &
pid=$!
for i in $(seq 1500); do [ -s tool ] && break; sleep 0.02; done
expect "the images lie in OUT while a tool works" test -n "$(find crash -name head.nii.gz)"
check "a second process is sent away" 1 "process $pid on .* works in 'crash'" segment --t1ce raw/head.nii.gz -o crash
{ kill -KILL $pid; wait $pid; } 2>/dev/null
kill -- -"$(cat tool)" 2>/dev/null
check "the next call" 1 "skull stripping failed" segment --t1ce raw/head.nii.gz -o crash --skull-strip 'false {in} {out}'
expect "removes what the killed one left" test -z "$(find crash -name 'head.nii.gz')"
check "a full disk" 1 'twinseg: ' bash -c "trap '' XFSZ; ulimit -f 40; exec '$twinseg' segment $two -o full --model run"
check "then goes on" 0 'report.html' segment $two -o full
segment --t1ce ${case}_t1ce.nii.gz --flair ${case}_flair.nii.gz -o fresh >/dev/null 2>&1
sums full >a && sums fresh >b
expect "to the same files" cmp a b

check "compare takes two such folders" 0 'compare.json' "$twinseg" compare full fresh -o compared

# ---- odd inputs ---------------------------------------------------------------------------------
expect "a phantom's brain is stripped already, which is noticed" grep -q '"brain_by": "stripped before"' fresh/segment.json
check "one file for two" 1 '--t1ce and --flair are the same file' segment --t1ce ${case}_t1ce.nii.gz --flair ${case}_t1ce.nii.gz -o none
cat >slices.py <<'END'
import gzip, struct, sys
raw = bytearray(gzip.open(sys.argv[1]).read())
x, y = struct.unpack_from("<2h", raw, 42)
struct.pack_into("<h", raw, 46, 3)
open(sys.argv[2], "wb").write(raw[:352 + 3 * x * y * struct.unpack_from("<h", raw, 72)[0] // 8])
END
python3 slices.py ${case}_t1.nii.gz three.nii
check "three slices" 1 "--t1: 'three.nii' does not show a whole head: 3 slices|covers 12 mm" segment --t1 three.nii -o none
cp ${case}_seg.nii.gz mask.nii.gz && gzip -dc mask.nii.gz | head -c 352 >empty.nii && head -c 144000 /dev/zero >>empty.nii
check "a mask on another grid" 1 "is not on the grid of the t1ce image" segment --t1ce raw/head.nii.gz -o none --brain mask.nii.gz
check "a mask that holds nothing" 1 "0 everywhere: it is no brain's mask" segment $two -o none --brain empty.nii
check "a mask of the user" 0 "the brain.* ml|warning" segment $two -o masked --brain mask.nii.gz
expect "is taken" grep -q '"brain_by": "mask given"' masked/segment.json
expect "a small brain is warned of" grep -q '"warnings": \[' masked/segment.json
expect "in the report too" grep -q '"warnings":\["[^]]*ml' masked/report.html
check "DICOM-SEG of NIfTI files" 1 'refers to a series of DICOM' segment $two -o none --dicom-seg
check "labels=" 2 'labels' segment $two -o none labels=msd
check "no model of that name" 1 'nosuch' "$twinseg" segment $two -o none --model nosuch
check "no image" 2 'FOLDER, or --t1ce' segment -o none
check "no output" 2 '-o DIR is missing' segment $two
expect "nothing is left behind" test ! -e none

# ---- DICOM --------------------------------------------------------------------------------------
python=
for p in "$source/build/dicom/env/bin/python" "$source/build/peers-dicom/bin/python" python3; do
    "$p" -c 'import pydicom, numpy' 2>/dev/null && { python=$p; break; }
done
if [ -z "$python" ] || ! command -v dcm2niix >/dev/null; then
    echo "skip - segment of DICOM: no pydicom or no dcm2niix here"
    finish
fi
"$python" "$source/tests/make_dicom.py" "${case%/*}" study
segment() { "$twinseg" segment "$@" --model any-subset; } # finds something to write
check "a study of DICOM" 0 "T1CE  7 't1_mprage_sag'" segment study -o dicom
expect "keeps the images that dcm2niix made" test -s dicom/native/t1ce.nii.gz
clean() {
    ! { cat "$@" | gzip -dcf 2>/dev/null; cat "$@"; printf '%s\n' "$@"; } | grep -aqiE 'secretname|pid-4711'
}
cp said first.txt
check "without dcmqi" 1 'pip install dcmqi' env PATH=/usr/bin:/bin "$twinseg" segment study -o dicom --model any-subset --dicom-seg
cp said second.txt
expect "no name or ID in what is written or said" clean first.txt second.txt $(find dicom -type f)
PATH=$(dirname "$python"):$PATH
if ! command -v itkimage2segimage >/dev/null || ! "$python" -c 'import highdicom' 2>/dev/null; then
    echo "skip - DICOM-SEG: no dcmqi or no highdicom here (pip install dcmqi highdicom)"
    finish
fi
check "with it" 0 'DICOM: ' segment study -o dicom --dicom-seg
expect "the images are kept" grep -q '3 of 5 steps' said
PYTHONPATH=$source/tests check "the object reads back as the labels" 0 'same voxels' \
    "$python" "$source/tests/check_dicom_seg.py" dicom/seg.dcm study 7 dicom/native/t1ce_seg.nii.gz
expect "and all else is without a name" clean $(find dicom -type f ! -name seg.dcm)
mkdir one && cp study/IM07* one/
check "a folder of one series by its option" 0 'report.html' segment --t1ce one -o single
expect "gives the same image" cmp single/images/t1ce.nii.gz dicom/images/t1ce.nii.gz
check "not of several" 1 "holds 8 series of images" segment --t1ce study -o several
expect "nothing is left of the work" test -z "$(find dicom -name '.*' ! -name dicom)"
finish
