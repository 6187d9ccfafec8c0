#!/bin/bash
# The installed library from C: what is installed, that pkg-config leads to it, that the example gives
# the voxels and the scores of the program, linked either way, and beside a program's own names.
. tests/common.sh
root=$work/root
"$build/tests/test_predict_case" --make . || { echo "not ok - make the files"; exit 1; }
if nm "$twinseg" | grep -q __asan_init; then
    echo "skip - the installed library: it was built for the sanitizers"
    exit 0
fi
check "make install" 0 . make -C "$source" BUILD="${BUILD:-build}" PREFIX=/usr DESTDIR="$root" install
for file in bin/twinseg include/twinseg.h lib/libtwinseg.a lib/libtwinseg.so lib/pkgconfig/twinseg.pc; do
    expect "$file is there" test -s "$root/usr/$file"
done
version=$("$root/usr/bin/twinseg" --version | cut -d' ' -f2)
expect "the shared library carries the version" test -s "$root/usr/lib/libtwinseg.so.$version"
expect "it names nothing but twinseg.h's functions" test "$(nm -D --defined-only "$root/usr/lib/libtwinseg.so" |
    grep -vc ' T ts_')" = 0
expect "and all of them" test -z "$(comm -3 <(nm -D --defined-only "$root/usr/lib/libtwinseg.so" | sed 's/.* //' | sort) \
    <(grep -oE '\bts_[a-z_]+\(' "$source/include/twinseg.h" | tr -d '(' | sort -u))"
expect "so does the static one" test "$(nm -g --defined-only "$root/usr/lib/libtwinseg.a" | grep ' ' | grep -vc ' T ts_')" = 0

export PKG_CONFIG_PATH=$root/usr/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root
expect "pkg-config knows the version" test "$(pkg-config --modversion twinseg)" = "$version"
cc="${CC:-cc} -Wall -Wextra -Werror"
expect "the example, shared" $cc "$source/examples/segment.c" -o shared $(pkg-config --cflags --libs twinseg)
export LD_LIBRARY_PATH=$root/usr/lib
# a program's own functions of names that stand within the library, too
{ echo '#include <err.h>'; for name in note text_append pool_run volume_read; do
    echo "int $name(void); int $name(void) { return 7; }"; done; cat "$source/examples/segment.c"; } >own.c
mkdir static-only && cp "$root/usr/lib/libtwinseg.a" static-only
expect "the example, static, beside functions of our names" $cc own.c -o static $(pkg-config --cflags twinseg) \
    static-only/libtwinseg.a $(PKG_CONFIG_SYSROOT_DIR= pkg-config --libs --static twinseg | sed 's/-ltwinseg//')
printf '#include <twinseg.h>\nint main() { return ts_version()[0] == 0; }\n' >header.cpp
if command -v g++ >/dev/null; then
    expect "the header from C++" g++ -Wall -Wextra -Werror header.cpp -o cxx $(pkg-config --cflags --libs twinseg)
    expect "and it runs" ./cxx
else
    echo "skip - the header from C++: there is no g++"
fi

voxels() { gunzip -c "$1" | tail -c +353; }
"$twinseg" predict model.safetensors --flair flair.nii.gz --t1ce t1ce.nii.gz -o program.nii.gz >said 2>&1
"$twinseg" predict model.safetensors --flair flair.nii.gz --t1ce t1ce.nii.gz -o truth.nii.gz --mirror >said 2>&1
"$twinseg" evaluate program.nii.gz truth.nii.gz >scores
for kind in shared static; do
    check "$kind: a patient" 0 '^WT  Dice' ./$kind model.safetensors flair.nii.gz t1ce.nii.gz $kind.nii.gz truth.nii.gz
    expect "$kind: the program's voxels" cmp <(voxels $kind.nii.gz) <(voxels program.nii.gz)
    expect "$kind: the program's scores" test "$(awk '/^[WTE]/ { print $1, $3, $5 }' said)" = \
        "$(awk '/^[WTE]T|^TC/ { print $1, $2, $3 }' scores)"
    check "$kind: a file that is not there" 1 "gone.nii" ./$kind model.safetensors gone.nii t1ce.nii.gz x.nii
    check "$kind: no model" 1 "flair.nii.gz" ./$kind flair.nii.gz flair.nii.gz t1ce.nii.gz x.nii
    check "$kind: an output of another kind" 1 'must end in .nii' ./$kind model.safetensors flair.nii.gz t1ce.nii.gz x.png
done
expect "the grids agree too" test "$("$twinseg" info --json shared.nii.gz | grep -A 24 '"shape"')" = \
    "$("$twinseg" info --json program.nii.gz | grep -A 24 '"shape"')"
finish
