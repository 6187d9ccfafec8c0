/* kernels: the inner loops that are compiled once per target from kernel_template.h, and what they
 * take.
 *
 * Ranges [from, to) are flat positions of a unit's volume (layout.h), multiples of 16. Kernels
 * treat pads like voxels; the caller clears them afterwards (pads.h). */
#ifndef TWINSEG_ENGINE_KERNELS_H
#define TWINSEG_ENGINE_KERNELS_H

#include "engine/layout.h"
#include "engine/sizes.h"

/* A sum of terms: out[c][f] = start + sum over t of weight[t][c] * term[t][f]. A convolution is
 * such a sum with a term for each input unit and tap: the unit's volume, shifted by the tap's
 * distance. */
typedef struct {
    const uint32_t *const *term; /* each at the flat position that output position 0 reads */
    int64_t terms;
    int64_t term_block; /* terms taken at a time: TERM_BLOCK or PHASE_BLOCK (sizes.h) */
    /* [channels / tile][terms][weights_of_term][tile], padded with zeros; for dot a pair of bf16 in
     * each float's place. */
    const float *weight;
    const float *bias; /* [channels]; NULL: 0 */
    int64_t channels;  /* at most CHANNEL_GROUP */
    uint32_t *out;     /* channel c (or pair of channels) at out + c * stride */
    int64_t stride;
    bool add;    /* start from what out holds, not from bias */
    bool floats; /* bf16 without dot: terms are floats with a weight each, not units */
    const uint32_t *const *ahead; /* [aheads], prefetched on the way, at out's positions */
    int64_t aheads;
} product;

/* dw[t * dw_stride + c] += sum over f of a[c][f] * term[t][f], where a channel and a term are
 * planes of plane_bytes a value: in fp32 the tensor itself, in bf16 what split_channels makes. */
typedef struct {
    const void *const *a; /* [channels] */
    int64_t channels;
    const void *const *term;
    int64_t terms;
    const char *const *ahead; /* [aheads], prefetched on the way, of each a term's bytes */
    int64_t aheads;
    float *dw;
    int64_t dw_stride;
} correlation;

/* What norm and leaky ReLU need of a unit's channel, or of its two. */
typedef struct {
    float mean[2], rstd[2], gamma[2], beta[2];
    float g_mean[2], gx_mean[2]; /* backward's second pass */
} norm_channel;

/* a = leaky((y - mean) * scale + beta). */
typedef struct {
    float mean, scale, beta;
} head_norm;

/* A plane of voxels of a tensor beside the same plane of plain logits. */
typedef struct {
    uint32_t *const *unit; /* one for each unit of `channels`, at the plane's first voxel */
    const head_norm *norm; /* of each channel; NULL: the tensor holds activations */
    int64_t channels, classes, h, w, row;
    float *logits; /* class k at k * stride */
    int64_t stride;
} head_plane;

/* Stride 2: a tensor `whole` is eight *phases* of half its size, those of its even and odd
 * positions, each shaped as the tensor `half` on the layer's other side. Phase (pz, py, px) at
 * (z, y, x) is whole at (2z + pz, 2y + py, 2x + px).
 *
 * A task holds the phases of a few rows of `half` at a time, in memory of its thread that fits the
 * second-level cache: `rows` rows from first_row on, each row as in half's layout, so that flat
 * position f lies at place f - first_row * half->row of a volume.
 *
 *     [unit][block][py][px][length]   block 0: pz = 0, 1: pz = 1, 2: pz = 1 of the plane before */
typedef struct {
    const tensor *half;
    int64_t first_row, rows, length;
    int blocks; /* 2 or 3 */
    uint32_t *data;
} phases;

static inline uint32_t *phases_volume(const phases *p, int64_t unit, int block, int py, int px)
{
    return p->data + (((unit * p->blocks + block) * 2 + py) * 2 + px) * p->length;
}

/* Small layers of stride 2 and transposed ones (strided.c) go through the voxels of `half` in runs: pieces
 * of its rows, one behind the other. */
typedef struct {
    int64_t at, count; /* the run's voxels [at, at + count) */
    int64_t z, y, x;
    /* Where its first voxel lies in half, and that voxel's phase 0 in whole, both counted from a
     * unit of sample 0. */
    int64_t in_half, in_whole;
} run_piece;

/* A vector of a panel's rows: its place there, and in a unit that is read. A piece's last one
 * reaches beyond it, where the next piece is written later. */
typedef struct {
    int64_t at, in;
} run_vector;

typedef struct {
    int64_t count, pieces, vectors;
    /* For prefetches, from a place in a unit that is read and in one of whole to the next run's. */
    int64_t ahead, whole_ahead;
    run_piece piece[RUN];
    run_vector vector[RUN];
} voxel_run;

/* What a panel holds of each unit, a row of RUN_STRIDE values each: elements, or floats of either
 * channel, one row behind the other, where a target widens bf16. */
typedef enum {
    PANEL_VOXELS, /* of half, 1 row */
    PANEL_BEHIND, /* 8 rows: of half, row 4 kz + 2 ky + kx at the voxel so far behind */
    PANEL_PHASES, /* 8 rows: of whole */
    PANEL_TAPS,   /* 27 rows: of whole, around phase 0 */
} panel_kind;

static inline int panel_rows_of(panel_kind kind)
{
    return kind == PANEL_VOXELS ? 1 : kind == PANEL_TAPS ? 27 : 8;
}

/* sums[c * RUN_STRIDE + i] = start + sum over rows r of weight[r][c] * panel[row[r]][i]. */
typedef struct {
    const float *panel;
    const int32_t *row; /* NULL: 0, 1, ... */
    int64_t rows, count;
    const float *weight;  /* [rows][tile], for each tile of channels */
    int64_t weight_apart; /* from a tile of channels to the next */
    const float *bias;    /* in whole tiles; NULL: onto sums */
    int64_t channels;
    float *sums; /* in whole tiles */
} panel_product;

/* Where a run of Winograd tiles of one unit goes. */
typedef struct {
    uint32_t *row[4]; /* rows (2z + pz, 2y + py) of the output, at 2 pz + py; NULL beyond it */
    int64_t x, w;     /* first tile's place in the row of tiles; the row's voxels */
    float bias[2];
    bool add; /* onto what the rows hold */
} winograd_outputs;

typedef struct kernels {
    int lanes;           /* 32-bit elements of a vector */
    int tile;            /* channels in a register tile */
    int weights_of_term; /* of a channel, in floats: 1, or 2 where a term is two halves */
    int plane_bytes;     /* of a value in correlate's planes: 4, or 2 for bf16 */
    bool dot;            /* multiplies pairs of bf16 */
    /* p's sums at positions [from, to). */
    void (*multiply)(const product *p, int64_t from, int64_t to);
    /* count is a multiple of PLANE_STEP; values beyond those that are meant must be zero in one
     * of the two planes and finite in the other. */
    void (*correlate)(const correlation *c, int64_t count);
    /* bf16 alone: count (a multiple of PLANE_STEP) elements into a plane for each of their two
     * channels. */
    void (*split_channels)(const uint32_t *unit, int64_t count, void *low, void *high);
    /* Of each channel of a unit of t, over the voxels among the positions (at least one; pads
     * may hold anything): the sum, and the sum of squared distances from the mean. */
    void (*moments)(const tensor *t, const uint32_t *unit, int64_t from, int64_t to, int64_t voxels,
                    double sum[2], double squares[2]);
    /* Of each channel, over all positions. */
    void (*sum)(const uint32_t *unit, int64_t from, int64_t to, double sum[2]);
    void (*norm_forward)(const norm_channel *n, const uint32_t *y, uint32_t *a, int64_t from,
                         int64_t to);
    void (*norm_sums)(const norm_channel *n, const uint32_t *y, const uint32_t *da, int64_t from,
                      int64_t to, double g[2], double gx[2]);
    void (*norm_backward)(const norm_channel *n, const uint32_t *y, const uint32_t *da,
                          uint32_t *dy, int64_t from, int64_t to);
    /* Winograd's F(2x2x2, 3x3x3), winograd_template.h. The 27 weights of each of `channels` (at
     * most `tile`), channel_apart floats apart: component k of channel c to packed[k * apart + c],
     * zeros for channels that are not there. flipped: weight 26 is the first. */
    void (*winograd_weights)(const float *weight, int64_t channel_apart, int64_t channels,
                             bool flipped, float *packed, int64_t apart);
    /* Tiles from x on of a row of tiles, whose 4 x 4 input rows [z][y] begin at `row`: component
     * k of channel h to v + k * stride + h * half_apart, in whole vectors of tiles. */
    void (*winograd_input)(const uint32_t *const row[4][4], int64_t x, int64_t tiles, float *v,
                           int64_t stride, int64_t half_apart, int halves);
    /* Sums of `tile` channels for `lanes` tiles, stride floats apart; each term is `lanes`
     * floats. */
    void (*winograd_multiply)(const uint32_t *const *term, int64_t terms, const float *weight,
                              float *out, int64_t lanes, int64_t stride);
    /* Component k of channel h at m + k * stride + h * half_apart; adds sums and squares of the
     * outputs' distances from the bias. */
    void (*winograd_output)(const winograd_outputs *o, const float *m, int64_t stride,
                            int64_t half_apart, int64_t tiles, double sum[2], double squares[2]);
    /* Units [first, first + units) of sample n of whole into p, PLANE_STEP zeros behind each. */
    void (*phases_split)(const tensor *whole, int64_t n, int64_t first, int64_t units,
                         const phases *p);
    /* p's rows into all units of whole, pads too; add: onto what whole holds. */
    void (*phases_merge)(const phases *p, const tensor *whole, int64_t n, bool add);
    /* Units [first, first + units) of t. */
    void (*panel_fill)(panel_kind kind, const tensor *t, int64_t first, int64_t units,
                       const voxel_run *r, float *panel);
    void (*panel_multiply)(const panel_product *p);
    /* Sums of `channels` channels into the units of half from `first` on. */
    void (*panel_rows)(const float *sums, int64_t channels, const voxel_run *r, const tensor *half,
                       int64_t first, bool add);
    /* Sums of eight phases, phase_apart apart, of one unit into unit `unit` of whole, with the pad
     * behind each row; the lines `ahead` elements further are prefetched. */
    void (*panel_phases)(const float *sums, int64_t phase_apart, const voxel_run *r,
                         const tensor *whole, int64_t unit, int64_t ahead, bool add);
    /* weight [classes][channels]; sums [classes][channels + 1] of logits times activations, the
     * last of logits alone, are added to. */
    void (*head_forward)(const head_plane *p, const float *weight, const float *bias);
    void (*head_data)(const head_plane *p, const float *weight, bool add);
    void (*head_weight)(const head_plane *p, double *sums);
    /* As softmax_probabilities and softmax_gradient of engine.h. */
    void (*softmax_probabilities)(float *z, int64_t stride, const uint8_t *labels, int64_t count,
                                  softmax_sums *s);
    void (*softmax_gradient)(float *z, int64_t stride, const uint8_t *labels, int64_t count,
                             const softmax_factors *f);
} kernels;

extern const kernels kernels_portable, kernels_portable_bf16, kernels_neon, kernels_neon_bf16,
    kernels_wasm, kernels_wasm_bf16, kernels_avx2, kernels_avx2_bf16, kernels_avx512,
    kernels_avx512_bf16, kernels_avx512_dot;

#endif
