#!/usr/bin/env python3
"""The difference between two sets of runs over the patients that both scored, from their score files.

    tools/paired.py FILES - FILES [--role teacher] [--region WT|TC|ET|mean] [--input flair,t1ce]
                    [--without N]

The students of the first files less those of the second, in legacy Dice: mean over patients, each averaged
over its files first, with the bootstrap's 95 % percentile interval (10 000 resamples). --role teacher takes
the teachers of the first files; --input takes the models that were given these modalities; --without N
leaves out the N patients with the largest differences. The tables of `twinseg study --table` compare the
arms of one study; this also compares seeds, folds and studies with each other.
"""
import argparse
import json
import random


def scores(paths, role, wanted, region):
    """{patient: mean Dice over the files}"""
    found = {}
    for path in paths:
        with open(path) as file:
            cell = json.load(file)
        for model in cell["models"]:
            if model["role"] != role or (wanted and set(model["input"].split(",")) != wanted):
                continue
            for patient, by in model["cases"].items():
                dice = {r: by["legacy"][r][0] for r in ("WT", "TC", "ET")}
                value = sum(dice.values()) / 3 if region == "mean" else dice[region]
                found.setdefault(patient, []).append(value)
    return {patient: sum(values) / len(values) for patient, values in found.items()}


def bootstrap(values):
    draw = random.Random(1)
    means = sorted(sum(draw.choices(values, k=len(values))) / len(values) for _ in range(10000))
    return means[249], means[9749]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("first", nargs="+", help="score files, then '-' and the second set")
    parser.add_argument("--role", default="student", choices=["student", "teacher"])
    parser.add_argument("--region", default="mean", choices=["WT", "TC", "ET", "mean"])
    parser.add_argument("--input", type=lambda names: set(names.split(",")))
    parser.add_argument("--without", type=int, default=0, metavar="N")
    options = parser.parse_args()
    if "-" not in options.first:
        parser.error("give two sets of files with '-' between them")
    at = options.first.index("-")
    a = scores(options.first[:at], options.role, options.input, options.region)
    b = scores(options.first[at + 1:], "student", options.input, options.region)
    pairs = sorted((a[p] - b[p], p) for p in a if p in b)
    if not pairs:
        parser.error("the two sets have no patient in common")
    if options.without:
        pairs = pairs[:-options.without]
    values = [d for d, _ in pairs]
    low, high = bootstrap(values)
    n = len(values)
    print(f"{n} patients: {sum(a[p] for _, p in pairs) / n:.3f} less "
          f"{sum(b[p] for _, p in pairs) / n:.3f}: {sum(values) / n:+.3f} [{low:+.3f}, {high:+.3f}], "
          f"{sum(d > 0 for d in values)} ahead")


main()
