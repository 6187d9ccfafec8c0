/* How sure a prediction is of itself. The probabilities are what several models, mirrorings and
 * windows agree on: where these differ, or each is unsure, the entropy is high. */
#include "predict/predictor.h"

#include <math.h>

enum { SCORED = 3 }; /* WT, TC, ET */

double predict_entropy(const float *probabilities, size_t stride)
{
    double sum = 0;
    for (int k = 0; k < LABELS; k++) {
        const double p = probabilities[(size_t)k * stride];
        sum -= p > 0 ? p * log(p) : 0;
    }
    return sum / log(LABELS);
}

void predict_measure_confidence(const float *probabilities, size_t voxels, predict_confidence *out)
{
    double entropy = 0, tumour = 0;
    double predicted[SCORED] = {0}, within[SCORED] = {0}, all[SCORED] = {0}, top[SCORED] = {0};
    for (size_t i = 0; i < voxels; i++) {
        double p[LABELS];
        int label = 0;
        for (int k = 0; k < LABELS; k++) {
            p[k] = probabilities[(size_t)k * voxels + i];
            label = p[k] > p[label] ? k : label;
        }
        if (label > 0) {
            entropy += predict_entropy(probabilities + i, voxels);
            tumour++;
        }
        const double q[SCORED] = {p[1] + p[2] + p[3], p[1] + p[3], p[3]};
        const bool inside[SCORED] = {label > 0, label == 1 || label == 3, label == 3};
        for (int r = 0; r < SCORED; r++) {
            all[r] += q[r];
            predicted[r] += inside[r];
            within[r] += inside[r] ? q[r] : 0;
            top[r] = fmax(top[r], q[r]);
        }
    }
    out->entropy = tumour > 0 ? entropy / tumour : 0;
    for (int r = 0; r < SCORED; r++)
        out->dice[r] =
            predicted[r] > 0 ? 2 * within[r] / (predicted[r] + all[r]) : fmax(0, 1 - top[r]);
}
