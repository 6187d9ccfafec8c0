#!/bin/bash
# twinseg check names likely copies of one patient over all folders: phantoms of one seed at two voxel
# sizes, under other names and along other axes; and no others. On the real patients of ../shared the
# six that stand in two folders, and none of 110 others.
. tests/common.sh

"$twinseg" phantom "$work/fine" --cases 6 --seed 3 --size 120,120,78 >"$work/log" 2>&1 &&
    "$twinseg" phantom "$work/coarse" --cases 2 --seed 3 --size 80,80,52 --layout brats2023 >"$work/log" 2>&1 ||
    { cat "$work/log"; echo "not ok - phantom cohorts"; exit 1; }
# pairs FOLDER...: the pairs of cases that check names
pairs() {
    "$twinseg" check "$@" 2>/dev/null |
        sed -n "s/^warning: case \([^ ]*\) .* its \([a-z0-9]*\) looks like that of case \([^ ]*\) .*/\1 \3 \2/p"
}
both="BraTS2021_00000 BraTS-GLI-00000-000 flair
BraTS2021_00001 BraTS-GLI-00001-000 flair"
expect "copies at another voxel size are named" test "$(pairs "$work/fine" "$work/coarse")" = "$both"
check "... with folders and correlation" 0 "fine'\): its flair .*coarse'\), correlation 0\.99[0-9] at low resolution: most" \
    "$twinseg" check "$work/fine" "$work/coarse"
expect "no phantom is another's copy" test -z "$(pairs "$work/fine")"
# along other axes: x is mirrored in the header and in the voxels
cat >"$work/flip.py" <<'P'
import glob, gzip, struct, sys
for path in glob.glob(sys.argv[1] + "/*/*.nii.gz"):
    b = bytearray(gzip.open(path).read())
    nx, ny, nz = struct.unpack_from("<3h", b, 42)
    size, at = struct.unpack_from("<h", b, 72)[0] // 8, int(struct.unpack_from("<f", b, 108)[0])
    for row in range(ny * nz):
        i = at + row * nx * size
        cells = [b[i + k * size:i + (k + 1) * size] for k in range(nx)]
        b[i:i + nx * size] = b"".join(reversed(cells))
    a, _, _, d = struct.unpack_from("<4f", b, 280)
    struct.pack_into("<h", b, 252, 0)  # the sform alone
    struct.pack_into("<f", b, 280, -a)
    struct.pack_into("<f", b, 292, d + a * (nx - 1))
    gzip.open(path, "w").write(b)
P
python3 "$work/flip.py" "$work/coarse"
expect "... also along other axes" test "$(pairs "$work/fine" "$work/coarse")" = "$both"
rm "$work"/coarse/*/*-t2f.nii.gz
expect "... by another image where FLAIR lacks" test "$(pairs "$work/fine" "$work/coarse")" = "${both//flair/t1ce}"
visit=$work/visits/BraTS-GLI-00077
mkdir -p "$visit-000" "$visit-001"
cp "$work/coarse/BraTS-GLI-00000-000/BraTS-GLI-00000-000-t1c.nii.gz" "$visit-000/BraTS-GLI-00077-000-t1c.nii.gz"
cp "$work/fine/BraTS2021_00000/BraTS2021_00000_t1ce.nii.gz" "$visit-001/BraTS-GLI-00077-001-t1c.nii.gz"
expect "visits of one patient are none" test -z "$(pairs "$work/visits")"
cp -r "$work/fine" "$work/again"
check "an id in two folders is a problem" 1 "^problem: case BraTS2021_00000 stands in '.*again' and in '.*fine'" \
    "$twinseg" check "$work/again" "$work/fine"
expect "... each of them" test "$(grep -c '^problem' "$work/said")" -eq 6
expect "copies voxel by voxel are named once" test -z "$(pairs "$work/again" "$work/fine")"

if [ -d "$shared/brats" ] && [ -d "$shared/brats-2mm" ]; then
    expect "real: the six patients of two folders" test "$(pairs "$shared/brats-2mm" "$shared/brats" | cut -d' ' -f1 |
        tr '\n' ' ')" = "BraTS2021_01659 Brats17_TCIA_105_1 Brats18_CBICA_ABM_1 Brats18_CBICA_AQN_1 Brats18_TCIA03_265_1 Brats18_TCIA05_396_1 "
else
    echo "skip - real: the six patients of two folders: ../shared/brats or brats-2mm is not there"
fi
if [ -d "$shared/flair-2mm" ] && [ -d "$shared/brats-2mm-b" ]; then
    expect "real: none among 110" test -z "$(pairs "$shared/brats-2mm" "$shared/brats-2mm-b" "$shared/flair-2mm")"
else
    echo "skip - real: none among 110: ../shared/flair-2mm or brats-2mm-b is not there"
fi
finish
