#!/bin/bash
# The benchmark program at the smallest sizes (that it runs and what it prints, no time), and the page
# that bench/run.py makes of what it prints.
. tests/common.sh
bench=$build/twinseg-bench
one=(--base 8 --stages 2 --patch 8 --threads 1 --repeats 1)

# keys NAME KEY... -- COMMAND...: one line of JSON with a positive number for each key.
keys() {
    local name=$1 wanted=()
    shift
    while [ "$1" != -- ]; do wanted+=("$1"); shift; done
    shift
    check "$name" 0 '^\{.*\}$' "$@"
    for key in "${wanted[@]}"; do
        expect "$name: $key" grep -qE "\"$key\": (0\.0*)?[1-9]" said
    done
}
timed=(median_ms min_ms max_ms peak_mb)
for dtype in fp32 bf16; do
    for command in step window; do
        keys "$command, $dtype" "${timed[@]}" gflop gflops roof_gflops -- \
            "$bench" $command "${one[@]}" --dtype $dtype --json
    done
    check "step on more threads, $dtype" 0 'on paper, .* 2: [0-9.]*, .* 64: [0-9.]*$' \
        "$bench" step "${one[@]}" --dtype $dtype --scaling
    check "kernels, $dtype" 0 '^all, .*: [0-9]+ GFLOP/s, [0-9]+ % of the roof' \
        "$bench" kernels "${one[@]}" --dtype $dtype
done

# Its files are of 6 mm, which the program brings to 1 mm: a width of 1 keeps the case short.
mkdir build # where the case writes
"$twinseg" phantom cases --cases 1 --size 40,40,26 >said 2>&1
made=(cases/*/)
truth=(cases/*/*seg.nii.gz)
# bounded WHAT: of the run before, the plan holds and is not far off.
bounded() {
    local peak planned
    peak=$(sed -n 's/.*"peak_mb": \([0-9.]*\).*/\1/p' said) planned=$(sed -n 's/.*"planned_mb": \([0-9.]*\).*/\1/p' said)
    expect "$1: $peak MB of the planned $planned" awk -v p="$peak" -v n="$planned" 'BEGIN { exit !(0.6 * n < p && p <= n) }'
}
if nm "$bench" | grep -q __asan_init; then
    echo "skip - a case's memory: the sanitizers take some of their own"
else
    real=$shared/brats/BraTS2021_01659
    [ -d "$real" ] || { echo "skip - a real case's memory: no $real"; real=${made[0]}; }
    for prediction in window whole; do
        for folder in "${made[0]}" "$real"; do
            keys "case, $prediction" "${timed[@]}" planned_mb windows -- \
                "$bench" case "$folder" "${one[@]}" --base 1 --patch 64 --prediction $prediction --json
            bounded "its memory"
        done
    done
fi
keys preprocess "${timed[@]}" -- "$bench" preprocess "${made[0]}" --repeats 1 --json
for convention in legacy lesion panoptic; do
    keys "score, $convention" "${timed[@]}" -- "$bench" score $convention "${truth[0]}" "${truth[0]}" --repeats 1 --json
done
check "an unknown command ends with status 2" 2 "no such command" "$bench" nonsense

check "layers on more threads" 0 '^2 3x3x3 8->8 ' "$bench" kernels "${one[@]}" --scaling

keys "kernels, JSON" gflops share -- "$bench" kernels "${one[@]}" --json
expect "kernels, JSON: each layer" test "$(grep -o '"layer"' said | wc -l)" = 6

# The page: run.py beside a program that only prints, and that says which target it was told to take.
if ! command -v python3 >/dev/null; then
    echo "skip - the page: no python3"
    finish
fi
mkdir -p docs
cat >build/twinseg-bench <<'END'
#!/bin/sh
if [ "$1" = kernels ]; then
    echo '{"target": "T", "gflops": 5.0, "share": 0.5, "layers": [{"layer": "L", "shares": [0.25, null, 0.75]}]}'
    exit
fi
echo '{"median_ms": 5.0, "min_ms": 4.0, "max_ms": 6.0, "peak_mb": 7.0, "gflop": 1, "gflops": 8.0,
    "roof_gflops": 10.0, "target": "'${TWINSEG_TARGET:-best}'"}' | tr -d '\n'
END
chmod +x build/twinseg-bench
page=docs/benchmarks.md
measure() { python3 "$source/bench/run.py" --case . --alone "$@"; }
check "a section measured" 0 '5\.0 ms' measure --only preprocess
expect "its row is on the page" grep -q '^| four volumes, threads 2 | twinseg | 5.0 | 4.0 | 6.0 | 7 |' $page
expect "under the machine's kind" grep -qE '^### [0-9]+ cores of .* GiB$' $page
expect "with the versions" grep -qE '^twinseg [0-9.]+.*, target best, gcc .*--only preprocess`:$' $page
cp $page before.md
rm -r build/bench
check "another, in a fresh clone" 0 '5\.0 ms' measure --only step --dtype fp32
expect "comes before the first" test "$(grep -o '^## [AR]' $page | tr -d '\n')" = "## A## R"
expect "which stays as it is" \
    cmp <(sed -n '/^## Reading/,$p' before.md) <(sed -n '/^## Reading/,$p' $page)
expect "speeds stand beside the roof" grep -qE '^\| base 8, .* \| 8 \| 10 \| 80 % \|$' $page
if grep -q avx512f /proc/cpuinfo; then
    expect "and a table of the same machine held to AVX2" grep -q 'GiB, held to AVX2$' $page
    expect "which is measured so" grep -q 'target avx2, gcc' $page
else
    echo "skip - a table held to AVX2: no AVX-512 here"
fi
sed -i 's/^### .* GiB$/### another machine/' $page
check "the same section on another machine" 0 '5\.0 ms' measure --only preprocess
expect "leaves that of the first beside it" test "$(sed -n '/^## Reading/,$p' $page | grep -c '^### ')" = 2
check "layers" 0 'all 5 GFLOP/s' measure --only layers --dtype bf16
expect "are a table of shares" grep -q '^| base 8, 64^3 x 2 | L |  | 25, -, 75 |$' $page
check "an unknown section is named" 1 "no section 'nonsense'" measure --only nonsense
finish
