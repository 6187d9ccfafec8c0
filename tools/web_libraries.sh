#!/bin/bash
# web_libraries.sh ROOT: libdeflate, jansson, libpng, zlib and cmocka as WebAssembly, from Debian's source packages, into
# ROOT/include and ROOT/lib with pkg-config files. apt works with lists and a cache of its own under ROOT, so that
# nothing of the system changes. Does nothing where ROOT is complete.
set -eu
[ -e "$1/done" ] && exit 0
mkdir -p "$1"
root=$(cd "$1" && pwd)
mkdir -p "$root"/{include,lib/pkgconfig,source,objects,apt/parts,apt/lists/partial,apt/cache/archives/partial}

# ---- sources -------------------------------------------------------------------------------------

release=$(. /etc/os-release && echo "$VERSION_CODENAME")
host=$(sed -n 's/^URIs: *//p; s/^deb \(\[.*\] \)\?\(http[^ ]*\).*/\2/p' /etc/apt/sources.list.d/*.sources \
    /etc/apt/sources.list 2>/dev/null | grep '/debian/\?$' | head -1)
key=/usr/share/keyrings/debian-archive-keyring.gpg
printf 'Types: deb-src\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' "$host" "$release" $key \
    >"$root/apt/parts/debian.sources"
apt=(apt-get -qq -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$root/apt/parts"
    -o Dir::State::Lists="$root/apt/lists" -o Dir::Cache="$root/apt/cache" -o APT::Sandbox::User=)
"${apt[@]}" update
cd "$root/source"
"${apt[@]}" source --download-only libdeflate jansson libpng1.6 zlib cmocka
for archive in *.orig.tar.*[2z]; do tar -xf "$archive"; done
deflate=$(echo "$PWD"/libdeflate-*/) jansson=$(echo "$PWD"/jansson-*/) png=$(echo "$PWD"/libpng-*/) zlib=$(echo "$PWD"/zlib-*/)
cmocka=$(echo "$PWD"/cmocka-*/)

# ---- archives ------------------------------------------------------------------------------------

# library NAME PKG_CONFIG_NAME LIBS FLAGS SOURCES...
library() {
    local name=$1 package=$2 libs=$3 flags=$4 objects=()
    shift 4
    for file in "$@"; do
        objects+=("$root/objects/$name-$(basename "$file" .c).o")
        emcc -O3 -msimd128 -I"$root/include" $flags -c "$file" -o "${objects[-1]}"
    done
    emar rcs "$root/lib/lib$name.a" "${objects[@]}"
    printf 'Name: %s\nDescription: %s\nVersion: 0\nLibs: -L%s/lib %s\nCflags: -I%s/include\n' \
        $package $package "$root" "$libs" "$root" >"$root/lib/pkgconfig/$package.pc"
}

# What the packages' configure scripts would find.
cp "$deflate/libdeflate.h" "$jansson/src/jansson.h" "$zlib/zlib.h" "$zlib/zconf.h" "$png/png.h" "$png/pngconf.h" \
    "$root/include"
cp "$png/scripts/pnglibconf.h.prebuilt" "$root/include/pnglibconf.h"
sed 's/@json_inline@/inline/; s/@json_have_long_long@/1/; s/@json_have_[a-z_]*@/0/' \
    "$jansson/src/jansson_config.h.in" >"$root/include/jansson_config.h"
printf '#define %s 1\n' HAVE_STDINT_H HAVE_UNISTD_H HAVE_SYS_TYPES_H >"$root/include/jansson_private_config.h"
echo '#define INITIAL_HASHTABLE_ORDER 3' >>"$root/include/jansson_private_config.h"

library deflate libdeflate -ldeflate "-I$deflate" "$deflate"/lib/*.c
library jansson jansson -ljansson "-DHAVE_CONFIG_H -I$jansson/src" "$jansson"/src/*.c
library z zlib -lz "" "$zlib"/{adler32,crc32,deflate,inffast,inflate,inftrees,trees,zutil}.c
cp "$cmocka/include/cmocka_private.h" "$root/include"
{ printf '#include <stdint.h>\n#define _UINTPTR_T_DEFINED\n'; cat "$cmocka/include/cmocka.h"; } >"$root/include/cmocka.h"
library cmocka cmocka -lcmocka "-DHAVE_STDINT_H -DHAVE_SIGNAL_H -DHAVE_STRUCT_TIMESPEC -DHAVE_TIME_H
    -DHAVE_CLOCK_GETTIME -DHAVE_CLOCK_REALTIME -D_GNU_SOURCE -Wno-everything" "$cmocka/src/cmocka.c"
library png libpng "-lpng -lz" "" $(ls "$png"/png*.c | grep -v pngtest)
touch "$root/done"
