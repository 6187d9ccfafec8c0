#!/usr/bin/env python3
"""Golden values for tests/test_study.c: scipy's Wilcoxon signed-rank test and bootstrap on made-up
differences. Prints tests/golden/statistics.txt: a line `wilcoxon p n d1 .. dn` or
`bootstrap low high n d1 .. dn`.

With ties or zeros scipy's own choice is exact up to 13 differences and the normal distribution
beyond; twinseg stays exact up to 50, so that there the oracle is scipy's permutation test over all
2^n signs."""
import numpy as np
import scipy
from scipy import stats

generator = np.random.default_rng(20)
print(f"# scipy {scipy.__version__}")


def line(name, values, d):
    print(name, *(f"{v:.17g}" for v in values), len(d), *(f"{x:.17g}" for x in d))


def wilcoxon(d, **options):
    line("wilcoxon", [stats.wilcoxon(d, correction=False, **options).pvalue], d)


for n in (1, 2, 3, 5, 6, 9, 13, 23, 37, 50):  # no ties: exact
    for shift in (0.0, 0.4, -1.0):
        wilcoxon(generator.normal(shift, 1, n))
for n in (4, 8, 13):  # ties and zeros, few
    for _ in range(4):
        wilcoxon(generator.integers(-3, 4, n).astype(float))
for n in (15, 17):  # ties and zeros, more: all signs
    wilcoxon(generator.integers(-4, 6, n).astype(float), method=stats.PermutationMethod(n_resamples=2**n))
for n in (60, 200):  # beyond 50: normal, with and without ties
    wilcoxon(generator.normal(0.1, 1, n), method="asymptotic")
    d = generator.integers(-9, 11, n).astype(float)
    wilcoxon(d[d != 0], method="asymptotic")
for n, shift in ((23, 0.02), (5, -0.1), (60, 0.0)):
    d = generator.normal(shift, 0.05, n)
    r = stats.bootstrap((d,), np.mean, n_resamples=400000, batch=10000, method="percentile", rng=generator)
    line("bootstrap", r.confidence_interval, d)
