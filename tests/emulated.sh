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
    if "$@" >"$build/emulated.log" 2>&1; then
        echo "ok - $name"
    else
        echo "not ok - $name"
        sed 's/^/    /' "$build/emulated.log" | tail -20
        failures=1
    fi
}

# ---- arm64 -------------------------------------------------------------------------------------

arm64=$build/arm64 root=$PWD/$build/arm64/root
libraries=(libcmocka-dev libcmocka0 libdeflate-dev libdeflate0 libjansson-dev libjansson4 libpng-dev
    libpng16-16 zlib1g-dev zlib1g)

# Debian's libraries unpacked into $root, by lists and a cache of their own; nothing of the system is touched.
get_libraries() {
    [ -e "$root/done" ] && return
    mkdir -p "$arm64/debs" "$arm64/apt/lists/partial" "$arm64/apt/cache/archives/partial" "$root"
    local apt=(apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User=
        -o Dir::State::Lists="$PWD/$arm64/apt/lists" -o Dir::Cache="$PWD/$arm64/apt/cache"
        -o Dir::State::Status=/dev/null)
    "${apt[@]}" update || return
    (cd "$arm64/debs" && "${apt[@]}" download "${libraries[@]}") || return
    for deb in "$arm64"/debs/*.deb; do dpkg -x "$deb" "$root" || return; done
    touch "$root/done"
}

# The loops of multiply and correlate with all 24 multiply-adds of a step: how many instructions and how many of
# them use the stack. A sum that is not in a register would show.
steps() {
    aarch64-linux-gnu-objdump -d --no-show-raw-insn "$1" | awk '
        /^[0-9a-f]+ <.*>:$/ { name = substr($2, 2, length($2) - 3); n = 0; next }
        /^ +[0-9a-f]+:/ {
            at = $1; sub(":", "", at); line[n] = $0; op[n] = $2; place[at, name] = n
            if ($2 ~ /^(b\.|cbnz|cbz|tbnz)/) {
                target = $0; sub(/ <.*/, "", target); sub(/.*[ \t]/, "", target)
                if ((target, name) in place) {
                    sums = stack = 0; from = place[target, name]
                    for (i = from; i <= n; i++) {
                        if (op[i] == "fmla") sums++
                        if (line[i] ~ /\[sp/) stack++
                    }
                    if (sums == 24 && n - from < 60) print name, n - from + 1, stack
                }
            }
            n++
        }'
}

# 3 input vectors, and in multiply 2 vectors of weights, in correlate 8 of the other tensor.
no_sum_is_spilled() {
    local name most file
    for file in neon neon_bf16; do
        steps "$arm64/src/engine/kernel_$file.o" >"$arm64/steps" || return
        for name in multiply_whole:33 multiply_whole_ahead:34 multiply_floats_whole:34 correlate:40; do
            most=${name#*:} name=${name%:*}
            if ! awk -v name=$name -v most=$most '
                $1 == name { found = 1; if ($2 > most || $3 > 0) bad = 1 }
                END { exit !found || bad }' "$arm64/steps"; then
                echo "kernel_$file: a step of $name is not $most instructions or uses the stack"
                echo "(function, instructions, of them with the stack:)"
                cat "$arm64/steps"
                return 1
            fi
        done
    done
}

if ! command -v aarch64-linux-gnu-gcc >/dev/null || ! command -v qemu-aarch64 >/dev/null; then
    echo "skip - arm64: no cross compiler or emulator (apt-get install" \
        "$(sed 's/#.*//' tools/packages-emulated.txt | xargs))"
elif ! get_libraries >"$build/emulated.log" 2>&1; then
    echo "skip - arm64: no libraries of arm64 from apt:" \
        "$(tail -1 "$build/emulated.log")"
else
    library=$root/usr/lib/aarch64-linux-gnu
    tests=(base engine net loss volume evaluate panoptic)
    run "arm64: build" env PKG_CONFIG_LIBDIR="$library/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$root" \
        CPATH="$root/usr/include" \
        make -j2 CC="aarch64-linux-gnu-gcc -L$library -Wl,-rpath-link,$library" BUILD="$arm64" \
        "${tests[@]/#/$arm64/tests/test_}"
    run "arm64: no sum of the register tile is spilled" no_sum_is_spilled
    for test in "${tests[@]}"; do
        run "arm64: test_$test" timeout 1800 qemu-aarch64 -L /usr/aarch64-linux-gnu \
            -E LD_LIBRARY_PATH="$library:$root/lib/aarch64-linux-gnu" "$arm64/tests/test_$test"
    done
fi

# ---- x86-64 ------------------------------------------------------------------------------------

if command -v qemu-x86_64 >/dev/null; then
    for cpu in Nehalem Haswell; do
        run "targets of an x86-64 $cpu: fp32" timeout 900 qemu-x86_64 -cpu $cpu "$build/tests/test_engine" 'targets_agree*'
        run "targets of an x86-64 $cpu: bf16" timeout 900 qemu-x86_64 -cpu $cpu "$build/tests/test_engine" 'bf16_agrees*'
    done
else
    echo "skip - x86-64 without AVX-512: no qemu-x86_64 (apt-get install qemu-user)"
fi
exit $failures
