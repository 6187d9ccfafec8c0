/* loss: deep supervision (CE, CE + Dice, regions) and Barlow Twins on the latent. METHOD 2. */
#ifndef TWINSEG_LOSS_H
#define TWINSEG_LOSS_H

#include "plan/plan.h"

int loss_classes(loss_kind kind); /* 4, or 3 (WT TC ET by sigmoid) for LOSS_REGIONS */

/* The loss of one head, gradient in place of the logits.
 * logits [N][classes][voxels] in, d(weight * loss)/d logits out; labels [N][voxels] 0..3.
 * Returns the unweighted loss. Sums are double and in a fixed order. */
double loss_segmentation(loss_kind kind, float *logits, const uint8_t *labels, int64_t n,
                         int64_t voxels, double weight, pool *p);

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

/* Barlow Twins between features [N][C][voxels] (samples: N * voxels). Fills weight * gradient for
 * the student's and, where not NULL, the teacher's features. Returns the unweighted loss. */
ts_status loss_barlow(const float *teacher, const float *student, int64_t n, int64_t channels,
                      int64_t voxels, double lambda, double weight, float *teacher_gradient,
                      float *student_gradient, pool *p, double *loss, ts_error *error);

/* ---- the projector: 1x1x1 convolution, standardisation over the batch, ReLU, 1x1x1 convolution
 * ---- One for both networks, without biases, as in Zbontar 2021. Weights: [width][channels], then
 * [width][width], flat. */
int64_t loss_projector_weights(int64_t channels, int64_t width);
/* He initialisation, keyed by (seed, name). */
void loss_projector_initialise(float *weights, int64_t channels, int64_t width, uint64_t seed,
                               const char *name);
/* loss_barlow between the projected features; also fills the projector's weight * gradient. */
ts_status loss_barlow_projected(const float *teacher, const float *student, int64_t n,
                                int64_t channels, int64_t voxels, double lambda, double weight,
                                const float *projector, int64_t width, float *projector_gradient,
                                float *teacher_gradient, float *student_gradient, pool *p,
                                double *loss, ts_error *error);
/* Bytes that loss_barlow, or with width > 0 loss_barlow_projected, takes while it works. */
size_t loss_barlow_bytes(int64_t n, int64_t channels, int64_t voxels, int64_t width);

#endif
