"""A whole case, four volumes to a label file: nibabel and scipy around a peer's network, with
nnU-Net's windows of half-patch steps and its Gaussian importance.
    python3 case.py openvino CASE OUT.nii.gz --model FOLDER"""
import argparse
import itertools

import nibabel
import numpy as np

import runtimes
import timing
from preprocess import preprocess


def starts(size, patch):
    if size <= patch:
        return [0]
    count = int(np.ceil((size - patch) / (patch / 2))) + 1
    return [round((size - patch) / (count - 1) * i) for i in range(count)]


def importance_map(patch):
    axis = np.exp(-0.5 * ((np.arange(patch) - patch // 2) / (patch / 8)) ** 2)
    return (axis[:, None, None] * axis[:, None] * axis).astype(np.float32)


def softmax(logits):
    e = np.exp(logits - logits.max(0))
    return e / e.sum(0)


def predict(images, run, patch):
    shape = images.shape[1:]
    images = np.pad(images, [(0, 0)] + [(0, max(0, patch - n)) for n in shape])
    padded = images.shape[1:]
    importance = importance_map(patch)
    total, weights = np.zeros((4,) + padded, np.float32), np.zeros(padded, np.float32)
    windows = list(itertools.product(*(starts(n, patch) for n in padded)))
    for begin in windows:
        at = tuple(slice(b, b + patch) for b in begin)
        logits = run(np.ascontiguousarray(images[(slice(None),) + at])[None])[0]
        total[(slice(None),) + at] += softmax(logits) * importance
        weights[at] += importance
    labels = (total / weights).argmax(0)[tuple(slice(n) for n in shape)]
    return labels.astype(np.uint8), len(windows)


def main():
    p = argparse.ArgumentParser()
    runtimes.add_arguments(p, inputs=4, repeats=1)
    p.add_argument("case")
    p.add_argument("out")
    o = p.parse_args()
    name, run = runtimes.PEERS[o.peer](o)
    windows = 0

    def whole():
        nonlocal windows
        images, box, file = preprocess(o.case, o.threads)
        labels = np.zeros(file.shape, np.uint8)
        labels[box], windows = predict(images, run, o.patch)
        nibabel.save(nibabel.Nifti1Image(labels, file.affine), o.out)

    times = timing.measure(whole, o.repeats, warm_up=0)
    timing.report(name, times, windows=windows)


main()
