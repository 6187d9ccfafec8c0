#!/usr/bin/env python3
"""Flattens a trained nnU-Net v2 model to one safetensors file that `twinseg import` reads.

    python3 nnunet_to_safetensors.py MODEL_FOLDER OUT.safetensors [--fold 0] [--checkpoint NAME]

MODEL_FOLDER is what nnU-Net trained into (nnUNetTrainer__nnUNetPlans__3d_fullres): dataset.json,
plans.json, fold_X/checkpoint_final.pth. Needs torch and safetensors; nnU-Net itself is not needed.
A checkpoint is a pickle, which can run code when it is opened: take only those that you trust.
"""
import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save_file

WEIGHTS = ("encoder.stages.", "decoder.stages.", "decoder.transpconvs.", "decoder.seg_layers.")


def configuration_of(plans, name):
    """The configuration with what it inherits."""
    own = plans["configurations"][name]
    if "inherits_from" not in own:
        return own
    return {**configuration_of(plans, own["inherits_from"]), **own}


def architecture_of(configuration):
    """Name and arguments of the network; plans before nnU-Net 2.3 spelt them otherwise."""
    if "architecture" in configuration:
        architecture = configuration["architecture"]
        return architecture["network_class_name"].split(".")[-1], architecture["arch_kwargs"]
    stages = len(configuration["conv_kernel_sizes"])
    return configuration["UNet_class_name"], {
        "n_stages": stages,
        "features_per_stage": [min(configuration["UNet_base_num_features"] * 2**s,
                                   configuration["unet_max_num_features"]) for s in range(stages)],
        "conv_op": "torch.nn.modules.conv.Conv%dd" % len(configuration["patch_size"]),
        "kernel_sizes": configuration["conv_kernel_sizes"],
        "strides": configuration["pool_op_kernel_sizes"],
        "n_conv_per_stage": configuration["n_conv_per_stage_encoder"],
        "n_conv_per_stage_decoder": configuration["n_conv_per_stage_decoder"],
        "conv_bias": True,
        "norm_op": "InstanceNorm3d",
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "dropout_op": None,
        "nonlin": "LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }


def state_of(checkpoint):
    """The weights, each once: nnU-Net lists layers again as all_modules and as decoder.encoder."""
    state = {}
    for name, tensor in checkpoint["network_weights"].items():
        for prefix in ("module.", "_orig_mod."):
            name = name.removeprefix(prefix)
        if name.startswith(WEIGHTS) and ".all_modules." not in name:
            state[name] = tensor.float().contiguous()
    return state


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--fold", default="0", help="0 to 4, or all [0]")
    parser.add_argument("--checkpoint", default="checkpoint_final.pth")
    a = parser.parse_args()
    plans = json.loads((a.model / "plans.json").read_text())
    dataset = json.loads((a.model / "dataset.json").read_text())
    checkpoint = torch.load(a.model / f"fold_{a.fold}" / a.checkpoint, map_location="cpu",
                            weights_only=False)
    name = checkpoint["init_args"]["configuration"]
    configuration = configuration_of(plans, name)
    network, arguments = architecture_of(configuration)
    description = {
        "network": network,
        "arguments": arguments,
        "patch_size": configuration["patch_size"],
        "spacing": configuration["spacing"],
        "normalization_schemes": configuration["normalization_schemes"],
        "use_mask_for_norm": configuration["use_mask_for_norm"],
        "previous_stage": configuration.get("previous_stage"),
        "transpose_forward": plans["transpose_forward"],
        "origin": {"dataset": plans["dataset_name"], "trainer": checkpoint["trainer_name"],
                   "configuration": name, "fold": a.fold},
    }
    part = a.out.with_suffix(".part")
    save_file(state_of(checkpoint), part, metadata={
        "nnunet.format": "1",
        "nnunet.plans": json.dumps(description, default=str),
        "nnunet.dataset": json.dumps({k: dataset[k] for k in ("channel_names", "labels", "regions_class_order")
                                      if k in dataset}),
    })
    part.replace(a.out)
    print(a.out)


if __name__ == "__main__":
    main()
