#!/bin/bash
# Exported networks in ONNX Runtime and PyTorch, where they are installed, against our engine.
set -u
build=${BUILD:-build}
twinseg=$build/twinseg
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0
check() {
    local name=$1
    shift
    if "$@" >"$work/said" 2>&1; then echo "ok - $name"; else
        echo "not ok - $name"; sed 's/^/    /' "$work/said"; failures=$((failures + 1)); fi
}
refused() { local status=$1; shift; "$@"; [ $? -eq "$status" ]; }

mkdir "$work/export"
"$build/tests/test_exchange" --make "$work/export" || { echo "not ok - make the files"; exit 1; }
python=
for candidate in "${TWINSEG_PYTHON:-}" build/peers/env/bin/python python3; do
    [ -n "$candidate" ] && "$candidate" -c 'import safetensors' 2>/dev/null && python=$candidate && break
done
for peer in onnx:onnxruntime torch:torch; do
    if [ -n "$python" ] && "$python" -c "import ${peer#*:}" 2>/dev/null; then
        check "exported for ${peer#*:}" "$python" tools/oracle/exchange.py "${peer%:*}" "$work/export" docs/exchange.md
        sed 's/^/    /' "$work/said"
    else
        echo "skip - exported for ${peer#*:}: no Python with safetensors and ${peer#*:} (TWINSEG_PYTHON, build/peers/env, python3)"
    fi
done
cp "$work/export/golden.torch" "$work/model.safetensors"
check "export without a target is a usage error" refused 2 "$twinseg" export "$work/model.safetensors"
check "what is no model is refused" refused 1 "$twinseg" export "$work/export/golden.io" --onnx "$work/x.onnx"
check "and nothing is written" test ! -e "$work/x.onnx"
exit $((failures > 0))
