#!/bin/bash
# Exported networks in ONNX Runtime and PyTorch, and imported ones in nnU-Net, against our engine;
# each where it is installed.
. tests/common.sh

mkdir "$work/export"
"$build/tests/test_exchange" --make "$work/export" || { echo "not ok - make the files"; exit 1; }
python=
for candidate in "${TWINSEG_PYTHON:-}" "$source"/build/peers/env/bin/python python3; do
    [ -n "$candidate" ] && "$candidate" -c 'import safetensors' 2>/dev/null && python=$candidate && break
done
for peer in onnx:onnxruntime torch:torch; do
    if [ -n "$python" ] && "$python" -c "import ${peer#*:}" 2>/dev/null; then
        check "exported for ${peer#*:}" 0 '' "$python" "$source"/tools/oracle/exchange.py "${peer%:*}" "$work/export" "$source"/docs/exchange.md
        sed 's/^/    /' "$work/said"
    else
        echo "skip - exported for ${peer#*:}: no Python with safetensors and ${peer#*:} (TWINSEG_PYTHON, build/peers/env, python3)"
    fi
done

python=
for candidate in "${TWINSEG_NNUNET:-}" "$source"/build/nnunet/env/bin/python; do
    [ -n "$candidate" ] && "$candidate" -c 'import nnunetv2, nibabel' 2>/dev/null && python=$candidate && break
done
mkdir "$work/nnunet"
if [ -n "$python" ]; then
    check "imported from nnU-Net, against its own forward" 0 '' "$python" "$source"/tools/oracle/nnunet.py "$work/nnunet" "$twinseg"
    grep -E 'differ' "$work/said" | sed 's/^/    /'
else
    echo "skip - imported from nnU-Net, against its own forward: no Python with nnunetv2 (TWINSEG_NNUNET, build/nnunet/env)"
fi

cp "$work/export/golden.torch" "$work/model.safetensors"
check "export without a target is a usage error" 2 '' "$twinseg" export "$work/model.safetensors"
check "what is no model is refused" 1 '' "$twinseg" export "$work/export/golden.io" --onnx "$work/x.onnx"
expect "and nothing is written" test ! -e "$work/x.onnx"
check "import of what is not converted is refused" 1 '' "$twinseg" import "$work/model.safetensors" -o "$work/x.safetensors"
grep -q nnunet_to_safetensors "$work/said"; expect "with a word how to convert" test $? -eq 0
finish
