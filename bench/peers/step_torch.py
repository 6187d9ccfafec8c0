"""One training step (teacher, student, losses, update) in PyTorch: both networks in one graph, the
joint loss, one backward, as its users write it. Prints the JSON keys of `twinseg-bench step`.
    python3 step_torch.py --base 8 --stages 4 --patch 64 --batch 2 --dtype fp32 --threads 2"""
import argparse
import json
import resource
import statistics
import time

import torch
import torch.nn.functional as F

from torch_unet import UNet


def dice_and_cross_entropy(logits, truth):
    cross_entropy = F.cross_entropy(logits, truth)
    probability = torch.softmax(logits, 1)
    one_hot = F.one_hot(truth, logits.shape[1]).movedim(-1, 1).float()
    axes = (0, 2, 3, 4)
    overlap = (probability * one_hot).sum(axes)[1:]
    size = (probability.sum(axes) + one_hot.sum(axes))[1:]
    return cross_entropy - ((2 * overlap + 1e-5) / (size + 1e-5)).mean() + 1


def deep_supervision(logits, truth):
    weights = [2.0 ** -s for s in range(len(logits))]
    return sum(w / sum(weights) * dice_and_cross_entropy(z.float(), truth[:, ::2 ** s, ::2 ** s, ::2 ** s])
               for s, (w, z) in enumerate(zip(weights, logits)))


def barlow(teacher, student, weight=0.0051):
    def standardise(z):
        z = z.float().movedim(1, -1).reshape(-1, z.shape[1])
        return (z - z.mean(0)) / (z.var(0, unbiased=False) + 1e-5).sqrt()
    a, b = standardise(teacher), standardise(student)
    c = a.T @ b / a.shape[0]
    on = (1 - c.diagonal()).square().sum()
    off = c.square().sum() - c.diagonal().square().sum()
    return (on + weight * off) / c.shape[0]


def main():
    p = argparse.ArgumentParser()
    for name, default in dict(base=8, cap=320, stages=4, patch=64, batch=2, threads=2, repeats=7).items():
        p.add_argument("--" + name, type=int, default=default)
    p.add_argument("--dtype", choices=["fp32", "bf16"], default="fp32")
    p.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    o = p.parse_args()
    clock = time.perf_counter if o.clock == "wall" else lambda: time.process_time() / o.threads
    torch.set_num_threads(o.threads)
    torch.manual_seed(0)
    teacher, student = UNet(4, o.base, o.cap, o.stages), UNet(2, o.base, o.cap, o.stages)
    nets = (teacher, student)
    optimisers = [torch.optim.SGD(n.parameters(), 0.01, 0.99, weight_decay=3e-5, nesterov=True) for n in nets]
    images = torch.rand(o.batch, 4, o.patch, o.patch, o.patch) * 2 - 1
    truth = (torch.arange(images[:, 0].numel()) // 7 % 4).reshape(images[:, 0].shape)
    times = []
    for i in range(o.repeats + 1):
        start = clock()
        for optimiser in optimisers:
            optimiser.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=o.dtype == "bf16"):
            t_logits, t_latent = teacher(images)
            s_logits, s_latent = student(images[:, [1, 3]])
        loss = deep_supervision(t_logits, truth) + deep_supervision(s_logits, truth) \
            + barlow(t_latent.detach(), s_latent)
        loss.backward()
        for n, optimiser in zip(nets, optimisers):
            torch.nn.utils.clip_grad_norm_(n.parameters(), 12)
            optimiser.step()
        if i:
            times.append((clock() - start) * 1e3)
    print(json.dumps(dict(median_ms=statistics.median(times), min_ms=min(times), max_ms=max(times),
                          peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024e-6,
                          peer="PyTorch " + torch.__version__)))


main()
