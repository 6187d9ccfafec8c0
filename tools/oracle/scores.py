#!/usr/bin/env python3
"""Golden values for tests/test_evaluate.c: the public code of the BraTS 2023 challenge (lesion by
lesion), medpy's HD95 (legacy) and the table of surfels, on small volumes of made lesions. The volumes are
made by the same rule here and in the test, so that only scores are kept.

    git clone https://github.com/rachitsaluja/BraTS-2023-Metrics (commit 43c9052)
    PYTHONPATH=BraTS-2023-Metrics python3 tools/oracle/scores.py > tests/golden/scores.json

Needs numpy before 2, pandas before 2, scipy, nibabel, connected-components-3d, medpy. Per region a row of dice, hd95,
sensitivity, specificity, and for "lesion" also lesion_dice, lesion_hd95, tp, fp, fn. A case whose
lesion HD95 depends on the last bit of a sum of areas (it changes when 95 % moves by 1e-9) is left
out."""
import json
import math
import os
import sys
import tempfile

import metrics
import nibabel
import numpy as np
import pandas
import surface_distance
from medpy.metric.binary import hd95
from surface_distance import lookup_tables

SHAPE = (30, 26, 22)
SPACINGS = ((1, 1, 1), (0.75, 1.5, 2.5), (0.5, 0.5, 2))
REGIONS = {"WT": (1, 2, 3), "TC": (1, 3), "ET": (3,)}
SEEDS = 48

def replace(frame, old, new, inplace=False):
    """Of single values alone, as pandas 1.3's did: later ones fail on columns that hold arrays."""
    out = frame if inplace else frame.copy()
    for name in out.columns:
        out[name] = [new if np.isscalar(v) and v == old else v for v in out[name]]
    return out


pandas.DataFrame.replace = replace


class Draws:
    """Knuth's 64-bit linear congruential generator: easily written in any language."""
    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % n


def paint(v, at, size, label):
    if min(size) > 0:
        v[tuple(slice(max(a, 0), max(a + s, 0)) for a, s in zip(at, size))] = label


def paint_lesion(v, at, size):
    """A box of ED, within it one of ET, within that one of NCR, each a voxel smaller all around."""
    for inset, label in ((0, 2), (1, 3), (2, 1)):
        paint(v, [a + inset for a in at], [s - 2 * inset for s in size], label)


def lesions(seed):
    """0 to 4 lesions of 1 to 8 voxels a side; each is missed, met, shifted or met smaller by the
    prediction, which has up to 3 boxes besides. Returns prediction, truth, indexed x, y, z."""
    draws = Draws(seed)
    p, t = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    for _ in range(draws.below(5)):
        size = [1 + draws.below(8) for _ in range(3)]
        at = [draws.below(n) for n in SHAPE]
        shift = [draws.below(5) - 2 for _ in range(3)]
        kind = draws.below(4)
        paint_lesion(t, at, size)
        if kind == 1:
            paint_lesion(p, at, size)
        elif kind == 2:
            paint_lesion(p, [a + s for a, s in zip(at, shift)], size)
        elif kind == 3:
            paint_lesion(p, at, [max(s - 1, 1) for s in size])
    for _ in range(draws.below(4)):
        size = [1 + draws.below(4) for _ in range(3)]
        at = [draws.below(n) for n in SHAPE]
        paint(p, at, size, 1 + draws.below(3))
    return p, t


def legacy(p, t, spacing):
    rows = {}
    for name, labels in REGIONS.items():
        a, b = np.isin(p, labels), np.isin(t, labels)
        sensitivity, specificity = metrics.get_sensitivity_and_specificity(a * 1.0, b * 1.0)
        if a.any() and b.any():
            distance = hd95(a, b, voxelspacing=spacing, connectivity=1)
        else:
            distance = math.sqrt(240**2 + 240**2 + 155**2) if a.any() or b.any() else 0
        dice = metrics.dice(a, b) if a.any() or b.any() else 1
        rows[name] = [dice, distance, sensitivity, specificity]
    return rows


def lesion_at(paths, percent):
    compute = surface_distance.metrics.compute_robust_hausdorff
    surface_distance.compute_robust_hausdorff = lambda distances, _: compute(distances, percent)
    rows = metrics.get_LesionWiseResults(*paths, "BraTS-GLI").set_index("Labels")
    return {name: [float(rows.loc[name][c]) for c in
                   ("Legacy_Dice", "Legacy_HD95", "Sensitivity", "Specificity",
                    "LesionWise_Score_Dice", "LesionWise_Score_HD95", "Num_TP", "Num_FP", "Num_FN")]
            for name in REGIONS}


def lesion(p, t, spacing):
    """None where the last bit of a sum decides."""
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for name, labels in (("p", p), ("t", t)):
            image = nibabel.Nifti1Image(labels, np.diag(spacing + (1,)))
            paths.append(os.path.join(folder, name + ".nii.gz"))
            nibabel.save(image, paths[-1])
        low, rows, high = (lesion_at(paths, 95 * (1 + e)) for e in (-1e-9, 0, 1e-9))
    return rows if low == rows == high else None


def written(rows):
    return {name: [float(f"{v:.10g}") for v in row] for name, row in rows.items()}


def main():
    normals = [[[round(8 * abs(x)) for x in triangle] for triangle in triangles]
               for triangles in lookup_tables.neighbour_code_to_normals]
    lines = []
    for seed in range(1, SEEDS + 1):
        spacing = SPACINGS[seed % 3]
        p, t = lesions(seed)
        scores = lesion(p, t, spacing)
        if scores:
            both = {"legacy": written(legacy(p, t, spacing)), "lesion": written(scores)}
            lines.append(f'  "{seed}": {json.dumps(both)}')
        else:
            print(f"seed {seed} is left out: a tie", file=sys.stderr)
    print('{\n "from": "BraTS-2023-Metrics 43c9052, medpy",')
    print(' "abs_normals_eighths": ' + json.dumps(normals, separators=(",", ":")) + ",")
    print(' "cases": {\n' + ",\n".join(lines) + "\n }\n}")


if __name__ == "__main__":
    sys.exit(main())
