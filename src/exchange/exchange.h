/* exchange: data sets and models in the formats of other programs. */
#ifndef TWINSEG_EXCHANGE_H
#define TWINSEG_EXCHANGE_H

#include "dataset/dataset.h"
#include "model/model.h"

/* ---- data sets -------------------------------------------------------------------------- */

typedef enum {
    LAYOUT_NNUNET,    /* imagesTr/X_0000.nii.gz, labelsTr/X.nii.gz, dataset.json (nnU-Net 2) */
    LAYOUT_BRATS2021, /* X/X_t1ce.nii.gz, X/X_seg.nii.gz; 1 NCR, 2 ED, 4 ET */
    LAYOUT_BRATS2023, /* X/X-t1c.nii.gz, X/X-seg.nii.gz; 1 NCR, 2 ED, 3 ET */
    LAYOUT_MSD,       /* imagesTr/X.nii.gz (4-D), labelsTr/X.nii.gz, dataset.json */
    LAYOUTS
} exchange_layout;
extern const char *const exchange_layout_names[LAYOUTS]; /* "nnunet", "brats2021", ... */

typedef struct {
    size_t cases, with_truth;
    size_t cavities;  /* truths that held a resection cavity, which is now background */
    size_t ambiguous; /* truths whose case's name does not tell their new values (BraTS-PED) */
} exchange_counts;

/* Writes every case of d to the folder `out` (new or empty) in another layout, with the modalities
 * `use` that it has. Labels are mapped case by case. nnU-Net and MSD need the same channels for
 * every case: a case that lacks one is an error before anything is written; cases without a truth
 * go to imagesTs there. Files are written by rename, dataset.json last. TS_STOPPED after an
 * interrupt. */
ts_status exchange_convert(const dataset *d, exchange_layout to, modality_set use, const char *out,
                           pool *p, exchange_counts *counts, ts_error *error);

/* ---- models ----------------------------------------------------------------------------- */

/* The network for prediction (without the lower heads of deep supervision), with the metadata of
 * the model file; docs/exchange.md says what a reader finds. By rename. */
ts_status exchange_export_onnx(const model *m, const char *path, ts_error *error);
/* A state dict in safetensors for the PyTorch module of docs/exchange.md. */
ts_status exchange_export_torch(const model *m, const char *path, ts_error *error);

/* A trained nnU-Net 2 model that tools/nnunet_to_safetensors.py flattened. What differs from our
 * networks (residual encoders, anisotropic strides, other labels, ...) is refused by name. */
ts_status exchange_import_nnunet(const char *path, model *out, ts_error *error);

#endif
