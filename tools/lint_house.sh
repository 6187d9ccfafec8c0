#!/bin/bash
# The project's own rules, which no other tool checks:
#  - a room includes only its own headers and the `room/room.h` of rooms above it, in the order of
#    the table in docs/design.md;
#  - no source file is longer than 600 lines.
# Prints what breaks them; exit status 1 then.
set -u
cd "$(dirname "$0")/.." || exit 1
broken=0

say() {
    echo "$1" >&2
    broken=1
}

declare -A place
rooms=0
while read -r room; do
    place[$room]=$((++rooms))
done < <(sed -n 's/^| `\([a-z]*\)` | .*/\1/p' docs/design.md)
[ "$rooms" -ge 10 ] || say "docs/design.md: the table of rooms was not found"

for folder in src/*/; do
    room=$(basename "$folder")
    [ -n "${place[$room]:-}" ] || say "$folder: the room has no row in docs/design.md"
done

while IFS=: read -r file line include; do
    room=${file#src/} room=${room%%/*}
    header=$(sed 's/.*"\(.*\)".*/\1/' <<<"$include")
    [ "$header" = twinseg.h ] && continue
    other=${header%%/*}
    [ "$other" = "$room" ] && continue
    if [ "$header" != "$other/$other.h" ]; then
        say "$file:$line: \"$header\" is private to its room; include \"$other/$other.h\""
    elif [ "${place[$other]:-999}" -gt "${place[$room]:-0}" ]; then
        say "$file:$line: $other stands below $room in docs/design.md: a back-reference"
    fi
done < <(grep -n '^ *# *include "' -r src --include='*.[ch]')

while read -r lines file; do
    [ "$file" = total ] && continue
    [ "$lines" -le 600 ] || say "$file: $lines lines, more than 600"
done < <(find src include tests bench tools -type f \
    \( -name '*.[ch]' -o -name '*.sh' -o -name '*.py' \) -exec wc -l {} +)

exit $broken
