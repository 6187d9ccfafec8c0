#!/usr/bin/env python3
"""Golden values for tests/test_volume.c: scipy.ndimage.zoom with aligned edges, cubic and linear, of
a small volume that every program can make. Prints tests/golden/resample.txt: a line
`name count`, then the numbers (x fastest)."""
import numpy as np
import scipy
from scipy.ndimage import zoom

print(f"# scipy {scipy.__version__}")
nx, ny, nz = 11, 7, 9
i = np.arange(nx * ny * nz)
volume = (((i * 7919 + i * i % 1009 * 31) % 4001 - 2000) / 1000).reshape(nz, ny, nx)
for name, shape in ("down", (5, 4, 6)), ("up", (14, 7, 17)):
    for kind, order in ("cubic", 3), ("linear", 1):
        factors = [b / a for a, b in zip(volume.shape, shape)]
        out = zoom(volume, factors, order=order, mode="nearest", grid_mode=True)
        assert out.shape == shape
        print(f"{name}.{kind}", out.size)
        print(*(f"{v:.8g}" for v in out.reshape(-1)))
