/* Softmax over four classes and its gradient: the loops that are compiled once per vector width
 * from softmax_template.h. */
#ifndef TWINSEG_LOSS_SOFTMAX_H
#define TWINSEG_LOSS_SOFTMAX_H

#include <stdint.h>

enum { CLASSES_MAX = 4, SCORED_MAX = 3 };

/* Over voxels: log-likelihood and the three sums of a soft Dice per scored channel. */
typedef struct {
    double log_likelihood;
    double both[SCORED_MAX], predicted[SCORED_MAX], truth[SCORED_MAX];
} loss_sums;

/* d loss / d (log-likelihood), and d loss / d probability of a scored channel: dice_predicted, plus
 * dice_both where the truth is there. */
typedef struct {
    float likelihood, dice_both[SCORED_MAX], dice_predicted[SCORED_MAX];
} loss_factors;

/* `count` voxels whose classes lie `stride` apart, in place. */
typedef struct {
    /* Logits to probabilities; adds to the sums. */
    void (*probabilities)(float *z, int64_t stride, const uint8_t *labels, int64_t count,
                          loss_sums *s);
    /* Probabilities to gradients of the logits. */
    void (*gradient)(float *z, int64_t stride, const uint8_t *labels, int64_t count,
                     const loss_factors *f);
} softmax_kernels;

extern const softmax_kernels softmax_portable, softmax_avx2, softmax_avx512;

#endif
