/* engine: the layers of a network on the CPU, on tensors that it lays out itself. docs/engine.md
 * says how it works and in which order to read it.
 *
 * The caller (net/) plans memory: it learns the bytes of tensors, packed weights and scratch before
 * the run, gives pointers into its own arena, and calls one operation after the other. No operation
 * allocates memory and none can fail; asserts catch a caller's mistakes. Nothing outside engine/
 * looks into a tensor's data: values go in and out by tensor_upload, tensor_download and the head.
 * Every operation uses all threads of the engine's pool, and its result has the same bits with any
 * number of threads. An engine serves one caller at a time.
 *
 * Master weights and gradients are plain fp32 in PyTorch's shapes: convolution [out][in][3][3][3],
 * transposed convolution [in][out][2][2][2], head [classes][in], bias and norm [c].
 *
 * A layer (docs/method.md, "Network"), forward and backward:
 *     conv_pack             after the weights changed
 *     conv_forward          x -> y, and the moments of y
 *     norm_forward          y -> a = leaky ReLU(norm(y)); a may be y itself (prediction)
 *     norm_backward         gradient of a -> gradient of y (may be the same tensor)
 *     conv_weight_gradient  x and the gradient of y -> gradients of weight and bias
 *     conv_data_gradient    the gradient of y -> the gradient of x
 * Training keeps y and its moments of each layer, not a: norm_forward makes a again when the
 * weight gradient of the layer behind needs it (one pass over memory instead of one tensor). */
#ifndef TWINSEG_ENGINE_H
#define TWINSEG_ENGINE_H

#include "plan/plan.h"

#define NORM_EPSILON 1e-5f
#define LEAKY_SLOPE  0.01f

/* ---- the engine ------------------------------------------------------------------------ */

typedef struct engine engine;

/* target: "ref", "portable", "wasm", "neon", "avx2", "avx512", "avx512bf16"; NULL takes the environment's
 * TWINSEG_TARGET or else the fastest for this CPU and dtype. "avx512bf16" differs from "avx512"
 * only for DTYPE_BF16. A target that the CPU lacks, or an unknown one, is TS_BAD_INPUT. Free
 * *out with engine_destroy. */
ts_status engine_create(int threads, compute_dtype dtype, const char *target, engine **out,
                        ts_error *error);
void engine_destroy(engine *e);
const char *engine_target(const engine *e);
compute_dtype engine_dtype(const engine *e);
pool *engine_pool(const engine *e); /* for the caller's own loops between engine calls */

/* The name of target number `index` (0 = ref, then the faster the higher); NULL beyond the last. */
const char *engine_target_name(int index);
bool engine_target_available(const char *target);

/* ---- tensors --------------------------------------------------------------------------- */

/* Activations [n][c][d][h][w] in the engine's dtype and layout. Every operation that writes a
 * tensor writes all of its bytes, so that memory may be handed from one to the next as it is.
 * The fields below data are the layout, described in layout.h. */
typedef struct {
    int64_t n, c, d, h, w;
    void *data; /* tensor_bytes() bytes at a multiple of 64; the caller's */
    compute_dtype dtype;
    int64_t row, plane, lead, span, unit_stride, sample_stride;
} tensor;

/* A description with data NULL. Sizes at least 1. */
tensor tensor_describe(const engine *e, int64_t n, int64_t c, int64_t d, int64_t h, int64_t w);
size_t tensor_bytes(const tensor *t);

/* plain: float [n][c][d][h][w]. */
void tensor_upload(engine *e, const float *plain, const tensor *t);
/* channels: [n][c] pointers to float [d][h][w]; NULL: zeros. */
void tensor_upload_channels(engine *e, const float *const *channels, const tensor *t);
void tensor_download(engine *e, const tensor *t, float *plain);
void tensor_add(engine *e, const float *plain, const tensor *t); /* t += plain */

/* ---- convolutions ---------------------------------------------------------------------- */

typedef enum {
    CONV_3,   /* 3x3x3, padding 1 */
    CONV_3_2, /* 3x3x3, padding 1, stride 2: an axis of size s becomes (s + 1) / 2 */
    CONV_UP,  /* transposed 2x2x2, stride 2: an axis doubles */
} conv_kind;

/* in[1] > 0: the input is the concatenation of two tensors (CONV_3 alone), in[0] channels of the
 * first, then in[1] of the second; never copied together.
 * winograd: conv_forward and conv_data_gradient may take Winograd's algorithm where that is faster:
 * a third of the multiplications, but rounding errors about 3 times as large. */
typedef struct {
    conv_kind kind;
    int64_t in[2], out;
    bool winograd;
} conv;

typedef enum { CONV_FORWARD, CONV_DATA_GRADIENT, CONV_WEIGHT_GRADIENT } conv_pass;

/* x[1] is NULL where in[1] is 0. */
typedef const tensor *conv_inputs[2];

/* Output of the layer for input x[0] (data NULL). */
tensor conv_output(const engine *e, const conv *c, const tensor *x);

/* Weights in the form that conv_forward reads. */
size_t conv_packed_bytes(const engine *e, const conv *c);
void conv_pack(engine *e, const conv *c, const float *weight, void *packed);

/* Scratch of one pass for an input shaped as x (its data is not read), at a multiple of 64. */
size_t conv_scratch_bytes(const engine *e, const conv *c, const tensor *x, conv_pass pass);

/* y = convolution of x plus bias [out]. moments: [n][out][2], receives mean and 1/sqrt(variance +
 * NORM_EPSILON) over each sample's voxels; NULL where they are not wanted, and always for CONV_UP,
 * which no norm follows. */
void conv_forward(engine *e, const conv *c, conv_inputs x, const void *packed, const float *bias,
                  const tensor *y, float *moments, void *scratch);

/* dx[i] = (add[i] ? dx[i] : 0) + gradient. dx[1] as x[1]; a dx[i] of NULL is not computed. */
void conv_data_gradient(engine *e, const conv *c, const float *weight, const tensor *dy,
                        conv_inputs dx, const bool add[2], void *scratch);

/* dweight, dbias: overwritten. */
void conv_weight_gradient(engine *e, const conv *c, conv_inputs x, const tensor *dy, float *dweight,
                          float *dbias, void *scratch);

/* Floating-point operations (two per multiply-add) of one pass that the mathematics needs, for an
 * input shaped as x: the same for all three passes. */
double conv_flops(const conv *c, const tensor *x);

/* ---- instance norm and leaky ReLU ------------------------------------------------------ */

/* What makes an activation of a layer's y, as in norm_forward. */
typedef struct {
    const float *moments, *gamma, *beta;
} norm_parameters;

/* a = leaky(gamma * (y - mean) * rstd + beta), moments from conv_forward. a may be y. */
void norm_forward(engine *e, const tensor *y, const float *moments, const float *gamma,
                  const float *beta, const tensor *a);

/* da: gradient of a. dy receives the gradient of y (through the moments too) and may be da.
 * dgamma, dbeta [c]: overwritten. */
void norm_backward(engine *e, const tensor *y, const norm_parameters *norm, const tensor *da,
                   const tensor *dy, float *dgamma, float *dbeta, void *scratch);

/* Scratch of norm_backward, at a multiple of 64. */
size_t norm_scratch_bytes(const tensor *y);

/* ---- heads: 1x1x1 convolutions to plain logits ----------------------------------------- */

/* logits [n][classes][d][h][w], plain floats, of the activation of y, which is made on the way, or
 * (norm NULL) of y itself; weight [classes][c], bias [classes]. At most 64 classes and 4096
 * channels, as in net_layout. */
void head_forward(engine *e, const tensor *y, const norm_parameters *norm, const float *weight,
                  const float *bias, int64_t classes, float *logits);

/* da = (add ? da : 0) + gradient of the activation. */
void head_data_gradient(engine *e, const float *dlogits, const float *weight, int64_t classes,
                        const tensor *da, bool add);

/* Scratch of head_weight_gradient, at a multiple of 64. */
size_t head_scratch_bytes(const tensor *y, int64_t classes);

/* dweight, dbias: overwritten. */
void head_weight_gradient(engine *e, const tensor *y, const norm_parameters *norm,
                          const float *dlogits, int64_t classes, float *dweight, float *dbias,
                          void *scratch);

/* Backward from the logits through a head and the norm before it, as head_data_gradient,
 * tensor_add and norm_backward one after the other, bit for bit, but without a tensor between
 * them. */
typedef struct {
    const tensor *y;
    norm_parameters norm;
    const float *dlogits, *weight;
    int64_t classes;
    const float *more; /* plain, added to the gradient of the activation; NULL: nothing */
    const tensor *dy;  /* may be y */
    float *dgamma, *dbeta;
} last_backward;

void last_backward_run(engine *e, const last_backward *l, void *scratch);

/* Its scratch, at a multiple of 64. */
size_t last_scratch_bytes(const engine *e, const tensor *y);

/* ---- softmax, for the losses ----------------------------------------------------------- */

/* Four classes, the labels 0 to 3; the three behind the background have a Dice. */
enum { SOFTMAX_CLASSES = 4, SOFTMAX_SCORED = 3 };

/* Sums over voxels: the log-likelihood of the labels, and of each class from 1 on the three sums of
 * a soft Dice. */
typedef struct {
    double log_likelihood;
    double both[SOFTMAX_SCORED], predicted[SOFTMAX_SCORED], truth[SOFTMAX_SCORED];
} softmax_sums;

/* Of a loss: its derivative by the negative log-likelihood, and by a voxel's probability of a class
 * from 1 on, which is dice_predicted, plus dice_both where the label is that class. */
typedef struct {
    float likelihood, dice_both[SOFTMAX_SCORED], dice_predicted[SOFTMAX_SCORED];
} softmax_factors;

/* Both work in place on `count` voxels of one sample, logit k of voxel v at z[k * stride + v], with
 * labels 0 to 3. Unlike the operations above they run in the calling thread: the losses share their
 * voxels out themselves. */

/* Logits to probabilities; adds to the sums. */
void softmax_probabilities(const engine *e, float *z, int64_t stride, const uint8_t *labels,
                           int64_t count, softmax_sums *s);
/* Probabilities to the loss's gradient by the logits. */
void softmax_gradient(const engine *e, float *z, int64_t stride, const uint8_t *labels,
                      int64_t count, const softmax_factors *f);

#endif
