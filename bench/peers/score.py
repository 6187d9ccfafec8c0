"""Two label files to scores, with the evaluators of Python:
    official  brats-evaluation of pip (panoptica), glioma's settings
    legacy    BraTS 2017-2021: counts, and HD95 as medpy computes it, on scipy
    lesion    BraTS 2023's lesion-wise rules as BraTS-2023-Metrics computes them: cc3d, scipy and
              deepmind's surface-distance
    python3 score.py lesion PREDICTION TRUTH"""
import contextlib
import importlib.metadata
import os
import sys

import nibabel
import numpy as np
import scipy.ndimage as ndimage

import timing

REGIONS = dict(WT=(1, 2, 3, 4), TC=(1, 3, 4), ET=(3, 4))


def official(prediction, truth):
    from importlib.resources import files
    from panoptica import Panoptica_Evaluator
    config = files("brats_evaluation").joinpath("configs", "config_gli.yaml")
    evaluator = Panoptica_Evaluator.load_from_config(str(config))
    return lambda: evaluator.evaluate(prediction, truth)


def read(path):
    image = nibabel.load(path)
    return np.round(image.get_fdata()).astype(np.uint8), image.header.get_zooms()[:3]


def count_scores(p, t):
    both, p_only, t_only = (p & t).sum(), (p & ~t).sum(), (~p & t).sum()
    neither = (~(p | t)).sum()
    return (2 * both / max(1, 2 * both + p_only + t_only), both / max(1, both + t_only),
            neither / max(1, neither + p_only))


def surface_distances(p, t, spacing):
    structure = ndimage.generate_binary_structure(3, 1)
    edge_p = p ^ ndimage.binary_erosion(p, structure, 1)
    edge_t = t ^ ndimage.binary_erosion(t, structure, 1)
    return ndimage.distance_transform_edt(~edge_t, sampling=spacing)[edge_p]


def legacy(prediction, truth):
    def run():
        p_all, spacing = read(prediction)
        t_all, _ = read(truth)
        scores = {}
        for name, labels in REGIONS.items():
            p, t = np.isin(p_all, labels), np.isin(t_all, labels)
            hd95 = 0.0 if p.any() == t.any() else 373.13
            if p.any() and t.any():
                hd95 = np.percentile(np.hstack((surface_distances(p, t, spacing),
                                                surface_distances(t, p, spacing))), 95)
            scores[name] = count_scores(p, t) + (hd95,)
        return scores
    return run


def lesion_region(p, t, spacing):
    import cc3d
    import surface_distance
    structure = ndimage.generate_binary_structure(3, 2)

    def hd95(a, b):
        distances = surface_distance.compute_surface_distances(b, a, spacing)
        return surface_distance.compute_robust_hausdorff(distances, 95)

    dilated = ndimage.binary_dilation(t, structure, 3)
    truth_lesions = np.where(t, cc3d.connected_components(dilated, connectivity=26), 0)
    predicted = cc3d.connected_components(p, connectivity=26)
    matched, rows = set(), []
    for lesion in range(1, truth_lesions.max() + 1):
        one = truth_lesions == lesion
        touched = np.unique(predicted[ndimage.binary_dilation(one, structure, 3)])
        touched = touched[touched != 0]
        matched.update(touched)
        found = np.isin(predicted, touched)
        if one.sum() * np.prod(spacing) > 50:
            rows.append(((2 * (found & one).sum() / (found.sum() + one.sum()), hd95(found, one))
                         if len(touched) else (0.0, 374.0)))
    false = predicted.max() - len(matched)
    count = max(1, len(rows) + false)
    whole = hd95(p, t) if p.any() and t.any() else 374.0
    return count_scores(p, t) + (whole, sum(r[0] for r in rows) / count,
                                 (sum(r[1] for r in rows) + 374.0 * false) / count, false)


def lesion(prediction, truth):
    def run():
        p, spacing = read(prediction)
        t, _ = read(truth)
        return {name: lesion_region(np.isin(p, labels), np.isin(t, labels), spacing)
                for name, labels in REGIONS.items()}
    return run


def main():
    kind = sys.argv[1]
    run = dict(official=official, legacy=legacy, lesion=lesion)[kind](*sys.argv[2:4])
    if len(sys.argv) > 4:
        print(run())
        return
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        times = timing.measure(run, 3)
    names = dict(official="brats-evaluation", legacy="scipy", lesion="scipy")
    rules = dict(official="", legacy="legacy rules, ", lesion="BraTS 2023's rules, ")
    timing.report(f"{rules[kind]}{names[kind]} {importlib.metadata.version(names[kind])}", times)


main()
