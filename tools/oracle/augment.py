"""Writes tests/golden/augment.bin: what nnU-Net 2's own transforms make of one small image.

Needs torch, numpy, scipy, pandas and batchgeneratorsv2 (https://github.com/MIC-DKFZ/batchgeneratorsv2,
made with commit 3cb4f07) on PYTHONPATH. Run from the root of the repository.
The file is float32, little-endian, one array after the other, each [9][11][10] but the last two:
  image; blur with sigma 0.6, 0.8, 1.0 along d, h, w; contrast 1.2; contrast 0.8; low resolution 0.6;
  gamma 0.8; gamma 1.3 on inverted intensities; labels;
  the image and the labels rotated by 0.3, -0.4, 0.5 and scaled by 1.3, patch [7][9][6].
"""
import sys
import types

import numpy as np
import torch

# gaussian_blur imports a test picture that it only uses as a script
sys.modules["skimage"] = types.ModuleType("skimage")
sys.modules["skimage.data"] = types.ModuleType("skimage.data")
sys.modules["skimage.data"].camera = None

from batchgeneratorsv2.transforms.intensity.contrast import ContrastTransform
from batchgeneratorsv2.transforms.intensity.gamma import GammaTransform
from batchgeneratorsv2.transforms.noise.gaussian_blur import blur_dimension
from batchgeneratorsv2.transforms.spatial.low_resolution import SimulateLowResolutionTransform
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform

SHAPE, PATCH = (9, 11, 10), (7, 9, 6)
rng = np.random.default_rng(5)
image = rng.normal(size=SHAPE).astype(np.float32)
image[0, :4] = 0
labels = rng.integers(0, 4, SHAPE).astype(np.int16)


def transformed(transform):
    return transform(image=torch.from_numpy(image)[None].clone())["image"][0].numpy()


def contrast(factor):
    return transformed(ContrastTransform((factor, factor), True, False))


def gamma(exponent, inverted):
    return transformed(GammaTransform((exponent, exponent), inverted, False, 1, 1))


blurred = torch.from_numpy(image)[None].clone()
for axis, sigma in enumerate((0.6, 0.8, 1.0)):
    blurred = blur_dimension(blurred, sigma, axis)

spatial = SpatialTransform(PATCH, 0, False, p_rotation=1, p_scaling=1, mode_seg="nearest")
np.random.uniform = lambda low=0.0, high=1.0: 0.0  # every chance is taken
angles = iter([0.3, -0.4, 0.5])
spatial.rotation = lambda image, dim: next(angles)
spatial.scaling = 1.3
warped = spatial(image=torch.from_numpy(image)[None], segmentation=torch.from_numpy(labels)[None])

arrays = [
    image,
    blurred[0].numpy(),
    contrast(1.2),
    contrast(0.8),
    transformed(SimulateLowResolutionTransform((0.6, 0.6), False, True, None)),
    gamma(0.8, 0),
    gamma(1.3, 1),
    labels,
    warped["image"][0].numpy(),
    warped["segmentation"][0].numpy(),
]
with open("tests/golden/augment.bin", "wb") as f:
    for a in arrays:
        f.write(np.ascontiguousarray(a, dtype="<f4").tobytes())
