#!/usr/bin/env python3
"""Golden values for tests/test_net.c: the U-Net of docs/method.md, "Network", in plain PyTorch
(double), with weights and inputs that every program can make; logits of every head, a latent, and
the gradients of sum(logits * made) + sum(features * made) by autograd. Prints tests/golden/net.txt: a line
`name count sum sum|.|` and up to twelve values evenly spread, for each tensor."""
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
IN, CLASSES, BASE, CAP, STAGES, BATCH, PATCH = 3, 4, 4, 20, 4, 2, (16, 8, 24)


def made(count, salt):
    i = torch.arange(count)
    return ((i * 7919 + salt * 104729 + i * i % 1000003 * 31) % 4001 - 2000) / 1000


def show(name, t):
    flat = t.detach().reshape(-1)
    n = flat.numel()
    picks = [flat[k * n // min(n, 12)].item() for k in range(min(n, 12))]
    print(name, n, f"{flat.sum():.9g}", f"{flat.abs().sum():.9g}", *(f"{v:.9g}" for v in picks))


weights, offset = {}, 0


def weight(name, *shape):
    """The tensor of that name: 0.15 * made, norms' scales 1 + 0.1 * made."""
    global offset
    count = torch.Size(shape).numel()
    values = made(count, len(weights) + 1)
    scale = name.split(".")[-2].startswith("norm") and name.endswith("weight")
    values = 1 + 0.1 * values if scale else 0.15 * values
    weights[name] = values.reshape(shape).requires_grad_()
    return weights[name]


def layer(x, prefix, i, out, stride=1):
    w, b = weight(f"{prefix}.conv{i}.weight", out, x.shape[1], 3, 3, 3), weight(f"{prefix}.conv{i}.bias", out)
    g, h = weight(f"{prefix}.norm{i}.weight", out), weight(f"{prefix}.norm{i}.bias", out)
    return F.leaky_relu(F.instance_norm(F.conv3d(x, w, b, stride, 1), weight=g, bias=h, eps=1e-5), 0.01)


width = [min(BASE << s, CAP) for s in range(STAGES)]
x = made(BATCH * IN * PATCH[0] * PATCH[1] * PATCH[2], 99).reshape(BATCH, IN, *PATCH)
skips, features, decoded = [], {}, {}
for s in range(STAGES):
    x = layer(layer(x, f"encoder.{s}", 0, width[s], 2 if s else 1), f"encoder.{s}", 1, width[s])
    features["bottleneck" if s == STAGES - 1 else f"encoder{s}"] = x
    skips.append(x)
for s in range(STAGES - 2, -1, -1):
    w, b = weight(f"decoder.{s}.up.weight", width[s + 1], width[s], 2, 2, 2), weight(f"decoder.{s}.up.bias", width[s])
    x = torch.cat((F.conv_transpose3d(x, w, b, 2), skips[s]), 1)
    x = layer(layer(x, f"decoder.{s}", 0, width[s]), f"decoder.{s}", 1, width[s])
    features[f"decoder{s}"] = decoded[s] = x
logits = []
for h in range(STAGES - 2):
    w, b = weight(f"head.{h}.weight", CLASSES, width[h], 1, 1, 1), weight(f"head.{h}.bias", CLASSES)
    logits.append(F.conv3d(decoded[h], w, b))
print(f"# torch {torch.__version__.split('+')[0]}")
loss = 0
for h, z in enumerate(logits):
    show(f"logits{h}", z)
    loss = loss + (z * made(z.numel(), 200 + h).reshape(z.shape)).sum()
for i, name in enumerate(("bottleneck", "encoder0", "decoder2")):
    show(name, features[name])
    loss = loss + (features[name] * made(features[name].numel(), 300 + i).reshape(features[name].shape)).sum()
loss.backward()
for name, w in weights.items():
    show(name, w.grad)
