#!/bin/bash
# make test-emulated: the kernels of the targets that a machine may lack, each against `ref`, under qemu:
# arm64 (built here with Debian's cross compiler), x86-64 without AVX, x86-64 with AVX2 and FMA.
set -u
build=${BUILD:-build}
failures=0

# run NAME COMMAND...
run() {
    local name=$1
    shift
    if timeout 900 "$@" >"$build/emulated.log" 2>&1; then
        echo "ok - $name"
    else
        echo "not ok - $name"
        sed 's/^/    /' "$build/emulated.log" | tail -20
        failures=1
    fi
}

# ---- x86-64 ------------------------------------------------------------------------------------

if command -v qemu-x86_64 >/dev/null; then
    for cpu in Nehalem Haswell; do
        run "targets of an x86-64 $cpu: fp32" qemu-x86_64 -cpu $cpu "$build/tests/test_engine" 'targets_agree*'
        run "targets of an x86-64 $cpu: bf16" qemu-x86_64 -cpu $cpu "$build/tests/test_engine" 'bf16_agrees*'
    done
else
    echo "skip - x86-64 without AVX-512: no qemu-x86_64 (apt-get install qemu-user)"
fi

# ---- arm64 -------------------------------------------------------------------------------------

arm64=$build/arm64 root=$PWD/$build/arm64/root
libraries=(libcmocka-dev libcmocka0 libdeflate-dev libdeflate0 libjansson-dev libjansson4 libpng-dev
    libpng16-16 zlib1g-dev zlib1g)

# Debian's libraries unpacked into $root; nothing of the system is touched.
get_libraries() {
    [ -e "$root/done" ] && return
    mkdir -p "$arm64/debs" "$root"
    (cd "$arm64/debs" && apt-get download "${libraries[@]/%/:arm64}") || return
    for deb in "$arm64"/debs/*.deb; do dpkg -x "$deb" "$root" || return; done
    touch "$root/done"
}

if ! command -v aarch64-linux-gnu-gcc >/dev/null || ! command -v qemu-aarch64 >/dev/null; then
    echo "skip - arm64: no cross compiler or emulator (apt-get install" \
        "$(sed 's/#.*//' tools/packages-emulated.txt | xargs))"
elif ! get_libraries >"$build/emulated.log" 2>&1; then
    echo "skip - arm64: no libraries of arm64 from apt (dpkg --add-architecture arm64 && apt-get update):" \
        "$(tail -1 "$build/emulated.log")"
else
    library=$root/usr/lib/aarch64-linux-gnu
    tests=(base engine net loss volume evaluate panoptic)
    run "arm64: build" env PKG_CONFIG_LIBDIR="$library/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$root" \
        CPATH="$root/usr/include" \
        make -j2 CC="aarch64-linux-gnu-gcc -L$library -Wl,-rpath-link,$library" BUILD="$arm64" \
        "${tests[@]/#/$arm64/tests/test_}"
    for test in "${tests[@]}"; do
        filter=()
        [ "$test" = engine ] && filter=('*agree*')
        run "arm64: test_$test" qemu-aarch64 -L /usr/aarch64-linux-gnu \
            -E LD_LIBRARY_PATH="$library:$root/lib/aarch64-linux-gnu" "$arm64/tests/test_$test" "${filter[@]}"
    done
fi
exit $failures
