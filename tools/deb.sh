#!/bin/bash
# deb.sh FOLDER VERSION: makes FOLDER/twinseg_VERSION_ARCH.deb of what `make install` put into
# FOLDER/root, then installs it in a clean Debian 12 (debootstrap) and runs it there. Needs root for
# the second part; CLEAN_ROOT names a root to take instead of making one.
set -eu
folder=$(realpath "$1") version=$2
root=$folder/root
arch=$(dpkg --print-architecture)
deb=$folder/twinseg_${version}_$arch.deb

strip --strip-unneeded "$root"/usr/bin/twinseg "$root"/usr/lib/*/libtwinseg.so.*.*
mkdir -p "$root/usr/share/doc/twinseg" "$root/DEBIAN" "$folder/debian"
cat LICENSE <(echo) src/picture/font-licence.txt >"$root/usr/share/doc/twinseg/copyright"
gzip -9nc CHANGELOG.md >"$root/usr/share/doc/twinseg/changelog.gz"

# The libraries that it needs, in the versions that dpkg knows of.
printf 'Source: twinseg\n\nPackage: twinseg\nArchitecture: any\n' >"$folder/debian/control"
depends=$(cd "$folder" && dpkg-shlibdeps -O root/usr/bin/twinseg root/usr/lib/*/libtwinseg.so.*.* \
    2>/dev/null | sed -n 's/^shlibs:Depends=//p')
cat >"$root/DEBIAN/control" <<END
Package: twinseg
Version: $version
Architecture: $arch
Maintainer: the twinseg contributors <maintainers@twinseg.invalid>
Installed-Size: $(du -sk --exclude=DEBIAN "$root" | cut -f1)
Depends: $depends
Section: science
Priority: optional
Description: brain tumour segmentation on MRI when modalities are missing
 Trains a student network for a subset of T1, T1CE, T2 and FLAIR beside a
 teacher that sees all four, in a single stage; segments patients with it;
 and scores the result as the BraTS challenges do. With the C library.
 Research use only: not a medical device.
END
printf '#!/bin/sh\nset -e\nldconfig\n' >"$root/DEBIAN/postinst"
chmod 755 "$root/DEBIAN/postinst"
dpkg-deb --root-owner-group --build "$root" "$deb" >/dev/null
echo "$deb: $(stat -c %s "$deb") bytes; needs $depends"

clean=${CLEAN_ROOT:-$folder/clean}
if [ ! -d "$clean/usr" ]; then
    echo "making a clean Debian 12 in $clean"
    debootstrap --variant=minbase bookworm "$clean" ${DEBIAN_MIRROR:-} >"$folder/debootstrap.log" 2>&1 ||
        { tail -n 20 "$folder/debootstrap.log"; exit 1; }
fi
cp "$deb" "$clean/tmp/twinseg.deb"
cp /etc/resolv.conf "$clean/etc/" 2>/dev/null || true
chroot "$clean" /bin/sh -eu <<'END'
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
apt-get update -qq
apt-get install -y -qq -o Dpkg::Use-Pty=0 --no-install-recommends /tmp/twinseg.deb >/dev/null
rm -rf /tmp/brains
twinseg --version
twinseg phantom /tmp/brains --cases 1 --size 60,60,40
twinseg check /tmp/brains
twinseg predict --model any-subset --flair /tmp/brains/*/*_flair.nii.gz -o /tmp/brains/mask.nii.gz
twinseg evaluate /tmp/brains/*/*_seg.nii.gz /tmp/brains/*/*_seg.nii.gz
test -s /usr/share/man/man1/twinseg.1.gz
test -s /usr/share/bash-completion/completions/twinseg
ldconfig -p | grep -q libtwinseg.so.0
apt-get purge -y -qq -o Dpkg::Use-Pty=0 twinseg >/dev/null
test ! -e /usr/bin/twinseg
END
echo "ok - the package installs, works and goes in a clean root"
