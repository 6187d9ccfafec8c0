#!/bin/bash
# What bad input gets from every command that reads it: a sentence that names the file and the cause,
# status 1 (usage: 2), nothing half-written, nothing lost.
. tests/common.sh
"$build/tests/test_predict_case" --make . || { echo "not ok - make the files"; exit 1; }
"$twinseg" phantom good --cases 2 --seed 3 --size 40,40,26 >said 2>&1 || { cat said; echo "not ok - phantom"; exit 1; }
id=BraTS2021_00000
small="--student flair,t1ce spacing=6 patch=16 base=4 stages=2 steps=2"
train() { "$twinseg" train "$1" $small --out "$2" --cache cache; }
check "a run to compare with" 0 . train good fresh
gunzip -k flair.nii.gz
gunzip -c good/$id/${id}_flair.nii.gz >image.nii
gunzip -c good/$id/${id}_seg.nii.gz >truth.nii

header=352 voxels=$((40 * 40 * 26)) # of the phantom: int16 images
# put FILE OFFSET ESCAPES: overwrites bytes in place
put() { printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none; }
repeat() { yes "$1" | tr -d '\n' | tr "$1" "$2" | head -c "$3"; }
# with NAME MODALITY: the good data set as the folder NAME, of whose first case the image MODALITY is
# what comes from standard input
with() {
    cp -r good "$1"
    rm "$1/$id/${id}_$2.nii.gz"
    cat >"$1/$id/${id}_$2.${3:-nii}"
}
image=image.nii truth=truth.nii

# refused NAME PATTERN FOLDER: check lists it as a problem, predict and train stop at it with a
# sentence, and no trace of an output is left.
refused() {
    local name=$1 pattern=$2 data=$3
    check "$name: check" 1 "^problem: case $id: .*$pattern" "$twinseg" check "$data"
    check "$name: train" 1 "^twinseg: .*$pattern" "$twinseg" train "$data" $small --out "$data.run"
    expect "$name: no run is left" test ! -e "$data.run/model.safetensors" -a ! -e "$data.run/checkpoint.safetensors"
    check "$name: predict" 1 "$pattern" "$twinseg" predict fresh --data "$data" -o "$data.out"
    expect "$name: the other case is predicted, no half file left" test "$(ls -A "$data.out" | tr '\n' ' ')" = \
        "BraTS2021_00001.nii.gz confidence.csv predict.json "
}

# ---- images ----
head -c 5000 "good/$id/${id}_flair.nii.gz" | with cut flair nii.gz
refused "gzip cut short" "cut/$id/${id}_flair.nii.gz.*(cut short|end early)" cut
cp "$image" wrong.nii && put wrong.nii 344 'n+9\0'
with magic flair <wrong.nii
refused "wrong magic" "magic/$id/${id}_flair.nii' is not a NIfTI file: the magic" magic
cp "$image" huge.nii && put huge.nii 42 '\060\165\060\165\060\165' # 30000 x 30000 x 30000
with huge flair <huge.nii
refused "absurd dimensions, before any allocation" \
    "huge/$id/${id}_flair.nii' is cut short: its header promises 27000000000000 voxels" huge
gzip -c huge.nii | with hugegz flair nii.gz
refused "absurd dimensions, packed" "hugegz/$id/${id}_flair.nii.gz' is cut short" hugegz
for word in 'NaN \0\0\300\177' 'Inf \0\0\200\177'; do # float32 of 1 mm, from test_predict_case
    kind=${word% *}
    head -c $header "$image" >f.nii
    put f.nii 70 '\020\0\040\0' # datatype 16, 32 bits
    { cat f.nii; head -c $((4 * voxels)) /dev/zero; } >"$kind.nii"
    put "$kind.nii" $((header + 4 * 5000)) "${word#* }"
    with "$kind" flair <"$kind.nii"
    refused "$kind voxels" "$kind/$id/${id}_flair.nii' holds 1 NaN or infinite" "$kind"
done
{ head -c $header "$image"; head -c $((2 * voxels)) /dev/zero; } | with zero flair
refused "an image of zeros" "zero/$id/${id}_flair.nii' is zero everywhere" zero
cp "$image" grid.nii && put grid.nii 42 '\047\0' # 39 along x
with grid flair <grid.nii
refused "grids that differ" "flair.nii' differ in grid \(40x40x26 .* against 39x40x26" grid
cp "$image" size.nii && put size.nii 80 '\0\0\0\0'
with size flair <size.nii
refused "voxels of no size" "size/$id/${id}_flair.nii' says that its voxels measure 0x" size
cp "$image" finite.nii && put finite.nii 80 '\0\0\300\177' # NaN
with finite flair <finite.nii
refused "a voxel size that is no number" "finite/$id/${id}_flair.nii'.*not finite" finite
cp "$image" flat.nii && put flat.nii 280 "$(printf '\\0%.0s' {1..48})"
with flat flair <flat.nii
refused "a header that places voxels nowhere" "flat/$id/${id}_flair.nii' does not say how" flat
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n' | with lfs flair
refused "a pointer of Git LFS" "lfs/$id/${id}_flair.nii' is not a NIfTI file: it is a pointer" lfs
: | with empty flair
refused "an empty file" "empty/$id/${id}_flair.nii' is empty" empty
cp -r good pipe && rm "pipe/$id/${id}_flair.nii.gz" && mkfifo "pipe/$id/${id}_flair.nii.gz"
refused "a named pipe, which nobody writes to" "pipe/$id/${id}_flair.nii.gz': it is not a regular file" pipe

{ head -c $header "$image"; printf '\002\002'; repeat x '\001' $((2 * voxels - 2)); } | with skull flair
check "not skull-stripped: check warns" 0 "^warning: case $id: .*does not look skull-stripped" "$twinseg" check skull
check "not skull-stripped: predict warns" 0 "warning: .*skull/$id/${id}_flair.nii' does not look skull-stripped" \
    "$twinseg" predict fresh --data skull -o skull.out

# ---- two data sets in one folder ----
cp -r good two && "$twinseg" convert good --to nnunet -o nnu >/dev/null 2>&1 && mv nnu two/nnunet
for command in "check two" "screen two" "plan two" "predict fresh --data two -o two.out" \
    "train two $small --out two.run" "convert two --to msd -o two.msd"; do
    check "two data sets in one folder: ${command%% *}" 1 \
        "'two' holds several data sets: BraTS-like images .*, nnU-Net raw .*/two/nnunet'.: give one" \
        "$twinseg" $command
done
expect "and nothing was written" test ! -e two.out -a ! -e two.run -a ! -e two.msd
for out in good/out good/a/../out ./good/out/ "$PWD/good/out"; do
    check "convert into its own data: $out" 1 "lies within the data set '.*/good', where its" \
        "$twinseg" convert good --to nnunet -o "$out"
done
(cd good && check "convert into its own data, from within" 1 "lies within" "$twinseg" convert . --to msd -o out)
expect "the data is as it was" "$twinseg" check good
"$twinseg" check good >before 2>&1
"$twinseg" train good $small --out good/run >/dev/null 2>&1
"$twinseg" check good >after 2>&1
expect "a run within its data is not read as data" cmp before after
expect "though it is there" test -s good/run/model.safetensors
rm -r good/run

{ gzip -c "$image"; printf 'text from a mail gate'; } | with behind flair nii.gz
check "bytes behind the gzip data: check warns" 0 "^warning: case $id: .*: 21 bytes behind its gzip data" "$twinseg" check behind
check "bytes behind the gzip data: predict reads the image" 0 "warning: .*behind/$id/${id}_flair.nii.gz': 21 bytes" \
    "$twinseg" predict fresh --data behind -o behind.out
"$twinseg" convert good --to msd -o junk >/dev/null
printf 'text' >>"$(ls junk/imagesTr/*.gz | head -1)"
expect "bytes behind the gzip data of four modalities in one file: one warning" \
    test "$("$twinseg" check junk | grep -c 'behind its gzip data')" -eq 1
{ head -c 40000 "$image" | gzip -c; tail -c +40001 "$image" | gzip -c; head -c 9 /dev/zero; } | with members flair nii.gz
check "several gzip members and padding: no word" 0 'findings +0 problems, 0 warnings' "$twinseg" check members
head -c $header "$image" >f.nii
put f.nii 70 '\100\0\100\0' # datatype 64, float64
{ cat f.nii; head -c $((8 * voxels)) /dev/zero; } >large.nii
put large.nii $((header + 8 * 5000)) '\234\165\0\210\074\344\067\176' # 1e300
with large flair <large.nii
refused "a number that float32 cannot hold" "large/$id/${id}_flair.nii' holds 1 voxels beyond the range of float32" large
for type in 'complex64 \040\0' 'complex128 \0\007' 'complex256 \0\010'; do
    cp "$image" complex.nii && put complex.nii 70 "${type#* }"
    rm -rf complex && with complex flair <complex.nii
    check "${type% *} numbers" 1 "^problem: .*complex/$id/${id}_flair.nii' has the data type ${type% *}" "$twinseg" check complex
done

# ---- an image of one value; a terminal's escapes in a name ----
{ head -c $header "$image"; repeat x '\001' $((2 * voxels)); } | with mask flair
refused "an image of one value" "mask/$id/${id}_flair.nii' is 257 in every voxel that is not 0" mask
cp -r good escape && mv "escape/$id/${id}_flair.nii.gz" "escape/$id/$(printf 'red\033[31m\nline')_flair.nii.gz"
check "a name with escapes: check shows them" 0 'case red\\x1b\[31m\\nline: lacks t1,t1ce,t2' "$twinseg" check escape
expect "and prints none" test -z "$(tr -cd '\033' <said)"

# ---- names ----
cp -r good misnamed && mv "misnamed/$id/${id}_flair.nii.gz" "misnamed/$id/${id}_fliar.nii.gz"
check "a misnamed modality: check says which file and which case" 0 "lacks flair" "$twinseg" check misnamed
expect "and names the stray" grep -q "${id}_fliar.nii.gz" said
check "a missing modality: predict says which the model needs" 1 \
    "case $id: the model needs t1ce,flair; given: t1,t1ce,t2; missing: flair" \
    "$twinseg" predict fresh --data misnamed -o misnamed.out
check "a missing modality: train skips the case and says so" 0 "$id lacks flair" \
    "$twinseg" train misnamed $small --out misnamed.run

# ---- truths ----
cp "$truth" seven.nii && put seven.nii $((header + 20000)) '\007'
with seven seg <seven.nii
check "a label outside the map: check" 1 "^problem: case $id: .*seven/$id/${id}_seg.nii' holds the label 7" \
    "$twinseg" check seven
check "a label outside the map: train" 1 "seven/$id/${id}_seg.nii' holds the label 7" \
    "$twinseg" train seven $small --out seven.run
cp "$truth" both.nii && put both.nii $((header + 20000)) '\003'
with both seg <both.nii
check "labels 3 and 4: check names the readings" 1 'labels=NAME.*--labels NAME.*brats2021 .*brats2024 ' "$twinseg" check both
check "labels 3 and 4, told how to read them" 0 'findings +0 problems' "$twinseg" check both labels=brats2024
head -c 3000 "$truth" | with half seg
check "a truth cut short: check" 1 "^problem: .*half/$id/${id}_seg.nii' is cut short" "$twinseg" check half
check "a truth cut short: evaluate" 1 "half/$id/${id}_seg.nii' is cut short" \
    "$twinseg" evaluate good half -o half.csv
expect "no scores are half-written" test -z "$(ls | grep half.csv)"
check "an image for a truth: evaluate" 1 "is not a label file: voxel" "$twinseg" evaluate "$truth" "$image"
cp "$truth" narrow.nii && put narrow.nii 42 '\047\0'
check "labels of another grid: evaluate" 1 'must be on one grid' "$twinseg" evaluate narrow.nii "$truth"
check "a truth scored against itself is pointed out" 0 "warning: prediction and truth of .* are one file" \
    "$twinseg" evaluate "$truth" "$truth"
cp "$truth" nosize.nii && put nosize.nii 80 '\0\0\0\0'
check "a prediction without voxel sizes: evaluate" 1 "the voxels of 'nosize.nii' measure 0 mm" \
    "$twinseg" evaluate nosize.nii "$truth"

# ---- models ----
both=(--flair flair.nii.gz --t1ce t1ce.nii.gz -o none.nii.gz)
LC_ALL=C sed 's/"twinseg.format":"1"/"twinseg.format":"7"/' model.safetensors >newer.safetensors
expect "the format version was found" test "$(cmp model.safetensors newer.safetensors | wc -l)" = 1
check "a model of a newer version" 1 "newer.safetensors' has format version 7.*newer twinseg" \
    "$twinseg" predict newer.safetensors "${both[@]}"
check "the same: info" 1 'newer twinseg' "$twinseg" info newer.safetensors
cp model.safetensors long.safetensors && put long.safetensors 0 '\377\377\377\377\377\377\377\177'
check "a safetensors header that lies about its length" 1 "long.safetensors'" \
    "$twinseg" predict long.safetensors "${both[@]}"
LC_ALL=C sed 's/"data_offsets":\[0,/"data_offsets":[4,/' model.safetensors >hole.safetensors
check "a safetensors header that lies about an offset" 1 "hole.safetensors'" \
    "$twinseg" predict hole.safetensors "${both[@]}"
head -c -100 model.safetensors >short.safetensors
check "a model cut short" 1 "short.safetensors'" "$twinseg" predict short.safetensors "${both[@]}"
check "a picture for a model" 1 "flair.nii'" "$twinseg" predict flair.nii "${both[@]}"
expect "nothing was predicted" test -z "$(ls | grep none)"

# ---- the cache ----
for file in cache/*; do head -c 5000 "$file" >cut.part && mv cut.part "$file"; done
check "a cache cut short is noted and made again" 0 'note: .*cache' train good recut
expect "the same model" cmp fresh/model.safetensors recut/model.safetensors
for file in cache/*; do put "$file" $(($(stat -c %s "$file") / 2)) '\252\125\252\125'; done
check "a damaged cache is noted and made again" 0 'note: .*cache' train good rebit
expect "the same model" cmp fresh/model.safetensors rebit/model.safetensors
cp -r good changed
"$twinseg" train changed $small --out first --cache cache1 >said 2>&1
cp "good/BraTS2021_00001/BraTS2021_00001_t2.nii.gz" "changed/$id/${id}_flair.nii.gz"
check "a stale cache is made again" 0 . "$twinseg" train changed $small --out stale --cache cache1
"$twinseg" train changed $small --out afresh --cache cache2 >said 2>&1
expect "as if there had been none" cmp stale/model.safetensors afresh/model.safetensors
expect "and the change did matter" test "$(cmp stale/model.safetensors first/model.safetensors | wc -l)" = 1

# ---- outputs ----
: >file
check "a file where the folder of a run should be" 1 "'file" "$twinseg" train good $small --out file/run
check "a file where a folder of results should be" 1 "'file" "$twinseg" predict fresh --data good -o file
check "a file where the folder of scores should be" 1 "file/x.csv" "$twinseg" evaluate good good -o file/x.csv
check "a folder where a file should be" 1 "is a folder" "$twinseg" evaluate good good -o good
if [ "$(id -u)" -ne 0 ]; then
    mkdir locked && chmod a-w locked
    check "a read-only folder: train" 1 locked "$twinseg" train good $small --out locked/run
    check "a read-only folder: predict" 1 locked "$twinseg" predict model.safetensors "${both[@]/none/locked\/x}"
    check "a read-only folder: evaluate" 1 locked "$twinseg" evaluate good good -o locked/x.csv
else
    echo "skip - a read-only folder: root may write everywhere"
fi
# A limit on the size of files fails a write as a full disk does, with another word for the cause.
limited() { (trap '' XFSZ; ulimit -f "$1"; shift; "$@"); }
check "a full disk: predict" 1 "cannot write '.*full.nii'" limited 1 "$twinseg" predict model.safetensors \
    --flair flair.nii.gz --t1ce t1ce.nii.gz -o full.nii
check "a full disk: train" 1 "cannot write 'full.run" limited 8 "$twinseg" train good $small --out full.run --cache cache
expect "no half files" test -z "$(find . -name '*.tmp.*')"
check "room again: the run is begun anew or goes on" 0 . "$twinseg" train good $small --out full.run --cache cache --resume
expect "and ends as the others" cmp full.run/model.safetensors fresh/model.safetensors
if [ "$(id -u)" = 0 ] && mkdir disk && mount -t tmpfs -o size=4k tmpfs disk 2>mounted; then
    check "a disk that is full: predict" 1 "disk/x.nii': No space left" "$twinseg" predict model.safetensors \
        --flair flair.nii.gz --t1ce t1ce.nii.gz -o disk/x.nii
    check "a disk that is full: train" 1 "disk/run.*No space left" "$twinseg" train good $small --out disk/run --cache cache
    expect "no half files" test -z "$(find disk -name '*.tmp.*')"
    umount disk
else
    echo "skip - a file system that is full: none can be mounted here"
fi
finish
