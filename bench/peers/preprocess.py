"""Reading and preprocessing a case (docs/method.md, "Preprocessing") with nibabel and scipy, the usual way of Python pipelines.
Files are read, and modalities normalised, by threads side by side.
As a program it measures itself:
    python3 preprocess.py CASE [--threads 2]"""
import argparse
import concurrent.futures
import glob
import os

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


def normalise(image):
    brain = image != 0
    values = image[brain]
    image[brain] = (values - values.mean()) / max(values.std(), 1e-8)


def preprocess(folder, threads):
    """Images [4][x][y][z] of the brain's box, z-scored; the box; the file's header."""
    files = [nibabel.as_closest_canonical(nibabel.load(p)) for p in find_files(folder)]
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        images = np.stack(list(pool.map(lambda f: f.get_fdata(dtype=np.float32), files)))
        box = scipy.ndimage.find_objects(np.any(images != 0, axis=0).astype(np.uint8))[0]
        images = images[(slice(None),) + box]
        list(pool.map(normalise, images))
    return np.ascontiguousarray(images), box, files[0]


if __name__ == "__main__":
    p = argparse.ArgumentParser()
    p.add_argument("case")
    p.add_argument("--threads", type=int, default=2)
    o = p.parse_args()
    timing.report("nibabel " + nibabel.__version__ + ", scipy " + scipy.__version__,
                  timing.measure(lambda: preprocess(o.case, o.threads), 5))
