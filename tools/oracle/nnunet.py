"""A model of nnU-Net 2's own making with random weights, imported and run by twinseg, against what
nnU-Net's own preparation and network give on a made patient.
    python3 nnunet.py DIR TWINSEG [--full]
DIR is filled with the files; --full takes BraTS's size (6 stages, 32 to 320 features, 128^3) instead
of a small network. Needs nnunetv2 and nibabel."""
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

sys.path.pop(0)  # this folder, whose statistics.py would hide Python's

import nibabel
import numpy as np

MODALITIES = ("flair", "t1", "t1ce", "t2")

CHANNELS = {"0": "FLAIR", "1": "T1", "2": "T1ce", "3": "T2"}  # not the order inside of twinseg
LABELS = {"background": 0, "edema": 1, "necrosis": 2, "enhancing tumor": 3}
REGIONS = {"background": 0, "whole tumor": [1, 2, 3], "tumor core": [2, 3], "enhancing tumor": [3]}


def make_model(folder, kind, full):
    """A trained-model folder as nnU-Net writes it, with random weights."""
    import torch
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
    features = [32, 64, 128, 256, 320, 320] if full else [8, 16, 24, 24]
    stages = len(features)
    arguments = {
        "n_stages": stages, "features_per_stage": features, "conv_op": "torch.nn.modules.conv.Conv3d",
        "kernel_sizes": [[3, 3, 3]] * stages, "strides": [[1, 1, 1]] + [[2, 2, 2]] * (stages - 1),
        "n_conv_per_stage": [2] * stages, "n_conv_per_stage_decoder": [2] * (stages - 1), "conv_bias": True,
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d", "norm_op_kwargs": {"eps": 1e-05, "affine": True},
        "dropout_op": None, "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU", "nonlin_kwargs": {"inplace": True}}
    needs_import = ["conv_op", "norm_op", "dropout_op", "nonlin"]
    name = "dynamic_network_architectures.architectures.unet.PlainConvUNet"
    patch = 128 if full else 48
    resampling = {"resampling_fn_data": "resample_data_or_seg_to_shape", "resampling_fn_seg": "resample_data_or_seg_to_shape",
                  "resampling_fn_data_kwargs": {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None},
                  "resampling_fn_seg_kwargs": {"is_seg": True, "order": 1, "order_z": 0, "force_separate_z": None},
                  "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
                  "resampling_fn_probabilities_kwargs": {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None}}
    plans = {
        "dataset_name": "Dataset998_Random", "plans_name": "nnUNetPlans", "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2], "image_reader_writer": "SimpleITKIO", "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {c: {} for c in CHANNELS},
        "configurations": {"3d_fullres": {
            "data_identifier": "x", "preprocessor_name": "DefaultPreprocessor", "batch_size": 2,
            "patch_size": [patch] * 3, "spacing": [1.0, 1.0, 1.0], "normalization_schemes": ["ZScoreNormalization"] * 4,
            "use_mask_for_norm": [True] * 4, "batch_dice": False, **resampling,
            "architecture": {"network_class_name": name, "arch_kwargs": arguments, "_kw_requires_import": needs_import}}}}
    dataset = {"channel_names": CHANNELS, "labels": REGIONS if kind == "regions" else LABELS,
               "numTraining": 1, "file_ending": ".nii.gz"}
    if kind == "regions":
        dataset["regions_class_order"] = [1, 2, 3]
    torch.manual_seed(7)
    net = get_network_from_plans(name, arguments, needs_import, 4, 3 if kind == "regions" else 4, deep_supervision=True)
    for parameter in net.parameters():  # biases and norms too, so that nothing is symmetric
        if parameter.ndim == 1:
            torch.nn.init.normal_(parameter, 0.5, 0.5)
    (folder / "fold_0").mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(plans))
    (folder / "dataset.json").write_text(json.dumps(dataset))
    torch.save({"network_weights": net.state_dict(), "trainer_name": "nnUNetTrainer",
                "init_args": {"configuration": "3d_fullres"}, "inference_allowed_mirroring_axes": (0, 1, 2)},
               folder / "fold_0" / "checkpoint_final.pth")


def make_case(prefix, size):
    """An ellipsoid of noise with holes: some of one modality alone, one of all, one open to the outside."""
    random = np.random.default_rng(3)
    shape = (size, size + 6, size - 4)
    at = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij"))
    inside = (at ** 2).sum(0) < 0.9
    inside[size // 2:size // 2 + 4, size // 2:size // 2 + 4, size // 2:size // 2 + 4] = False
    inside[:, :3 + size // 2, size // 3] = False
    for m in MODALITIES:
        image = np.where(inside & (random.random(shape) > 0.05), random.normal(300, 60, shape) * (1.2 + at[0]), 0)
        affine = np.diag([-1.0, -1, 1, 1])
        nibabel.save(nibabel.Nifti1Image(image.astype(np.int16), affine), f"{prefix}_{m}.nii.gz")


def predict(folder, prefix):
    """Labels and probabilities [class][z][y][x] by nnU-Net."""
    import torch
    from acvl_utils.cropping_and_padding.padding import pad_nd_image
    from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
    from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
    from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    torch.set_num_threads(2)
    files = [f"{prefix}_{m}.nii.gz" for m in MODALITIES]
    image, properties = SimpleITKIO().read_images(files)
    predictor = nnUNetPredictor(use_mirroring=False, device=torch.device("cpu"), allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(folder), (0,))
    parts = predictor.plans_manager, predictor.configuration_manager
    data, _, properties = DefaultPreprocessor(verbose=False).run_case_npy(image, None, properties, *parts,
                                                                          predictor.dataset_json)
    # one window: the sliding window sums in half precision, which costs 2e-3 of probability
    patch, revert = pad_nd_image(data, predictor.configuration_manager.patch_size, return_slicer=True)
    with torch.no_grad():
        logits = predictor.network.eval()(torch.from_numpy(patch)[None])[0]
    labels, probabilities = convert_predicted_logits_to_segmentation_with_correct_shape(
        logits[(slice(None), *revert[1:])], *parts, predictor.label_manager, properties, True)
    return labels, probabilities.astype(np.float32)


def compare(folder, kind, prefix, twinseg):
    """True where our labels or probabilities differ from nnU-Net's."""
    converted, model, out, maps = (folder / f"{kind}{end}" for end in
                                   (".converted", ".safetensors", ".nii.gz", ".maps.nii"))
    tool = Path(__file__).parent.parent / "nnunet_to_safetensors.py"
    subprocess.run([sys.executable, tool, folder / kind, converted], check=True)
    subprocess.run([twinseg, "import", converted, "-o", model], check=True)
    images = [word for m in MODALITIES for word in (f"--{m}", f"{prefix}_{m}.nii.gz")]
    subprocess.run([twinseg, "predict", model, *images, "-o", out, "--probabilities", maps], check=True)
    labels, probabilities = predict(folder / kind, prefix)
    ours = nibabel.load(out).get_fdata().T.astype(int)
    differ = int((np.array([0, 2, 1, 3])[labels] != ours).sum())  # nnU-Net: 1 ED, 2 NCR
    print(f"{kind}: {differ} of {ours.size} voxels differ; labels 0 to 3: {np.bincount(ours.ravel()).tolist()}")
    if kind == "regions":
        return differ > 0
    maps = nibabel.load(maps).get_fdata(dtype=np.float32).T
    difference = float(np.abs(maps - probabilities[[0, 2, 1, 3]]).max())
    print(f"{kind}: largest difference of a probability {difference:.2g}")
    return difference > 1e-3


def main():
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        os.environ.setdefault(name, "none")
    warnings.simplefilter("ignore")
    folder, twinseg, full = Path(sys.argv[1]), sys.argv[2], "--full" in sys.argv
    make_case(folder / "case", 90 if full else 40)
    failed = False
    for kind in ("labels", "regions"):
        make_model(folder / kind, kind, full)
        failed |= compare(folder, kind, folder / "case", twinseg)
    return failed


if __name__ == "__main__":
    sys.exit(main())
