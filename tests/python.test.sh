#!/bin/bash
# The Python module over the library: installed by pip from the source tree, and in a session of its
# own against the program.
. tests/common.sh
if nm "$twinseg" | grep -q __asan_init; then
    echo "skip - Python: the library was built for the sanitizers"
    exit 0
fi
python=
for candidate in python3 /usr/bin/python3 "$source/build/peers/env/bin/python"; do
    "$candidate" -c 'import numpy' 2>/dev/null && { python=$candidate; break; }
done
if [ -z "$python" ]; then
    echo "skip - Python: no python3 with numpy (apt-get install python3-numpy)"
    exit 0
fi
"$build/tests/test_predict_case" --make . || { echo "not ok - make the files"; exit 1; }
"$twinseg" predict model.safetensors --flair flair.nii.gz --t1ce t1ce.nii.gz -o program.nii.gz \
    --probabilities maps.nii.gz >said 2>&1
"$twinseg" predict model.safetensors --flair flair.nii.gz --t1ce t1ce.nii.gz -o truth.nii.gz --mirror >said 2>&1
"$twinseg" evaluate program.nii.gz truth.nii.gz --json >lesion.json
"$twinseg" evaluate program.nii.gz truth.nii.gz --json --convention legacy >legacy.json
if "$python" -m pip --version >/dev/null 2>&1; then
    check "pip install . (nothing is fetched)" 0 . env BUILD="${BUILD:-build}" "$python" -m pip install --no-deps \
        --no-index --disable-pip-version-check --root-user-action ignore --target site "$source"
    expect "the library is in it" test -s site/twinseg/libtwinseg.so.0
    export PYTHONPATH=$work/site
else
    echo "skip - pip install .: this Python has no pip"
    export PYTHONPATH=$source/python TWINSEG_LIBRARY=$build/libtwinseg.so.0
fi
export PYTHONDONTWRITEBYTECODE=1
"$python" "$source/tests/python_session.py" >session 2>&1 || { echo "not ok - the session ended early"; failures=1; }
cat session
grep -q '^not ok' session && failures=1
finish
