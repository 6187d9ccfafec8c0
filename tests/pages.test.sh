#!/bin/bash
# The manual page and bash's completion, made from the tables of commands.
. tests/common.sh

"$twinseg" --manual >"$work/twinseg.1"
"$twinseg" --completion >"$work/completion"
commands=$("$twinseg" --help | sed -n 's/^  \([a-z]*\)  .*/\1/p')

every_command_has_a_section() {
    [ -n "$commands" ] || return 1
    for c in $commands; do grep -qx "\.SS $c" "$work/twinseg.1" || { echo "$c"; return 1; }; done
}

formats_without_warnings() {
    groff -man -ww -Tutf8 -z "$work/twinseg.1" >"$work/warnings" 2>&1
    [ ! -s "$work/warnings" ] || { cat "$work/warnings"; return 1; }
}

# completes WANT WORD...: what bash would offer for the last word.
completes() {
    local want=$1
    shift
    COMP_WORDS=(twinseg "$@") COMP_CWORD=$# COMPREPLY=()
    _twinseg
    [ "${COMPREPLY[*]}" = "$want" ] || { echo "${COMPREPLY[*]}"; return 1; }
}

expect "the manual has every command" every_command_has_a_section
expect "the manual says research use" grep -q 'Research use only' "$work/twinseg.1"
if command -v groff >/dev/null; then
    expect "the manual formats without a warning" formats_without_warnings
else
    echo "skip - the manual formats without a warning: groff is not installed"
fi
# shellcheck disable=SC1091
. "$work/completion"
expect "commands complete" completes train tr
expect "options complete" completes --student train --stu
expect "settings complete" completes barlow_weight= train DATA barlow_wei
expect "a command without settings offers none" completes "" info file barlow
expect "--help says research use" test "$("$twinseg" --help | grep -c 'Research use only: not a medical device')" = 1
finish
