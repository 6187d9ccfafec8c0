#!/bin/bash
# tidy.sh STAMP SOURCE CHECKS FLAGS...: clang-tidy on one file. The checksum of a clean file is kept, for
# all copies of the repository, so that it is not checked again because of a newer date or another work
# tree. STAMP.d lists the headers, for make.
set -eu
stamp=$1 source=$2 checks=$3
shift 3
cache=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/twinseg-lint
mkdir -p "$(dirname "$stamp")" "$cache"
sum=$({ cat .clang-tidy; echo "$checks $*"; "${CC:-cc}" "$@" -E -CC -MD -MP -MT "$stamp" -MF "$stamp.d" \
    "$source"; } | sha256sum | cut -c1-64)
if [ ! -e "$cache/$sum" ]; then
    echo "  LINT $source"
    clang-tidy --quiet "--checks=$checks" "$source" -- "$@" 2>"$stamp.log" || {
        cat "$stamp.log"
        exit 1
    }
fi
touch "$stamp" "$cache/$sum"
