/* How sure a prediction is of itself. The probabilities are what several models, mirrorings and
 * windows agree on: where these differ, or each is unsure, the entropy is high. */
#include "predict/predictor.h"

#include <math.h>

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
    double predicted[REGIONS] = {0}, within[REGIONS] = {0}, all[REGIONS] = {0}, top[REGIONS] = {0};
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
        for (int r = 0; r < REGIONS; r++) {
            double q = 0;
            for (int k = 0; k < LABELS; k++)
                q += region_holds(r, k) ? p[k] : 0;
            const bool inside = region_holds(r, label);
            all[r] += q;
            predicted[r] += inside;
            within[r] += inside ? q : 0;
            top[r] = fmax(top[r], q);
        }
    }
    out->entropy = tumour > 0 ? entropy / tumour : 0;
    for (int r = 0; r < REGIONS; r++)
        out->dice[r] =
            predicted[r] > 0 ? 2 * within[r] / (predicted[r] + all[r]) : fmax(0, 1 - top[r]);
}
