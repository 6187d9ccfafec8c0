#!/bin/bash
# Runs each fuzz target in FOLDER for SECONDS from its corpus under tests/fuzz/corpus, two at a time.
# Prints `ok - fuzz NAME` or `not ok - fuzz NAME` with the end of its log; an input that breaks a
# target is left in FOLDER/NAME-crash-*.
set -u
folder=$1 seconds=$2
mkdir -p "$folder/found"

smoke() {
    local name=${1#fuzz_} log=$folder/$1.log
    mkdir -p "$folder/found/$name"
    if "$folder/$1" -max_total_time="$seconds" -max_len=8192 -timeout=10 -print_final_stats=1 \
        -artifact_prefix="$folder/$name-" "$folder/found/$name" "tests/fuzz/corpus/$name" \
        >"$log" 2>&1; then
        echo "ok - fuzz $name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs"
    else
        echo "not ok - fuzz $name"
        tail -n 40 "$log"
        return 1
    fi
}

failed=0 running=()
for program in "$folder"/fuzz_*; do
    case $program in *.d | *.log) continue ;; esac
    smoke "$(basename "$program")" &
    running+=($!)
    if [ ${#running[@]} -eq 2 ]; then
        wait "${running[0]}" || failed=1
        running=("${running[1]}")
    fi
done
for job in "${running[@]}"; do wait "$job" || failed=1; done
exit $failed
