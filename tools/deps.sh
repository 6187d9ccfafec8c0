#!/bin/sh
# Installs the Debian packages of tools/packages.txt that are missing. Needs root (or sudo) only
# where something is missing. `deps.sh NAME` takes tools/packages-NAME.txt in addition.
set -eu
here=$(dirname "$0")
lists="$here/packages.txt"
[ $# = 0 ] || lists="$lists $here/packages-$1.txt"
missing=
for package in $(cat $lists | sed 's/#.*//'); do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
        missing="$missing $package"
done
[ -z "$missing" ] && exit 0
echo "installing:$missing"
run=
[ "$(id -u)" = 0 ] || run=sudo
$run apt-get update -qq || echo "deps: apt-get update failed; continuing with the package lists that are there" >&2
DEBIAN_FRONTEND=noninteractive $run apt-get install -y -qq --no-install-recommends $missing
