"""Reading and preparing a case (METHOD 3) with nibabel and scipy, the usual way of Python pipelines.
As a program it measures itself:
    python3 prepare.py CASE"""
import glob
import os
import sys

import nibabel
import numpy as np
import scipy.ndimage

import timing

# Names of all years: 2017-2021, 2023 on.
MODALITIES = [("t1", "t1n"), ("t1ce", "t1c"), ("t2", "t2w"), ("flair", "t2f")]


def find_files(folder):
    paths = sorted(glob.glob(os.path.join(folder, "*.nii.gz")))
    stems = [os.path.basename(p)[:-7].lower() for p in paths]
    return [next(p for p, s in zip(paths, stems) if s.endswith(names)) for names in MODALITIES]


def prepare(folder):
    """Images [4][x][y][z] of the brain's box, z-scored; the box; the file's header."""
    files = [nibabel.as_closest_canonical(nibabel.load(p)) for p in find_files(folder)]
    images = np.stack([f.get_fdata(dtype=np.float32) for f in files])
    box = scipy.ndimage.find_objects(np.any(images != 0, axis=0).astype(np.uint8))[0]
    images = images[(slice(None),) + box]
    for image in images:
        brain = image != 0
        values = image[brain]
        image[brain] = (values - values.mean()) / max(values.std(), 1e-8)
    return np.ascontiguousarray(images), box, files[0]


if __name__ == "__main__":
    timing.report("nibabel " + nibabel.__version__ + ", scipy " + scipy.__version__,
                  timing.measure(lambda: prepare(sys.argv[1]), 5))
