/* predictor (private to predict/): what a predictor holds. */
#ifndef TWINSEG_PREDICT_PREDICTOR_H
#define TWINSEG_PREDICT_PREDICTOR_H

#include "predict/predict.h"

enum { LABELS = 4 }; /* background, NCR, ED, ET */

struct predictor {
    plan settings;
    modality_set channels;
    int channel_count, classes;
    bool any_subset; /* the networks take zeros for what a case lacks */
    bool regions;    /* the classes are sigmoids of WT, TC, ET */
    double spacing_mm;
    int64_t patch[3]; /* d h w */
    engine *engine;
    net **nets;
    size_t count;
    void *workspace; /* of the nets, one at a time */
    size_t workspace_bytes;
    float *importance; /* [d][h][w] */
    float *input;      /* [channels][d][h][w] */
    float *mean;       /* [classes][d][h][w]: over models and mirrorings */
    likeness likeness; /* of the first model's training cases */
    model_rules rules; /* the first model's */
    bool show_progress, verbose;
};

/* Entropy of one voxel's label probabilities, which lie `stride` apart, over that of four equal
 * ones. */
double predict_entropy(const float *probabilities, size_t stride);

#endif
