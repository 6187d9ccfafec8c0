#!/usr/bin/env python3
"""What Winograd's algorithm changes in training: one run of fp32 three times, by the direct sums, by
winograd=on, and by the direct sums of another engine target, whose other order of additions is
rounding noise and nothing else. Prints how far apart the losses of the same step are.
    python3 bench/losses.py DATA [--seeds 3] [--steps 500]
DATA is any data set (`build/twinseg phantom build/bench/losses/data --cases 4` makes one); the network
is small and wide, so that most of its layers take the algorithm."""
import argparse
import csv
import os
import statistics
import subprocess

FOLDER = "build/bench/losses"
NETWORK = ["base=32", "stages=3", "patch=16", "epoch_steps=1"]
RUNS = dict(direct=("off", None), winograd=("on", None), rounding=("off", "avx2"))


def losses(data, name, seed, steps):
    """A list of (student's, teacher's) loss, one for each step; trained where it is not there yet."""
    out = f"{FOLDER}/{name}-{seed}-{steps}"
    winograd, target = RUNS[name]
    if not os.path.exists(out + "/model.safetensors"):
        command = ["build/twinseg", "train", data, "--student", "flair,t1ce", "--out", out, "--seed", str(seed),
                   "--steps", str(steps), "--cache", FOLDER + "/cache", "winograd=" + winograd, *NETWORK]
        environment = dict(os.environ, TWINSEG_TARGET=target) if target else dict(os.environ)
        subprocess.run(command, env=environment, check=True, stderr=subprocess.DEVNULL)
    with open(out + "/metrics.csv") as f:
        return [(float(r["loss_student"]), float(r["loss_teacher"])) for r in csv.DictReader(f)]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("data")
    p.add_argument("--seeds", type=int, default=3)
    p.add_argument("--steps", type=int, default=500)
    o = p.parse_args()
    os.makedirs(FOLDER, exist_ok=True)
    print("| seed | beside direct | steps 1 to 10, most | last fifth, mean | loss there | direct's |\n|---|---|---|---|---|---|")
    for seed in range(1, o.seeds + 1):
        direct = losses(o.data, "direct", seed, o.steps)
        for name in ("winograd", "rounding"):
            other = losses(o.data, name, seed, o.steps)
            apart = [abs(a[side] - b[side]) for a, b in zip(direct, other) for side in (0, 1)]
            tail = o.steps // 5
            level = [statistics.mean(x for pair in run[-tail:] for x in pair) for run in (other, direct)]
            print(f"| {seed} | {name} | {max(apart[:20]):.1e} | {statistics.mean(apart[-2 * tail:]):.4f} "
                  f"| {level[0]:.4f} | {level[1]:.4f} |", flush=True)


if __name__ == "__main__":
    main()
