"""The peers' ways to run the network of torch_unet.py: each gives its name and a function from a
window (numpy, 1 x channels x d x h x w) to logits."""
import os


def torch_runtime(o):
    import torch

    from torch_unet import UNet
    torch.set_num_threads(o.threads)
    net = UNet(o.inputs, o.base, o.cap, o.stages, deep_supervision=False).eval()

    def run(x):
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=o.dtype == "bf16"):
            return net(torch.from_numpy(x))[0][0].float().numpy()
    return "PyTorch " + torch.__version__, run


def onnxruntime_runtime(o):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = o.threads
    options.inter_op_num_threads = 1
    for axis in "dhw":
        options.add_free_dimension_override_by_name(axis, o.patch)
    session = onnxruntime.InferenceSession(os.path.join(o.model, "net.onnx"), options,
                                           providers=["CPUExecutionProvider"])
    return "ONNX Runtime " + onnxruntime.__version__, lambda x: session.run(None, {"x": x})[0]


def openvino_runtime(o):
    import openvino
    compiled = openvino.Core().compile_model(os.path.join(o.model, "net.xml"), "CPU", {
        "INFERENCE_PRECISION_HINT": "bf16" if o.dtype == "bf16" else "f32",
        "INFERENCE_NUM_THREADS": str(o.threads), "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1"})
    request = compiled.create_infer_request()

    def run(x):
        request.infer([openvino.Tensor(x, shared_memory=True)])
        return request.get_output_tensor(0).data
    return "OpenVINO " + openvino.__version__.split("-")[0], run


PEERS = dict(torch=torch_runtime, onnxruntime=onnxruntime_runtime, openvino=openvino_runtime)


def add_arguments(parser, inputs, repeats):
    """The command line that window.py and case.py share."""
    parser.add_argument("peer", choices=PEERS)
    numbers = dict(inputs=inputs, base=32, cap=320, stages=6, patch=128, threads=2, repeats=repeats)
    for name, default in numbers.items():
        parser.add_argument("--" + name, type=int, default=default)
    parser.add_argument("--dtype", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--model", help="the folder that export.py filled (all but torch)")
