/* predictor (private to predict/): what a predictor holds. */
#ifndef TWINSEG_PREDICT_PREDICTOR_H
#define TWINSEG_PREDICT_PREDICTOR_H

#include "predict/predict.h"

struct predictor {
    plan settings;
    modality_set channels;
    int channel_count, classes;
    bool any_image;  /* the model finds the brain in one image */
    bool any_subset; /* the networks take zeros for what a case lacks */
    bool regions;    /* the classes are sigmoids of WT, TC, ET */
    double spacing_mm;
    brain_mask brain;
    int64_t trained[3]; /* the models' patch, d h w */
    int64_t patch[3];   /* what memory is there for: that, or a case whole; 0: nothing yet */
    engine *engine;
    net **nets;
    net_config *configs;
    char **names; /* of the models' files, for messages */
    size_t count;
    int64_t multiple; /* of which extents must be */
    void *workspace;  /* of the nets, one at a time */
    size_t workspace_bytes;
    float *importance; /* [d][h][w]; behind it, in the same memory: */
    float *input;      /* [channels][d][h][w] */
    float *mean;       /* [classes][d][h][w]: over models and mirrorings */
    likeness likeness; /* of the first model's training cases */
    model_rules rules; /* the first model's, as far as the settings leave them to it; else 0 */
    bool show_progress, verbose;
    bool diverged;         /* a model has computed infinities or NaN, as it would for every case */
    string_list *warnings; /* of the case that is being predicted; NULL: they are printed */
};

/* Takes the memory for a case of so many voxels d, h, w: for windows, or, with prediction=whole and
 * where memory allows, for the case in one pass. It is kept from case to case. */
ts_status predictor_fit(predictor *p, const int64_t size[3], const char *id, ts_error *error);

/* Entropy of one voxel's label probabilities, which lie `stride` apart, over that of four equal
 * ones. */
double predict_entropy(const float *probabilities, size_t stride);

#endif
