#!/bin/bash
# Runs test programs (cmocka) and test scripts (*.test.sh, which print `ok - name`, `not ok - name`
# or `skip - name: why`), and ends in a line `N passed, N failed`. Non-zero on any failure.
set -u
build=${BUILD:-build}
mkdir -p "$build/logs"
passed=0 failed=0 skipped=0
for test in "$@"; do
    name=$(basename "$test") log=$build/logs/$(basename "$test").log
    start=$(date +%s%N)
    case $test in
    *.sh) BUILD=$build bash "$test" >"$log" 2>&1; status=$?
        p=$(grep -c '^ok - ' "$log"); f=$(grep -c '^not ok - ' "$log"); s=$(grep -c '^skip - ' "$log") ;;
    *) "$test" >"$log" 2>&1; status=$?
        p=$(grep -c '^\[       OK \]' "$log"); f=$(grep -c '^\[  FAILED  \] [a-z]' "$log")
        s=$(grep -c '^\[  SKIPPED \] [a-z]' "$log")
        # cmocka names a failed test twice (as it fails and in its summary)
        f=$(grep '^\[  FAILED  \] ' "$log" | grep -vc 'test(s)' || true)
        f=$(((f + 1) / 2)); s=$(((s + 1) / 2)) ;;
    esac
    if [ $status -ne 0 ] && [ "$f" -eq 0 ]; then f=1; fi
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    tenths=$((($(date +%s%N) - start) / 100000000))
    printf '%-28s %4d passed %3d failed %3d skipped %5d.%d s\n' "$name" "$p" "$f" "$s" \
        $((tenths / 10)) $((tenths % 10))
    [ "$s" -gt 0 ] && grep -ih 'skip' "$log" | grep -v 'test(s)' | sort -u | head -8 | sed 's/^/    /'
    if [ "$f" -gt 0 ]; then
        echo "---- $log (status $status)"; tail -n 40 "$log"; echo "----"
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
