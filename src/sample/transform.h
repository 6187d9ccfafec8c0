/* transform (private to sample/): what is drawn for one patch, and the steps of its augmentation,
 * each a plain function on plain memory. Shapes and positions are d, h, w = z, y, x. */
#ifndef TWINSEG_SAMPLE_TRANSFORM_H
#define TWINSEG_SAMPLE_TRANSFORM_H

#include "sample/sample.h"

/* Every draw of one patch. Neutral values (1 for a factor, 0 for a sigma) mean: leave it alone. */
typedef struct {
    size_t source;    /* which case */
    int64_t begin[3]; /* the patch's first voxel in it; negative where the volume is smaller */
    bool warp;
    double matrix[3][3]; /* patch offset from its centre to case offset: rotation times scale */
    double noise_deviation;
    double blur_sigma[MODALITIES][3];
    double brightness[MODALITIES], contrast[MODALITIES], zoom[MODALITIES];
    double gamma_inverted[MODALITIES], gamma[MODALITIES];
    bool mirror[3];
} patch_draw;

/* How many of a batch, the last ones, are centred on foreground: nnU-Net's rounding, at least one
 * (none where the share is 0). */
int64_t draw_forced_patches(int64_t patches, double share);

/* The draws of patch `index` of a step. */
void draw_patch(const plan *p, const preprocessed *cases, size_t count, int64_t step, int64_t index,
                patch_draw *out);

/* nnU-Net's Rz Ry Rx S (radians) with the axes d, h, w in the place of x, y, z. A scale above 1
 * shows more of the case, so that things look smaller. */
void draw_matrix(const double angle[3], double scale, double out[3][3]);

/* Copies from the case to images [MODALITIES][d][h][w] and labels [d][h][w], 0 beyond its edge.
 * brain (may be NULL) receives a set of modalities per voxel: those that are not exactly 0
 * there. */
void patch_crop(const preprocessed *c, const int64_t patch[3], const int64_t begin[3],
                float *images, uint8_t *labels, uint8_t *brain);
void patch_warp(const preprocessed *c, const int64_t patch[3], const int64_t begin[3],
                const double matrix[3][3], float *images, uint8_t *labels, uint8_t *brain);

/* One channel each, in place. scratch: 2 * count floats. */
void augment_noise(float *x, size_t count, double deviation, random_stream *r);
void augment_blur(float *x, const int64_t shape[3], const double sigma[3], float *scratch);
void augment_brightness(float *x, size_t count, double factor);
void augment_contrast(float *x, size_t count, double factor);
void augment_low_resolution(float *x, const int64_t shape[3], double zoom, float *scratch);
void augment_gamma(float *x, size_t count, double gamma, bool inverted);
/* 0 where the brain's set lacks the modality. */
void augment_mask(float *x, size_t count, const uint8_t *brain, modality_set bit);

/* In place; element: 4 bytes (an image) or 1 (labels). */
void mirror_patch(void *x, const int64_t shape[3], const bool mirror[3], size_t element);

#endif
