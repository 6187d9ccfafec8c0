/* loss: deep supervision (cross-entropy, with Dice, by regions), softened labels, and Barlow
 * Twins on the latents (docs/method.md, "One iteration" and "Barlow Twins"). Sums run in a fixed
 * order: the same bits with any number of threads. */
#ifndef TWINSEG_LOSS_H
#define TWINSEG_LOSS_H

#include "engine/engine.h"
#include "plan/plan.h"

int loss_classes(loss_kind kind); /* 4, or 3 (WT TC ET by sigmoid) for LOSS_REGIONS */

/* The loss of one head, gradient in place of the logits.
 * logits [N][classes][voxels] in, d(weight * loss)/d logits out; labels [N][voxels] 0..3.
 * Returns the unweighted loss. */
double loss_segmentation(loss_kind kind, float *logits, const uint8_t *labels, int64_t n,
                         int64_t voxels, double weight, engine *e);

/* weights[s] = 2^-s, normalised to sum 1, for `heads` heads (one head: 1). */
void loss_head_weights(int heads, double *weights);

/* Labels [N][D][H][W] to half resolution by nearest neighbour (as torch's nearest: voxel 2i). */
void loss_halve_labels(const uint8_t *labels, int64_t n, const int64_t shape[3], uint8_t *out);

/* Softened labels (Hinton 2015; for segmentation KD-Net, Hu 2020): the teacher's probabilities at a
 * temperature, softmax or for LOSS_REGIONS sigmoid of logits / temperature. Both
 * [N][classes][voxels]. */
void loss_soften(loss_kind kind, const float *logits, int64_t n, int64_t voxels, double temperature,
                 float *soft, pool *p);

/* temperature^2 * KL(teacher || student), both softened, mean over voxels (and regions). soft: the
 * teacher's in, d(weight * loss)/d student's logits out. Returns the unweighted loss. */
double loss_soft(loss_kind kind, const float *logits, float *soft, int64_t n, int64_t voxels,
                 double temperature, double weight, pool *p);

/* ---- Barlow Twins ----------------------------------------------------------------------- */

/* The features of two networks at one stage, [n][channels][voxels], where every voxel of every case
 * is a sample; and what the loss between them fills. */
typedef struct {
    const float *teacher, *student;
    int64_t n, channels, voxels;
    double lambda; /* of the terms off the diagonal */
    double weight; /* of the gradients; the returned loss is unweighted */
    /* Shaped as the features, the caller's, overwritten; teacher_gradient NULL: not wanted. */
    float *teacher_gradient, *student_gradient;
    /* With width > 0 the loss is between the features behind a projector, one for both networks. */
    int64_t width;
    const float *projector;    /* loss_projector_weights() floats */
    float *projector_gradient; /* as many, overwritten */
} barlow_pair;

/* TS_MEMORY where loss_barlow_bytes() are not to be had. */
ts_status loss_barlow(const barlow_pair *b, pool *p, double *loss, ts_error *error);

/* The projector: convolution 1x1x1, standardisation over the batch, ReLU, convolution 1x1x1,
 * without biases, as in Zbontar 2021. Weights: [width][channels], then [width][width], flat. */
int64_t loss_projector_weights(int64_t channels, int64_t width);
/* He initialisation, keyed by (seed, name). */
void loss_projector_initialise(float *weights, int64_t channels, int64_t width, uint64_t seed,
                               const char *name);
/* Bytes that loss_barlow takes while it works. */
size_t loss_barlow_bytes(int64_t n, int64_t channels, int64_t voxels, int64_t width);

#endif
