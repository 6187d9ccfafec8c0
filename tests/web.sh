#!/bin/bash
# make test-web: the program as WebAssembly, under node, beside the native one. BUILD: the native build; WEB: the other.
web=$(realpath "${WEB:-build/web}")
. tests/common.sh

# The tests of the native program, run on the other: what its kernels compute, what it prints, writes and refuses.
check "every kernel against ref" 0 'PASSED' "$web/tests/test_engine"
check "info of every odd file, and scores" 0 'PASSED' \
    env -C "$source" BUILD="$web" TWINSEG_SHARED="$shared" "$build/tests/test_json"
[ -d "$shared/odd-nifti" ] || echo "skip - info of odd files: no ../shared/odd-nifti"
check "info.test.sh" 0 . env -C "$source" BUILD="$web" bash tests/info.test.sh

# agree NAME IMAGES...: labels by both programs from the same images; in at least 99.99 % of voxels the same.
agree() {
    local name=$1 all differ
    shift
    check "$name: native" 0 native.nii "$twinseg" predict "$@" dtype=fp32 mirror=off -o native.nii
    check "$name: WebAssembly" 0 web.nii "$web/twinseg" predict "$@" dtype=fp32 mirror=off -o web.nii
    all=$(stat -c %s native.nii) differ=$(cmp -l native.nii web.nii | wc -l)
    expect "$name: something is found" test "$(tail -c +353 native.nii | tr -d '\0' | wc -c)" -gt 100
    expect "$name: the same size" test "$(stat -c %s web.nii)" = "$all"
    expect "$name: of $all labels $differ differ" test $((differ * 10000)) -le "$all"
}
"$twinseg" phantom cohort --cases 1 --size 120,120,78 >/dev/null 2>&1
case=$(echo cohort/*/)
agree "a phantom" --model "$source/models/flair-t1ce.safetensors" --flair "$case"/*flair.nii.gz --t1ce "$case"/*t1ce.nii.gz
agree "a phantom, T2 alone" --model "$source/models/any-subset.safetensors" --t2 "$case"/*t2.nii.gz
case=$(ls -d "$shared"/brats-2mm/*/ 2>/dev/null | head -1)
if [ -n "$case" ]; then
    agree "a patient at 2 mm" --model "$source/models/flair-t1ce.safetensors" --flair "$case"/*flair.nii* --t1ce "$case"/*t1ce.nii*
else
    echo "skip - a patient: no ../shared/brats-2mm"
fi

# same NAME ARGUMENTS...: what both programs say of bad input, and their status.
same() {
    local name=$1 a b
    shift
    "$twinseg" "$@" >native.said 2>&1
    a=$?
    "$web/twinseg" "$@" >web.said 2>&1
    b=$?
    expect "$name: status $a, one sentence, the same by both" test "$a.$(cat native.said)" = "$b.$(cat web.said)"
}
case=$(echo cohort/*/)
flair=$(echo "$case"/*flair.nii.gz) t1ce=$(echo "$case"/*t1ce.nii.gz)
student=(predict --model "$source/models/flair-t1ce.safetensors" -o bad.nii)
head -c 5000 "$flair" >cut.nii.gz
"$twinseg" phantom other --cases 1 --size 60,60,40 >/dev/null 2>&1
same "a file that ends early" "${student[@]}" --flair cut.nii.gz --t1ce "$t1ce"
same "one image of two" "${student[@]}" --flair "$flair"
same "another grid" "${student[@]}" --flair "$flair" --t1ce other/*/*t1ce.nii.gz
same "no image" "${student[@]}" --flair "$source/README.md" --t1ce "$t1ce"
same "not there" "${student[@]}" --flair gone.nii --t1ce "$t1ce"
same "no model" predict cut.nii.gz --flair "$flair" -o bad.nii
expect "nothing is written" test ! -e bad.nii
finish
