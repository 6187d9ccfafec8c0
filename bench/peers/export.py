"""The network of torch_unet.py with random weights, for prediction (full-resolution logits alone), as an
OpenVINO model and as ONNX, so that a peer that is measured need not load PyTorch.
    python3 export.py --base 32 --stages 6 --patch 128 FOLDER"""
import argparse
import os

import openvino
import torch

from torch_unet import UNet


class Prediction(torch.nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x)[0][0]


def main():
    p = argparse.ArgumentParser()
    for name, default in dict(inputs=2, base=32, cap=320, stages=6, patch=128).items():
        p.add_argument("--" + name, type=int, default=default)
    p.add_argument("folder")
    o = p.parse_args()
    torch.manual_seed(0)
    net = Prediction(UNet(o.inputs, o.base, o.cap, o.stages, deep_supervision=False)).eval()
    window = torch.rand(1, o.inputs, *(2 ** o.stages,) * 3)  # least extent that norms at the bottom
    os.makedirs(o.folder, exist_ok=True)
    with torch.no_grad():
        torch.onnx.export(net, (window,), os.path.join(o.folder, "net.onnx"), dynamo=False,
                          input_names=["x"], output_names=["logits"],
                          dynamic_axes={"x": {2: "d", 3: "h", 4: "w"}})
        model = openvino.convert_model(net, example_input=window)
    model.reshape([1, o.inputs, o.patch, o.patch, o.patch])
    openvino.save_model(model, os.path.join(o.folder, "net.xml"), compress_to_fp16=False)


main()
