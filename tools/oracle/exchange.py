"""Runs exported networks in ONNX Runtime (`onnx`) or PyTorch (`torch`) and compares their logits with
ours. `tests/test_exchange --make DIR` makes the files; the PyTorch module is the first block of
Python in docs/exchange.md.
    python3 exchange.py onnx|torch DIR [docs/exchange.md]
`python3 exchange.py graph DIR/golden.onnx tests/golden/onnx_graph.bin` keeps a graph that passed."""
import json
import re
import sys
from pathlib import Path

sys.path.pop(0)  # this folder, whose statistics.py would hide Python's

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file

TOLERANCE = 1e-4


def onnx_network(stem):
    import onnxruntime
    session = onnxruntime.InferenceSession(str(stem) + ".onnx")
    return lambda x: session.run(["logits"], {"image": x})[0]


def torch_network(stem, page):
    import torch
    scope = {}
    exec(re.search(r"```python\n(.*?)```", page.read_text(), re.S).group(1), scope)
    with safe_open(str(stem) + ".torch", "pt") as f:
        plan = json.loads(f.metadata()["twinseg.plan"])
        channels = f.metadata()["twinseg.channels"].split(",")
        net = scope["UNet"](len(channels), 4, *(int(plan[k]) for k in ("base", "cap", "stages")))
        net.load_state_dict({k: f.get_tensor(k) for k in f.keys()})
    with torch.no_grad():
        return lambda x: net(torch.from_numpy(x)).detach().numpy()


def main():
    kind, folder = sys.argv[1], Path(sys.argv[2])
    if kind == "graph":
        import onnx
        model = onnx.load(folder)
        onnx.checker.check_model(model, full_check=True)
        Path(sys.argv[3]).write_bytes(model.graph.SerializeToString(deterministic=True))
        return 0
    worst = 0
    for io in sorted(folder.glob("*.io")):
        stem = io.with_suffix("")
        run = onnx_network(stem) if kind == "onnx" else torch_network(stem, Path(sys.argv[3]))
        tensors = load_file(io)
        for i in range(2):
            ours = tensors[f"logits.{i}"]
            difference = float(np.abs(run(tensors[f"input.{i}"]) - ours).max())
            print(f"{stem.name} {ours.shape}: {difference:.2g} (largest logit {np.abs(ours).max():.2g})")
            worst = max(worst, difference)
    return worst > TOLERANCE


if __name__ == "__main__":
    sys.exit(main())
