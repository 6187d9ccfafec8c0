#!/usr/bin/env python3
"""Mean intensity of each tumour part in each modality, of every case z-scored over its brain.

    tools/tissue_contrast.py DATA ...

DATA: a folder with one folder a case, in BraTS 2017 to 2021 names. Prints one Markdown row a folder
and part: the mean over cases of the case's mean z, and its spread over cases; then volumes in ml.
docs/phantom.md compares real scans with phantoms by it. Needs numpy and nibabel."""

import glob
import os
import sys

import nibabel
import numpy

MODALITIES = ("t1", "t1ce", "t2", "flair")
PARTS = (("NCR", (1,)), ("ED", (2,)), ("ET", (3, 4)))


def load(folder, name):
    found = glob.glob(os.path.join(folder, f"*_{name}.nii*"))
    return nibabel.load(found[0]) if found else None


def measure(folder):
    """z by part and modality (nan below 20 voxels) and ml by part, or None for no case."""
    files = [load(folder, name) for name in MODALITIES + ("seg",)]
    if any(f is None for f in files):
        return None
    images = [numpy.asarray(f.dataobj, dtype=float) for f in files[:4]]
    truth = numpy.asarray(files[4].dataobj)
    brain = numpy.any([image != 0 for image in images], axis=0)
    ml = abs(numpy.linalg.det(files[0].affine[:3, :3])) / 1000
    z = numpy.full((len(PARTS), len(MODALITIES)), numpy.nan)
    volumes = []
    for p, (_, labels) in enumerate(PARTS):
        part = numpy.isin(truth, labels)
        volumes.append(part.sum() * ml)
        for m, image in enumerate(images):
            if part.sum() >= 20:
                z[p, m] = (image[part].mean() - image[brain].mean()) / image[brain].std()
    return z, volumes


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    print("| folder | part | " + " | ".join(MODALITIES) + " | ml, median (10 % to 90 %) |")
    print("|---|---|" + "---|" * (len(MODALITIES) + 1))
    for data in sys.argv[1:]:
        cases = [measure(f) for f in sorted(glob.glob(os.path.join(data, "*", "")))]
        cases = [c for c in cases if c]
        if not cases:
            sys.exit(f"no BraTS case in '{data}'")
        z = numpy.array([c[0] for c in cases])
        volumes = numpy.array([c[1] for c in cases])
        for p, (part, _) in enumerate(PARTS):
            cells = [
                f"{numpy.nanmean(z[:, p, m]):+.2f} ({numpy.nanstd(z[:, p, m]):.2f})"
                for m in range(len(MODALITIES))
            ]
            low, middle, high = numpy.percentile(volumes[:, p], (10, 50, 90))
            name = f"{os.path.basename(os.path.normpath(data))}, n = {len(cases)}"
            print(f"| {name} | {part} | " + " | ".join(cells) +
                  f" | {middle:.0f} ({low:.0f} to {high:.0f}) |")


if __name__ == "__main__":
    main()
