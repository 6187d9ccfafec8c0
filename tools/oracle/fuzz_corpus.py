#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets for NIfTI, gzip and nnU-Net imports into tests/fuzz/corpus: small
files that between them use what the readers know (versions, byte orders, types, forms, 4-D, pairs' magic).
Python's standard library alone: python3 tools/oracle/fuzz_corpus.py"""
import gzip
import json
import pathlib
import struct

CORPUS = pathlib.Path(__file__).parents[2] / "tests/fuzz/corpus"


def nifti_1(order="<", shape=(3, 4, 5), datatype=4, code="h", slope=0.0, magic=b"n+1\0", forms=(0, 0)):
    count = 1
    for n in shape:
        count *= n
    h = bytearray(348)
    struct.pack_into(order + "i", h, 0, 348)
    struct.pack_into(order + "8h", h, 40, len(shape), *shape, *[1] * (7 - len(shape)))
    struct.pack_into(order + "2h", h, 70, datatype, 8 * struct.calcsize(code))
    struct.pack_into(order + "8f", h, 76, -1, 1, 1.5, 2, 1, 1, 1, 1)
    struct.pack_into(order + "3f", h, 108, 352, slope, 1.0)
    struct.pack_into(order + "2h", h, 252, *forms)
    struct.pack_into(order + "6f", h, 256, 0.1, 0.2, 0.3, 4, 5, 6)
    struct.pack_into(order + "12f", h, 280, -1, 0, 0, 90, 0, -1, 0, 126, 0, 0, 1, -72)
    h[344:348] = magic
    return bytes(h) + bytes(4) + struct.pack(order + f"{count}{code}", *[i % 5 for i in range(count)])


def nifti_2(order="<", shape=(3, 4, 5), datatype=16, code="f"):
    count = 1
    for n in shape:
        count *= n
    h = bytearray(540)
    struct.pack_into(order + "i", h, 0, 540)
    h[4:12] = b"n+2\0\r\n\x1a\n"
    struct.pack_into(order + "2h", h, 12, datatype, 8 * struct.calcsize(code))
    struct.pack_into(order + "8q", h, 16, len(shape), *shape, *[1] * (7 - len(shape)))
    struct.pack_into(order + "8d", h, 104, 1, 1, 1, 2, 1, 1, 1, 1)
    struct.pack_into(order + "q2d", h, 168, 544, 0.5, -1)
    struct.pack_into(order + "2i", h, 344, 0, 1)
    struct.pack_into(order + "12d", h, 400, -1, 0, 0, 90, 0, -1, 0, 126, 0, 0, 1, -72)
    return bytes(h) + bytes(4) + struct.pack(order + f"{count}{code}", *[i % 5 for i in range(count)])


nifti = {
    "int16": nifti_1(),
    "int16-be-qform": nifti_1(">", forms=(1, 0)),
    "float-scaled-sform": nifti_1(datatype=16, code="f", slope=2.5, forms=(1, 2)),
    "double-4d": nifti_1(datatype=64, code="d", shape=(2, 3, 2, 2)),
    "uint8": nifti_1(datatype=2, code="B"),
    "uint64-5d": nifti_1(datatype=1280, code="Q", shape=(2, 2, 2, 1, 2)),
    "half-of-a-pair": nifti_1(magic=b"ni1\0"),
    "nifti2": nifti_2(),
    "nifti2-be": nifti_2(">", datatype=8, code="i"),
    "packed": gzip.compress(nifti_1(), mtime=0),
    "cut": nifti_1()[:-3],
}
packed = gzip.compress(b"brain " * 9, mtime=0)
named = packed[:3] + b"\x1e" + packed[4:10] + b"\x03\0abcname\0comment\0\x12\x34" + packed[10:]
seeds = {
    "one": b"\0" + packed,
    "two": b"\0" + packed + packed,
    "padded": b"\0" + packed + bytes(9),
    "stored": b"\0" + gzip.compress(b"brain", 0, mtime=0),
    "all-fields": b"\0" + named,
    "cut": b"\0" + packed[:-5],
    "made-3": b"\x03" + b"brain " * 9,
    "made-padded": b"\x06" + bytes(range(64)),
    "made-cut": b"\x0a" + bytes(64),
    "made-wrong": b"\x11" + b"tumour" * 5,
}


def nnunet(labels, classes, **changes):
    """What tools/nnunet_to_safetensors.py makes of an nnU-Net of 2 stages, 1 and 2 features wide."""
    arguments = {
        "n_stages": 2, "features_per_stage": [1, 2], "conv_op": "torch.nn.modules.conv.Conv3d",
        "kernel_sizes": [[3, 3, 3], [3, 3, 3]], "strides": [[1, 1, 1], [2, 2, 2]],
        "n_conv_per_stage": [2, 2], "n_conv_per_stage_decoder": [2], "conv_bias": True,
        "norm_op": "InstanceNorm3d", "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "dropout_op": None, "nonlin": "LeakyReLU", "nonlin_kwargs": {"inplace": True}, **changes}
    plans = {
        "network": "PlainConvUNet", "arguments": arguments, "patch_size": [8, 8, 8],
        "spacing": [2.0, 2.0, 2.0], "normalization_schemes": ["ZScoreNormalization"] * 2,
        "use_mask_for_norm": [True, True], "previous_stage": None, "transpose_forward": [0, 1, 2],
        "origin": {}}
    dataset = {"channel_names": {"0": "FLAIR", "1": "T1"}, "labels": labels,
               "regions_class_order": [1, 2, 3]}
    shapes = {"decoder.transpconvs.0.weight": (2, 1, 2, 2, 2), "decoder.transpconvs.0.bias": (1,),
              "decoder.seg_layers.0.weight": (classes, 1, 1, 1, 1), "decoder.seg_layers.0.bias": (classes,)}
    for stage, widths in (("encoder.stages.0.0", (2, 1, 1)), ("encoder.stages.1.0", (1, 2, 2)),
                          ("decoder.stages.0", (2, 1, 1))):
        for k in range(2):
            one = f"{stage}.convs.{k}."
            shapes[one + "conv.weight"] = (widths[k + 1], widths[k], 3, 3, 3)
            for vector in ("conv.bias", "norm.weight", "norm.bias"):
                shapes[one + vector] = (widths[k + 1],)
    header = {"__metadata__": {"nnunet.format": "1", "nnunet.plans": json.dumps(plans),
                               "nnunet.dataset": json.dumps(dataset)}}
    at = 0
    for name, shape in shapes.items():
        count = 1
        for n in shape:
            count *= n
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + 4 * count]}
        at += 4 * count
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + struct.pack(f"<{at // 4}f", *[i % 7 / 8 for i in range(at // 4)])


imports = {
    "labels": nnunet({"background": 0, "edema": 1, "necrosis": 2, "enhancing tumor": 3}, 4),
    "regions": nnunet({"background": 0, "whole tumor": [1, 2, 3], "tumor core": [2, 3], "enhancing tumor": [3]}, 3),
    "anisotropic": nnunet({"background": 0}, 1, strides=[[1, 1, 1], [1, 2, 2]]),
}
for folder, files in (("nifti", nifti), ("gzip", seeds), ("import", imports)):
    (CORPUS / folder).mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (CORPUS / folder / name).write_bytes(content)
