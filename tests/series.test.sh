#!/bin/bash
# twinseg prepare FOLDER: made DICOM of whole studies, and folders of NIfTI files: what is taken for what,
# patients and studies told apart, and nothing of a patient's name or ID in what is written or said.
. tests/common.sh
prepare() { "$twinseg" prepare "$@"; }
"$twinseg" phantom phantom --cases 1 --seed 3 --size 60,60,40 >/dev/null 2>&1 || { echo "not ok - a phantom"; exit 1; }
case=$work/phantom/BraTS2021_00000

# ---- NIfTI files --------------------------------------------------------------------------------
mkdir nifti && cp "$case"/*_t1.nii.gz nifti/a_t1.nii.gz && cp "$case"/*_t1ce.nii.gz nifti/a_t1ce.nii.gz
cp "$case"/*_flair.nii.gz nifti/scan.nii.gz && cp "$case"/*_seg.nii.gz nifti/a_seg.nii.gz
cat >nifti/scan.json <<'END'
{"Modality": "MR", "EchoTime": 0.12, "RepetitionTime": 9, "InversionTime": 2.5, "ScanningSequence": "SE_IR"}
END
check "a folder of NIfTI files" 0 "FLAIR scan.nii.gz, 60x60x40 .*physics \(TE 120, TR 9000, TI 2500 ms\)" \
    prepare nifti -o out/N --list
expect "by names: T1CE" grep -q 'T1CE  a_t1ce.nii.gz.*by its name alone; with contrast agent' said
expect "by names: T1" grep -q 'T1    a_t1.nii.gz.*by its name alone' said
expect "a mask is left aside" grep -q -- '- *a_seg.nii.gz.*a mask' said
expect "--list leaves nothing" test ! -e out/N
cp nifti/a_t1ce.nii.gz nifti/b_t1ce.nii.gz
check "two alike are in doubt" 1 "another T1CE is as fine \(--t1ce a_t1ce.nii.gz\)" prepare nifti -o out/N
check "until one is named" 0 'T1CE  b_t1ce.nii.gz.*as given' prepare nifti -o out/N --list --t1ce b_t1ce.nii.gz
mkdir -p bids/sub-1 bids/sub-2 && cp nifti/a_t1.nii.gz bids/sub-1/sub-1_T1w.nii.gz && cp -r bids/sub-1 one
cp nifti/a_t1.nii.gz bids/sub-2/sub-2_T1w.nii.gz
check "one subject of BIDS" 0 'T1    sub-1_T1w.nii.gz' prepare one -o out/N --list
check "two" 1 'images of several subjects' prepare bids -o out/N --list
echo '{"EchoTime": ' >nifti/scan.json
check "a sidecar that is none" 1 "scan.json' as JSON" prepare nifti -o out/N
mkdir empty && echo text >empty/notes.txt
check "a folder without images" 1 "'empty' holds no image, neither DICOM nor NIfTI" prepare empty -o out/N
check "a folder that is none" 1 'is not a folder' prepare nothere -o out/N
check "results among the images" 1 "lies within 'one'" prepare one -o one/out
check "--patient of NIfTI files" 1 'do not say it' prepare one -o out/N --patient A
expect "refusals leave nothing" test ! -e out/N -a ! -e one/out
check "no image at all" 2 'FOLDER, or --t1ce' prepare -o out/N

# ---- DICOM --------------------------------------------------------------------------------------
python=
for p in "$source/build/dicom/env/bin/python" "$source/build/peers-dicom/bin/python" python3; do
    "$p" -c 'import pydicom, numpy' 2>/dev/null && { python=$p; break; }
done
if [ -z "$python" ] || ! command -v dcm2niix >/dev/null; then
    [ -n "$python" ] && why="no dcm2niix here (apt-get install dcm2niix)" ||
        why="no pydicom here (python3 -m venv build/dicom/env; build/dicom/env/bin/pip install pydicom numpy)"
    echo "skip - studies of DICOM: $why"
    finish
fi
make_dicom() { "$python" "$source/tests/make_dicom.py" "$case" "$@" || echo "not ok - make_dicom $*"; }
make_dicom study
check "a study" 0 "T1    2 't1_mprage_sag_nativ', 60x60x40 of 4x4x4 mm: name and physics .*before contrast agent" \
    prepare study -o out/S --list
expect "T2" grep -q "^T2    3 't2_tse_tra_512'" said
expect "FLAIR" grep -q "^FLAIR 4 't2_tirm_tra_dark-fluid'.*TI 2500" said
expect "T1CE by the contrast agent" grep -q "^T1CE  7 't1_mprage_sag'.*with contrast agent" said
expect "aside with reasons" test "$(grep -cE "^-     (1.*a localiser|5.*diffusion|6.*susceptibility|8.*a difference)" said)" -eq 4
check "prepared" 0 'registration.json' prepare study -o out/S --spacing 4
expect "four images" test "$(ls out/S | grep -c S_.*nii.gz)" -eq 4
cat >same.py <<'END'
import sys
sys.path.insert(0, sys.argv[1] + "/tests")
from make_dicom import read_nifti
a, b = (read_nifti(p) for p in sys.argv[2:])
assert (a[0] == b[0]).all() and abs(a[1] - b[1]).max() < 1e-4
END
expect "the reference has the phantom's voxels in their place" \
    "$python" same.py "$source" out/S/S_t1ce.nii.gz "$case"/*_t1ce.nii.gz

# Neither name nor ID in files, their names, or what is said.
make_dicom named --post-name "t1 post SECRETNAME pid-4711"
prepare named -o out/M --spacing 4 >named.txt 2>&1
clean() {
    ! { cat "$@" | gzip -dcf 2>/dev/null; cat "$@"; printf '%s\n' "$@"; } | grep -aqiE 'secretname|pid-4711'
}
expect "a description with the name is shown without it" grep -q "t1 post xxxxxxxxxx xxxxxxxx" named.txt
dirty() { ! clean "$@"; }
expect "no name or ID in what is written or said" clean named.txt $(find out -type f)
cp named/IM070001 out/M && gzip -k out/M/IM070001 && mv out/M/IM070001.gz out/leak.gz && rm out/M/IM070001
expect "the search finds one in a packed file" dirty out/leak.gz
rm out/leak.gz

# Patients and studies.
mkdir two && cp -r study two/x && make_dicom two/y --patient OTHERNAME^X PID-0815 --few
check "two patients" 1 "images of 2 patients: A \([0-9]+ images\), B \([0-9]+ images\): choose one by --patient A" \
    prepare two -o out/T
expect "without a name" bash -c "! grep -qiE 'secret|othername|4711|0815' said"
check "one by its letter" 0 "T1CE  7 't1_mprage_sag'" prepare two -o out/T --list --patient A
cp said by_letter
check "or by its ID" 0 "T1CE  7 't1_mprage_sag'" prepare two -o out/T --list --patient PID-0815
expect "the same one" cmp said by_letter
check "not by another" 1 'there is no such patient' prepare two -o out/T --list --patient PID-9
rm -r two/y && make_dicom two/y --date 20250101
check "two studies of a patient" 1 'images of 2 studies: A .*, B .*--study YYYYMMDD' prepare two -o out/T
check "one by its date" 0 "T1CE  7 't1_mprage_sag'" prepare two -o out/T --list --study 20250101
expect "refusals leave nothing behind" test ! -e out/T

# Doubts.
make_dicom unsaid --no-agent --pre-name t1_mprage_sag_iso --few
check "no word on contrast agent: in doubt" 1 'in doubt: series 2,.*--t1 2 or --t1ce 2.*series 7' prepare unsaid -o out/U
check "the user says" 0 "T1    2 .*nothing says|T1    2 .*before" prepare unsaid -o out/U --list --t1ce 7
check "a localiser as T1" 0 "T1    1 'localizer'.*as given by --t1" prepare study -o out/U --list --t1 1
check "no such series" 1 'these are: 1, 2, 3' prepare study -o out/U --t1 77
# Files that end early: within the pixels, within the header.
cp -r study cut && for f in cut/IM07*; do head -c 4000 "$f" >x && cp x "$f"; done
check "a series cut within its pixels" 1 "--t1ce 7: series 7 has no image: dcm2niix could not convert it" \
    prepare cut -o out/C --t1ce 7
for f in cut/IM07*; do head -c 900 "$f" >x && cp x "$f"; done
check "one cut before them" 0 'warning: 40 DICOM files of .cut. end before' prepare cut -o out/C --list
finish
