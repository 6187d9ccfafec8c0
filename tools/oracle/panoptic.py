#!/usr/bin/env python3
"""Golden values for tests/test_panoptic.c: the package brats-evaluation (adult glioma, Panoptica) on
the cases of ../shared/metrics/synthetic, on real truths of ../shared/brats with predictions by rule,
and on small volumes of random boxes, whose many equal overlaps make ties in the matching.

    python3 tools/oracle/panoptic.py > tests/golden/panoptic.json

Needs brats-evaluation 0.0.10, nibabel. Per region a row of the figures named in "figures"; null is
NaN (and what the package leaves out), "inf" infinity."""
import contextlib
import glob
import io
import json
import math
import os
import sys
import tempfile

import nibabel
import numpy as np

with contextlib.redirect_stdout(io.StringIO()):
    import brats_evaluation
    import panoptica

SHARED = os.environ.get("TWINSEG_SHARED", "../shared")
REGIONS = {"WT": "wt", "TC": "tc", "ET": "et", "NCR": "netc", "ED": "snfh", "RC": "rc"}
FIGURES = {"dice": "global_bin_dsc", "nsd": "global_bin_nsd", "hd95": "global_bin_hd95", "rq": "rq",
           "pq": "pq_dsc", "precision": "prec", "recall": "rec",
           "instance_dice": "sq_dsc", "instance_dice_std": "sq_dsc_std",
           "instance_nsd": "sq_nsd", "instance_nsd_std": "sq_nsd_std",
           "instance_hd95": "sq_hd95", "instance_hd95_std": "sq_hd95_std",
           "tp": "tp", "fp": "fp", "fn": "fn"}


def written(v):
    if v is None or math.isnan(v):
        return None
    return "inf" if math.isinf(v) else float(f"{v:.12g}")


def score(evaluator, prediction, truth, affine, zooms):
    """Through files, as the challenge's command does: their reader decides which axis is which."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        paths = []
        for name, labels in (("p", prediction), ("t", truth)):
            image = nibabel.Nifti1Image(labels.astype(np.uint8), affine)
            image.header.set_zooms(zooms)
            paths.append(os.path.join(folder, name + ".nii.gz"))
            nibabel.save(image, paths[-1])
        result = brats_evaluation.evaluate_single_exam(*paths, "case", evaluator)
    assert "error" not in result, result
    return {ours: [written(result[theirs].get(f)) for f in FIGURES.values()]
            for ours, theirs in REGIONS.items()}


def read(path):
    """Labels 1 NCR, 2 ED, 3 ET: a file with 4 and no 3 is one of 2021 or before."""
    image = nibabel.load(path)
    labels = np.rint(np.asanyarray(image.dataobj)).astype(np.uint8)
    assert not ((labels == 3).any() and (labels == 4).any())
    labels[labels == 4] = 3
    labels[labels > 4] = 0
    return labels, image.affine, image.header.get_zooms()[:3]


def moved(truth):
    """The rule of ../shared/metrics/golden_real.json."""
    x, y, z = np.indices(truth.shape, sparse=True)
    p = np.zeros_like(truth)
    p[3:, :-2, 1:] = truth[:-3, 2:, :-1]
    p[(x * 7 + y * 13 + z * 17) % 11 == 0] = 0
    low = [max(int(axis.min()) - 12, 0) for axis in np.nonzero(truth)]
    p[low[0]:low[0] + 6, low[1]:low[1] + 6, low[2]:low[2] + 6] = 2
    return p


def cut(truth):
    """The truth cut into slabs 8 voxels thick, with specks around; ED in every third cube of 6 voxels
    becomes RC, in both. Returns prediction, truth."""
    x, y, z = np.indices(truth.shape, sparse=True)
    t = truth.copy()
    t[(t == 2) & ((x // 6 + y // 6 + z // 6) % 3 == 0)] = 4
    p = t.copy()
    p[np.broadcast_to(x % 9 == 0, p.shape)] = 0
    p = np.where((x * 31 + y * 17 + z * 29) % 4099 == 0, 1 + (x + y + z) % 4, p)
    return p, t


class Draws:
    """Knuth's 64-bit linear congruential generator: easily written in any language."""
    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % n


def boxes(seed):
    """20 x 18 x 16 voxels; in each of prediction and truth 10 to 49 boxes of 1 to 3 voxels a side."""
    draws = Draws(seed)
    volumes = []
    for _ in range(2):
        v = np.zeros((20, 18, 16), np.uint8)
        for _ in range(10 + draws.below(40)):
            size = [1 + draws.below(3) for _ in range(3)]
            at = [draws.below(extent) for extent in v.shape]
            v[tuple(slice(a, a + s) for a, s in zip(at, size))] = 1 + draws.below(4)
        volumes.append(v)
    return volumes


def main():
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator = panoptica.Panoptica_Evaluator.load_from_config(
            str(brats_evaluation.config_path("gli")))
    cases = {}
    for path in sorted(glob.glob(f"{SHARED}/metrics/synthetic/*-pred.nii.gz")):
        prediction, affine, zooms = read(path)
        truth = read(path.replace("-pred", "-seg"))[0]
        name = os.path.basename(path).split("-")[0]
        cases[f"synthetic {name}"] = score(evaluator, prediction, truth, affine, zooms)
    with open(f"{SHARED}/metrics/golden_real.json") as file:
        real = json.load(file)["cases"]
    for i, one in enumerate(real.values()):
        truth, affine, zooms = read(f"{SHARED}/{one['truth']}")
        cases[f"moved {one['truth']}"] = score(evaluator, moved(truth), truth, affine, zooms)
        if i < 2:
            cases[f"cut {one['truth']}"] = score(evaluator, *cut(truth), affine, zooms)
    for seed in range(1, 61):
        zooms = (1, 1, 1) if seed % 2 else (0.75, 1.5, 2.5)
        cases[f"boxes {seed}"] = score(evaluator, *boxes(seed), np.diag(zooms + (1,)), zooms)
    rows = []
    for name, regions in cases.items():
        lines = ",\n".join(f'   "{r}": {json.dumps(v)}' for r, v in regions.items())
        rows.append(f'  "{name}": {{\n{lines}\n  }}')
    print("{")
    print(f' "from": "brats-evaluation 0.0.10 (gli), panoptica {panoptica_version()}",')
    print(f' "figures": {json.dumps(list(FIGURES))},')
    print(' "cases": {\n' + ",\n".join(rows) + "\n }\n}")


def panoptica_version():
    from importlib.metadata import version
    assert version("BraTS_evaluation") == "0.0.10"
    return version("panoptica")


if __name__ == "__main__":
    sys.exit(main())
