#!/usr/bin/env python3
"""Golden values for tests/test_train.c: PyTorch's SGD (Nesterov 0.99) or AdamW on a few weights with
given gradients (weight decay, poly schedule, gradients clipped by norm).
python3 -P optimiser.py sgd|adamw prints tests/golden/sgd.txt or adamw.txt: per line the step, then the weights
with all their digits."""
import sys

import torch

torch.set_num_threads(1)
weights, steps = 7, 12
w = torch.nn.Parameter(torch.tensor([0.5, -1.25, 2.0, 0.0, 1e-3, -3.0, 0.75]))
if sys.argv[1] == "sgd":
    optimiser = torch.optim.SGD([w], lr=0.01, momentum=0.99, nesterov=True, weight_decay=3e-5)
else:
    optimiser = torch.optim.AdamW([w], lr=0.01, weight_decay=0.01)
print(f"# torch {torch.__version__.split('+')[0]}: {weights} weights, {steps} steps")
print(0, *(f"{x:.9g}" for x in w.tolist()))
for step in range(steps):
    for group in optimiser.param_groups:
        group["lr"] = 0.01 * (1 - step / steps) ** 0.9
    # gradients that every program can make: small integers over 8, some of them beyond the clip
    w.grad = torch.tensor([((step * 7 + i * 5) % 11 - 5) / 8 * (40 if step % 4 == 3 else 1) for i in range(weights)])
    torch.nn.utils.clip_grad_norm_([w], 12)
    optimiser.step()
    print(step + 1, *(f"{x:.9g}" for x in w.tolist()))
