#!/bin/bash
# twinseg phantom on the command line: what it writes, and what it refuses.
. tests/common.sh
phantom() { "$twinseg" phantom "$@" --size 32,32,21; }
names() { (cd "$1" && find . -type f | sort | tr '\n' ' '); }

check "a cohort" 0 '3 cases in a$' phantom a --cases 3 --seed 4
expect "five files a case" test "$(find a -type f | wc -l)" = 15
expect "BraTS 2021 names" test -s a/BraTS2021_00002/BraTS2021_00002_t1ce.nii.gz
expect "nothing hidden is left" test -z "$(find a -name '.*')"

check "again on one thread" 0 . phantom b --cases 3 --seed 4 --threads 1
expect "the same bytes" diff -r a b
check "one case of it" 0 '1 case in c$' phantom c --cases 1 --seed 4
expect "case 0 does not depend on the others" diff -r a/BraTS2021_00000 c/BraTS2021_00000
check "another seed" 0 . phantom d --cases 1 --seed 5
expect "another brain" test "$(cat c/*/*_t1.nii.gz | cksum)" != "$(cat d/*/*_t1.nii.gz | cksum)"

check "BraTS 2023" 0 . phantom e --cases 1 --layout brats2023
expect "its names" test "$(names e)" = "./BraTS-GLI-00000-000/BraTS-GLI-00000-000-seg.nii.gz \
./BraTS-GLI-00000-000/BraTS-GLI-00000-000-t1c.nii.gz ./BraTS-GLI-00000-000/BraTS-GLI-00000-000-t1n.nii.gz \
./BraTS-GLI-00000-000/BraTS-GLI-00000-000-t2f.nii.gz ./BraTS-GLI-00000-000/BraTS-GLI-00000-000-t2w.nii.gz "
check "MSD" 0 . phantom f --cases 1 --layout msd
expect "its names" test "$(names f)" = \
    "./dataset.json ./imagesTr/BRATS_001.nii.gz ./labelsTr/BRATS_001.nii.gz "

check "heads" 0 '2 heads in heads$' "$twinseg" phantom heads --cases 2 --heads
expect "their names" test "$(names heads | tr ' ' '\n' | head -1)" = ./Head_00000/Head_00000_flair.nii.gz
check "heads around brains" 0 '2 heads in around$' "$twinseg" phantom around --cases 2 --heads --brains a
expect "every first is a phantom's" diff -r heads/Head_00000 around/Head_00000
expect "every second is not" test "$(cat heads/Head_00001/* | cksum)" != "$(cat around/Head_00001/* | cksum)"
check "a size of heads" 2 'leave out --size' phantom g --cases 1 --heads
check "brains without heads" 2 'is for --heads' phantom g --cases 1 --brains a
check "no brains there" 1 'nowhere' "$twinseg" phantom g --cases 1 --heads --brains nowhere

check "a folder that is in use" 1 "'a' is not empty" phantom a --cases 1
expect "it is left alone" diff -r a b
check "a file" 1 "'said' is a file" phantom said --cases 1
check "no number of cases" 2 'cases' phantom g
check "no cases" 2 'from 1 to' phantom g --cases 0
check "a size of two numbers" 2 "not '64,64'" "$twinseg" phantom g --cases 1 --size 64,64
check "a size too small" 2 '64,64,4' "$twinseg" phantom g --cases 1 --size 64,64,4
check "a size too large" 2 '16 *to 1024' "$twinseg" phantom g --cases 1 --size 99999,99999,99999
check "an unknown layout" 2 "not 'bids'" phantom g --cases 1 --layout bids
expect "nothing was written by what failed" test ! -e g
if [ -w /dev/full ] && [ "$(id -u)" = 0 ] && mkdir small && mount -t tmpfs -o size=64k tmpfs small 2>mounted; then
    check "a full disk" 1 'small/h' phantom small/h --cases 3
    expect "no half case" test -z "$(find small -name '.*')"
    expect "whole cases before it" test $(($(find small -type f | wc -l) % 5)) = 0
    umount small
else
    echo "skip - a full disk: no small file system can be mounted here"
fi
exit $((failures > 0))
