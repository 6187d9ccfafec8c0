#!/usr/bin/env python3
"""Golden losses and gradients for tests/test_loss.c, by PyTorch's autograd in double: cross-entropy,
nnU-Net's soft Dice (batch, without background, smooth 1e-5), regions, Barlow Twins with and without
projector. Prints tests/golden/loss.txt: a line `name count`, then the numbers."""
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
N, V = 2, 45


def made(count, salt):
    """Numbers that every program can make: between -2 and 2, thousandths."""
    return torch.tensor([((i * 7919 + salt * 104729 + i * i * 31) % 4001 - 2000) / 1000 for i in range(count)])


def show(name, values):
    values = values.detach().reshape(-1).tolist()
    print(name, len(values))
    print(*(f"{v:.12g}" for v in values))


def dice(p, truth):
    """p, truth: [N, C, V]; 1 - mean over channels of the batch's soft Dice."""
    both, below = (p * truth).sum((0, 2)), p.sum((0, 2)) + truth.sum((0, 2))
    return 1 - ((2 * both + 1e-5) / (below + 1e-5)).mean()


labels = torch.tensor([(i * i + 3 * i) % 11 % 5 for i in range(N * V)]).reshape(N, V).clamp(max=3)
one_hot = F.one_hot(labels, 4).permute(0, 2, 1).double()
regions = torch.stack([labels > 0, (labels == 1) | (labels == 3), labels == 3], 1).double()
print(f"# torch {torch.__version__.split('+')[0]}")
for name, classes in ("ce", 4), ("ce+dice", 4), ("regions", 3):
    z = (made(N * classes * V, classes) * 3).reshape(N, classes, V).requires_grad_()
    if name == "regions":
        loss = F.binary_cross_entropy_with_logits(z, regions) + dice(z.sigmoid(), regions)
    else:
        loss = F.cross_entropy(z, labels)
        if name == "ce+dice":
            loss = loss + dice(z.softmax(1)[:, 1:], one_hot[:, 1:])
    (0.75 * loss).backward()
    show(f"{name}.loss", loss)
    show(f"{name}.gradient", z.grad)


T = 3.0
for name, classes in ("ce", 4), ("regions", 3):
    teacher = (made(N * classes * V, 21) * 3).reshape(N, classes, V) / T
    z = (made(N * classes * V, 22) * 3).reshape(N, classes, V).requires_grad_()
    if name == "regions":
        q, p = torch.distributions.Bernoulli(logits=teacher), torch.distributions.Bernoulli(logits=z / T)
        loss = T * T * torch.distributions.kl_divergence(q, p).mean()
    else:
        loss = T * T * F.kl_div((z / T).log_softmax(1), teacher.softmax(1), reduction="sum") / (N * V)
    (0.75 * loss).backward()
    show(f"soft.{name}.loss", loss)
    show(f"soft.{name}.gradient", z.grad)


def barlow(t, s, lam):
    """t, s: [N, C, V]."""
    def standardised(x):
        x = x.permute(1, 0, 2).reshape(x.shape[1], -1)
        return (x - x.mean(1, keepdim=True)) / (x.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    a, b = standardised(t), standardised(s)
    c = a @ b.T / a.shape[1]
    on = ((1 - c.diagonal()) ** 2).sum()
    return (on + lam * (c ** 2).sum() - lam * (c.diagonal() ** 2).sum()) / c.shape[0]


C, W, LAM = 6, 5, 0.0051
t = made(N * C * V, 11).reshape(N, C, V).requires_grad_()
s = (0.5 * t.detach() + made(N * C * V, 12).reshape(N, C, V)).requires_grad_()
loss = barlow(t, s, LAM)
(0.75 * loss).backward()
show("barlow.loss", loss)
show("barlow.teacher", t.grad)
show("barlow.student", s.grad)
t.grad = s.grad = None
weights = made(W * (C + W), 13).requires_grad_()
first, second = weights[: W * C].reshape(W, C), weights[W * C:].reshape(W, W)


def project(x):
    h = torch.einsum("oc,ncv->nov", first, x)
    mean, var = h.mean((0, 2), keepdim=True), h.var((0, 2), unbiased=False, keepdim=True)
    return torch.einsum("oc,ncv->nov", second, ((h - mean) / (var + 1e-5).sqrt()).relu())


loss = barlow(project(t), project(s), LAM)
(0.75 * loss).backward()
show("projected.loss", loss)
show("projected.teacher", t.grad)
show("projected.student", s.grad)
show("projected.weights", weights.grad)
