#!/bin/bash
# Breaks the program on purpose, one line at a time, and runs the tests of what was broken: which breaks do
# they not see? Run by hand, as it takes half an hour: mutate.sh [WORD]; with WORD only the mutations whose
# file or description contains it. The list is mutations.txt; docs/design.md has the table of results.
# Works on a copy of the tree, in $MUTATE_FOLDER (build/mutate); the checkout is only read. Exit status 1 if
# a mutation survives or no longer fits the source.
set -u
cd "$(dirname "$0")/.." || exit 1
word=${1:-}
tree=$(realpath -m "${MUTATE_FOLDER:-build/mutate}")
export TWINSEG_SHARED=${TWINSEG_SHARED:-$(realpath -m ../shared)}
jobs=$(nproc)
log=$tree/build/mutate.log
mkdir -p "$tree/build"
while IFS= read -r -d '' file; do
    cmp -s "$file" "$tree/$file" || cp --parents "$file" "$tree" || exit 1
done < <(git ls-files -z)
while IFS= read -r -d '' file; do # what the checkout has no more
    [ -e "$file" ] || rm "$tree/$file"
done < <(find "$tree" -path "$tree/build" -prune -o -type f -printf '%P\0')
cd "$tree" || exit 1

# build TEST...: what these tests need.
build() {
    local targets=(build/twinseg)
    for test in "$@"; do
        case $test in
        *.sh) targets+=(library)
            while read -r program; do targets+=("build/tests/$program"); done \
                < <(grep -o '\bbuild/tests/test_[a-z_]*' "tests/$test" | sort -u | sed 's|.*/||') ;;
        *) targets+=("build/tests/$test") ;;
        esac
    done
    make -j"$jobs" "${targets[@]}" >"$log" 2>&1
}

# sees TEST: does it fail? One that takes far longer than before has hung, and so seen the break.
declare -A took # seconds of each test, unbroken
sees() {
    local limit=$((30 + 5 * ${took[$1]:-120}))
    case $1 in
    *.sh) ! BUILD=build timeout $limit bash "tests/$1" >"$log" 2>&1 ;;
    *) ! timeout $limit "build/tests/$1" >"$log" 2>&1 ;;
    esac
}

# exchange FILE OLD NEW: in place, FILE.kept is what it was; fails unless OLD occurs once.
exchange() {
    cp -p "$1" "$1.kept"
    OLD=$2 NEW=$3 awk 'BEGIN { RS = "\001"; old = ENVIRON["OLD"] } {
        at = index($0, old)
        if (!at || index(substr($0, at + 1), old)) exit 1
        printf "%s%s%s", substr($0, 1, at - 1), ENVIRON["NEW"], substr($0, at + length(old)) }' \
        "$1.kept" >"$1"
}

# mutate FILE TESTS WHAT OLD NEW: one row of the table.
survived=0 unfit=0
mutate() {
    local by='' test
    if ! exchange "$1" "$4" "$5"; then
        by="DOES NOT FIT the source" unfit=$((unfit + 1))
    elif ! build $2; then
        by="DOES NOT BUILD" unfit=$((unfit + 1))
    else
        for test in $2; do
            sees "$test" && { by=$test; break; }
        done
        [ -n "$by" ] || { by="**survives**" survived=$((survived + 1)); }
    fi
    cp "$1.kept" "$1" # with a new time, so that it is compiled again
    rm "$1.kept"
    printf '| `%s` | %s | %s |\n' "$1" "$3" "$by"
}

# The list, or of it what WORD takes.
declare -a files tests whats olds news
while IFS= read -r line; do
    case $line in
    src*) IFS='|' read -r file test what <<<"$line" ;;
    "- "*) old=${line#- } ;;
    "+ "*) [[ "$file$what" == *"$word"* ]] || continue
        files+=("${file% }") tests+=("$test") whats+=("${what# }") olds+=("$old") news+=("${line#+ }") ;;
    esac
done <tools/mutations.txt

# Their tests must pass before anything is broken.
read -ra all < <(printf '%s\n' ${tests[*]} | sort -u | tr '\n' ' ')
build "${all[@]}" || { echo "mutate.sh: the tree does not build as it is ($log)"; exit 1; }
for test in "${all[@]}"; do
    start=$SECONDS
    if sees "$test"; then
        echo "mutate.sh: $test fails before anything is broken:"
        grep -E '^not ok|FAILED' "$log"
        exit 1
    fi
    took[$test]=$((SECONDS - start))
done

printf '| file | what breaks | seen by |\n|---|---|---|\n'
for i in "${!files[@]}"; do
    mutate "${files[i]}" "${tests[i]}" "${whats[i]}" "${olds[i]}" "${news[i]}"
done
printf '\n%d mutations: %d seen, %d survive, %d do not fit\n' ${#files[@]} $((${#files[@]} - survived - unfit)) \
    $survived $unfit
[ $((survived + unfit)) -eq 0 ]
