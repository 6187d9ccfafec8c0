"""Writes tests/golden/windows.txt: nnU-Net 2's window positions and importance map.

Needs torch, numpy, scipy and nnU-Net (https://github.com/MIC-DKFZ/nnUNet, made with commit 0e495086)
on PYTHONPATH. Run from the root of the repository.
Lines: "steps SIZE PATCH STEP BEGIN ...", then "importance D H W VALUE ...".
"""
import sys
import types

import torch

# sliding_window_prediction imports the padding that it uses only as a script
for name in ("acvl_utils", "acvl_utils.cropping_and_padding", "acvl_utils.cropping_and_padding.padding"):
    sys.modules[name] = types.ModuleType(name)
sys.modules["acvl_utils.cropping_and_padding.padding"].pad_nd_image = None

from nnunetv2.inference.sliding_window_prediction import (
    compute_gaussian,
    compute_steps_for_sliding_window,
)

with open("tests/golden/windows.txt", "w") as f:
    for size in (64, 65, 70, 95, 96, 97, 110, 128, 155, 161, 240):
        for patch, step in ((64, 0.5), (64, 0.25), (48, 0.7), (32, 1.0)):
            begins = compute_steps_for_sliding_window((size,), (patch,), step)[0]
            print("steps", size, patch, step, *begins, file=f)
    shape = (8, 10, 13)
    values = compute_gaussian(shape, dtype=torch.float64, device=torch.device("cpu")).flatten()
    print("importance", *shape, *(f"{v:.9g}" for v in values.tolist()), file=f)
