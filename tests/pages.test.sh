#!/bin/bash
# The manual page and bash's completion, made from the tables of commands.
set -u
twinseg=${BUILD:-build}/twinseg
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

check() { # NAME COMMAND...
    local name=$1
    shift
    if "$@" >"$folder/out" 2>&1; then echo "ok - $name"; else
        echo "not ok - $name"
        cat "$folder/out"
    fi
}

"$twinseg" --manual >"$folder/twinseg.1"
"$twinseg" --completion >"$folder/completion"
commands=$("$twinseg" --help | sed -n 's/^  \([a-z]*\)  .*/\1/p')

every_command_has_a_section() {
    [ -n "$commands" ] || return 1
    for c in $commands; do grep -qx "\.SS $c" "$folder/twinseg.1" || { echo "$c"; return 1; }; done
}

formats_without_warnings() {
    groff -man -ww -Tutf8 -z "$folder/twinseg.1" >"$folder/warnings" 2>&1
    [ ! -s "$folder/warnings" ] || { cat "$folder/warnings"; return 1; }
}

# completes WANT WORD...: what bash would offer for the last word.
completes() {
    local want=$1
    shift
    COMP_WORDS=(twinseg "$@") COMP_CWORD=$# COMPREPLY=()
    _twinseg
    echo "${COMPREPLY[*]}"
    [ "${COMPREPLY[*]}" = "$want" ]
}

check "the manual has every command" every_command_has_a_section
check "the manual says research use" grep -q 'Research use only' "$folder/twinseg.1"
if command -v groff >/dev/null; then
    check "the manual formats without a warning" formats_without_warnings
else
    echo "skip - the manual formats without a warning: groff is not installed"
fi
# shellcheck disable=SC1091
. "$folder/completion"
check "commands complete" completes train tr
check "options complete" completes --student train --stu
check "settings complete" completes barlow_weight= train DATA barlow_wei
check "a command without settings offers none" completes "" info file barlow
[ "$("$twinseg" --help | grep -c 'Research use only: not a medical device')" = 1 ]
check "--help says research use" test $? = 0
