# What test scripts share: source it. It leaves the script in an empty folder of its own ($work,
# removed at the end), with $twinseg and $source (the source tree) as absolute paths.
set -u
source=$PWD
build=$(realpath "${BUILD:-build}")
twinseg=$build/twinseg
shared=$(realpath "${TWINSEG_SHARED:-../shared}" 2>/dev/null || true)
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0

# check NAME STATUS PATTERN COMMAND...: the exit status, and a pattern in the output (kept in
# the file `said`).
check() {
    local name=$1 status=$2 pattern=$3
    shift 3
    "$@" >"$work/said" 2>&1
    local got=$?
    if [ $got -eq "$status" ] && grep -qE -- "$pattern" "$work/said"; then
        echo "ok - $name"
    else
        echo "not ok - $name (status $got, wanted $status and '$pattern')"
        sed 's/^/    /' "$work/said"
        failures=$((failures + 1))
    fi
}
# expect NAME COMMAND...: the command succeeds.
expect() {
    local name=$1
    shift
    if "$@"; then echo "ok - $name"; else echo "not ok - $name"; failures=$((failures + 1)); fi
}
# finish: the exit status of the script.
finish() { exit $((failures > 0)); }
