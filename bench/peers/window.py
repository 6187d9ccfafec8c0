"""One window's prediction on a peer, in a process of its own, whose peak memory is then the peer's.
    python3 window.py openvino --model FOLDER --patch 128 --dtype fp32 --threads 2"""
import argparse

import numpy as np

import runtimes
import timing


def main():
    p = argparse.ArgumentParser()
    runtimes.add_arguments(p, inputs=2, repeats=3)
    o = p.parse_args()
    name, run = runtimes.PEERS[o.peer](o)
    x = (np.random.default_rng(0).random((1, o.inputs) + (o.patch,) * 3) * 2 - 1).astype(np.float32)
    timing.report(name, timing.measure(lambda: run(x), o.repeats))


main()
