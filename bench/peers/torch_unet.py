"""The U-Net of docs/method.md, "Network", in PyTorch as its users write it, for the benchmarks' other side."""
import torch
from torch import nn


def block(inputs, outputs, stride):
    return nn.Sequential(
        nn.Conv3d(inputs, outputs, 3, stride, 1),
        nn.InstanceNorm3d(outputs, affine=True, eps=1e-5),
        nn.LeakyReLU(0.01, inplace=True))


def stage(inputs, outputs, stride=1):
    return nn.Sequential(block(inputs, outputs, stride), block(outputs, outputs, 1))


class UNet(nn.Module):
    def __init__(self, inputs, base, cap, stages, classes=4, deep_supervision=True):
        super().__init__()
        width = [min(base * 2 ** s, cap) for s in range(stages)]
        self.encoder = nn.ModuleList(
            stage(width[s - 1] if s else inputs, width[s], 2 if s else 1) for s in range(stages))
        self.up = nn.ModuleList(
            nn.ConvTranspose3d(width[s + 1], width[s], 2, 2) for s in range(stages - 1))
        self.decoder = nn.ModuleList(stage(2 * width[s], width[s]) for s in range(stages - 1))
        heads = max(1, stages - 2) if deep_supervision else 1
        self.heads = nn.ModuleList(nn.Conv3d(width[s], classes, 1) for s in range(heads))

    def forward(self, x):
        """Logits, full resolution first, and the bottleneck."""
        skips = []
        for s, layer in enumerate(self.encoder):
            x = layer(x)
            skips.append(x)
        latent, logits = x, []
        for s in reversed(range(len(self.up))):
            x = self.decoder[s](torch.cat([self.up[s](x), skips[s]], 1))
            if s < len(self.heads):
                logits.insert(0, self.heads[s](x))
        return logits, latent
