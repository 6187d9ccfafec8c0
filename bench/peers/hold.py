#!/usr/bin/env python3
"""Copies of OpenVINO and ONNX Runtime that see no AVX-512, for tables that are held to AVX2: neither has a
setting for it. Both ask the processor by XGETBV whether the system keeps AVX-512's registers; in the copies
this instruction gives the constant 7 (x87, SSE and AVX alone).
    bench/peers/hold.py FROM TO        FROM and TO are folders of Python packages"""
import os
import shutil
import struct
import sys

PACKAGES = ("openvino", "onnxruntime")
XGETBV, CONSTANT = b"\x0f\x01\xd0", b"\xb0\x07\x90"  # xgetbv; mov al, 7 and nop


def code_of(data):
    """The (offset, size) of each executable segment of a 64-bit ELF file."""
    start, = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    for i in range(count):
        kind, flags, offset, _, _, length = struct.unpack_from("<IIQQQQ", data, start + i * size)
        if kind == 1 and flags & 1:
            yield offset, length


def hold(path):
    """Replaces the instruction in one library; the number of places."""
    with open(path, "rb") as f:
        data = bytearray(f.read())
    if data[:5] != b"\x7fELF\x02":
        return 0
    count = 0
    for offset, length in code_of(data):
        code = data[offset:offset + length]
        count += code.count(XGETBV)
        data[offset:offset + length] = code.replace(XGETBV, CONSTANT)
    if count:
        with open(path, "wb") as f:
            f.write(data)
    return count


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    source, to = sys.argv[1:]
    for package in PACKAGES:
        shutil.copytree(os.path.join(source, package), os.path.join(to, package), symlinks=True, dirs_exist_ok=True)
    for folder, _, names in os.walk(to):
        for name in names:
            count = hold(os.path.join(folder, name)) if ".so" in name else 0
            if count:
                print(f"{os.path.join(folder, name)}: {count}")


if __name__ == "__main__":
    main()
