#!/bin/bash
# twinseg prepare on a synthetic patient: what it writes, the hook for skull stripping, DICOM, refusals.
. tests/common.sh
"$build/tests/test_align" --make . || { echo "not ok - make the files"; exit 1; }
unset TWINSEG_SKULL_STRIP
prepare() { "$twinseg" prepare "$@"; }

check "a patient" 0 'flair to t1ce: turned 5.4 degrees, shifted' \
    prepare --t1ce t1ce.nii.gz --t2 t2.nii.gz --flair flair.nii.gz -o out/P1/ --spacing 3
expect "its images, record and picture" test "$(cd out/P1 && ls -A | tr '\n' ' ')" = \
    "P1_flair.nii.gz P1_t1ce.nii.gz P1_t2.nii.gz brain.nii.gz registration.json registration.png "
expect "the picture is a PNG" test "$(head -c 4 out/P1/registration.png | tail -c 3)" = PNG
expect "the record" grep -q '"reference": "t1ce"' out/P1/registration.json
cp said first
expect "of what is stripped the one warning is the object's size" test "$(grep warning first | grep -vc 'has 316 ml')" -eq 0
expect "... which is there" grep -q 'has 316 ml, and adults' first
expect "the record says whose brain it is" grep -q '"brain": "stripped before"' out/P1/registration.json
gunzip -c t1ce.nii.gz >noform.nii && printf '\0\0\0\0' | dd of=noform.nii bs=1 seek=252 conv=notrunc status=none
cp noform.nii noform2.nii
check "a guessed orientation is warned of" 0 "warning: 'noform.nii' does not say how its voxels lie" \
    prepare --t1ce noform.nii --t1 noform2.nii -o doubt --spacing 3
expect "once" test "$(grep -c 'does not say how' said)" -eq 1
check "a data set that check takes" 0 '0 problems, 0 warnings' "$twinseg" check out

check "a skull that stays" 0 'still show the skull' prepare --t1ce head.nii.gz -o head --spacing 3 --brain none
expect "without a mask" test ! -e head/brain.nii.gz
check "a mask of the user's" 0 '^given: ' prepare --t1ce head.nii.gz -o given --spacing 3 --brain t1ce.nii.gz
expect "its record" grep -q '"brain": "mask given"' given/registration.json
expect "it cuts" test "$(stat -c %s given/given_t1ce.nii.gz)" -lt "$(stat -c %s head/head_t1ce.nii.gz)"
expect "it is the brain's mask" cmp <(gunzip -c given/brain.nii.gz) <(gunzip -c out/P1/brain.nii.gz)
check "a mask on another grid" 1 "t2.nii.gz' is not on the grid of the t1ce image" \
    prepare --t1ce head.nii.gz -o none --spacing 3 --brain t2.nii.gz
check "no such mask" 1 'nothere' prepare --t1ce head.nii.gz -o none --spacing 3 --brain nothere.nii.gz
check "a mask and a tool" 2 'exclude each other' prepare --t1ce head.nii.gz -o none --brain a.nii --skull-strip 'x {in} {out}'
check "stripped and raw mixed" 0 'not so: t2' prepare --t1ce t1ce.nii.gz --t2 head.nii.gz -o mixed --spacing 3
check "mixed, and left so" 0 'still show the skull' prepare --t1ce t1ce.nii.gz --t2 head.nii.gz -o left --id mixed --spacing 3 --brain none
expect "the raw one was cut" test "$(cmp mixed/mixed_t2.nii.gz left/mixed_t2.nii.gz >/dev/null; echo $?)" = 1
expect "the stripped one is as it was" cmp mixed/mixed_t1ce.nii.gz left/mixed_t1ce.nii.gz
cat >cut.sh <<'END'
echo "cutting $1" && cp "$PATIENT/t1ce.nii.gz" "$2"
END
export PATIENT=$work
check "a skull and a tool" 0 'cutting .*head.nii.gz' \
    prepare --t1ce head.nii.gz -o "it's cut" --spacing 3 --skull-strip 'sh cut.sh {in} {out}'
expect "and no other warning" test "$(grep warning said | grep -vc '316 ml')" -eq 0
check "the same from the environment" 0 'cutting' \
    env TWINSEG_SKULL_STRIP='sh cut.sh {in} {out}' "$twinseg" prepare --t1ce head.nii.gz -o cut2 --spacing 3
expect "the same image" cmp "it's cut/it's cut_t1ce.nii.gz" cut2/cut2_t1ce.nii.gz
expect "the skull is gone" test "$(stat -c %s cut2/cut2_t1ce.nii.gz)" -lt "$(stat -c %s head/head_t1ce.nii.gz)"
check "a tool that fails" 1 'skull stripping failed' \
    prepare --t1ce head.nii.gz -o none --spacing 3 --skull-strip 'false {in} {out}'
check "a tool that writes nothing" 1 'did not write' \
    prepare --t1ce head.nii.gz -o none --spacing 3 --skull-strip 'true {in} {out}'
check "a command without places" 1 'must name \{in\} and \{out\}' \
    prepare --t1ce head.nii.gz -o none --spacing 3 --skull-strip 'hd-bet'
expect "nothing is left behind" test ! -e none

mkdir dicom bin
check "DICOM without dcm2niix" 1 'apt-get install dcm2niix' env PATH=/nowhere "$twinseg" prepare --t1ce dicom -o none
cat >bin/dcm2niix <<'END'
#!/bin/sh
while [ "$1" != -o ]; do shift; done
for series in "$3"/*; do gzip -dc "$series" >"$2/$(basename "$series" .gz)"; done
END
chmod +x bin/dcm2niix
cp t1ce.nii.gz dicom
check "DICOM through a dcm2niix" 0 'dicom1' env PATH="$work/bin:$PATH" "$twinseg" prepare --t1ce dicom -o dicom1 --spacing 3
expect "gives the image" cmp dicom1/dicom1_t1ce.nii.gz out/P1/P1_t1ce.nii.gz
cp t2.nii.gz dicom
check "two series in one folder" 1 '2 series' env PATH="$work/bin:$PATH" "$twinseg" prepare --t1ce dicom -o none
# A patient's images do not stay in the scratch folder, whichever way the call ends.
mkdir failing hanging kept
cat >failing/dcm2niix <<'END'
#!/bin/sh
while [ "$1" != -o ]; do shift; done
mkdir "$2/sub" && echo patient | tee "$2/1_a.nii" >"$2/sub/2_b.nii"
exit 2
END
sed 's/^exit 2/echo $$ >"$PATIENT\/tool"; sleep 300/' failing/dcm2niix >hanging/dcm2niix
chmod +x failing/dcm2niix hanging/dcm2niix
check "a dcm2niix that fails" 1 'could not read' env PATH="$work/failing:$PATH" "$twinseg" prepare --t1ce dicom -o kept
expect "leaves no image" test -z "$(ls -A kept)"
check "... into a folder that was not there" 1 'could not read' \
    env PATH="$work/failing:$PATH" "$twinseg" prepare --t1ce dicom -o none
# begin_hanging: a call whose dcm2niix does not end, in the background ($pid), its images written
begin_hanging() {
    rm -f tool
    PATH="$work/hanging:$PATH" "$twinseg" prepare --t1ce dicom -o kept >hanging.txt 2>&1 &
    pid=$!
    for i in $(seq 500); do [ -s tool ] && break; sleep 0.02; done
}
for signal in TERM INT; do
    begin_hanging
    expect "images are there while dcm2niix runs" test -n "$(ls kept/.prepare-*/1_a.nii)"
    kill -$signal $pid && wait $pid
    expect "SIG$signal ends the call with 130" test $? -eq 130
    expect "... says so" grep -q 'stopped; no image was written' hanging.txt
    expect "... leaves no image" test -z "$(ls -A kept)"
    expect "... and ends dcm2niix" test ! -e "/proc/$(cat tool)"
done
begin_hanging
{ kill -KILL $pid; wait $pid; } 2>/dev/null
left=$(ls -d kept/.prepare-*) tool=$(cat tool)
begin_hanging # and beside it a call that is alive
expect "what a killed call left is removed by the next" test ! -e "$left"
alive=$(ls -d kept/.prepare-*)
check "one of a call that runs stays" 1 'could not read' \
    env PATH="$work/failing:$PATH" "$twinseg" prepare --t1ce dicom -o kept
expect "... with its images" test -s "$alive/1_a.nii"
kill -TERM $pid && wait $pid
kill -- -$tool 2>/dev/null
expect "then nothing is left" test -z "$(ls -A kept)"
check "an image that is not there" 1 'gone.nii' prepare --t1ce gone.nii -o none
gzip -dc t1ce.nii.gz >bad.nii
printf '\0\0\0\0\0\0\0\0\0\0\0\0' | dd of=bad.nii bs=1 seek=280 conv=notrunc 2>/dev/null
check "an image without a place in space" 1 'its header is damaged' prepare --t1ce bad.nii -o none
check "a head that nods" 0 'tilted by [0-9]+ degrees beside the atlas: the grid stands upright' \
    prepare --t1ce tilted.nii.gz -o nods --spacing 2
expect "BraTS's field of view" grep -q '120, 120, 78' <("$twinseg" info nods/nods_t1ce.nii.gz --json | tr -d '\n' | tr -s ' ')
expect "the record of it" grep -q '"turned": true' nods/registration.json
check "what stands upright now is left" 0 'the head stands upright: tilted by [0-9] degrees, left as it is' \
    prepare --t1ce nods/nods_t1ce.nii.gz -o again --spacing 2
check "no image" 2 'give the patient' prepare -o none
check "no output" 2 '-o DIR is missing' prepare --t1ce t1ce.nii.gz
check "a spacing out of range" 2 '0.3 to 10' prepare --t1ce t1ce.nii.gz -o none --spacing 0
exit $((failures > 0))
