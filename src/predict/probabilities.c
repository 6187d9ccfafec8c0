/* From a preprocessed case to label probabilities: the walk over the windows.
 *
 * A network with the regions loss gives sigmoids of WT, TC and ET. nnU-Net thresholds these at 0.5
 * and lets WT, TC, ET overwrite one another in this order (ED, NCR, ET). Here they become label
 * probabilities whose largest is that very label:
 *
 *     ET          e
 *     NCR         min(1 - e, t)
 *     ED          min(1 - e, 1 - t, w)
 *     background  min(1 - e, 1 - t, 1 - w)
 *
 * divided by their sum (w, t, e: the sigmoids of WT, TC, ET). At most one of the four exceeds 0.5,
 * that of the label that nnU-Net gives. */
#include "predict/predictor.h"
#include "predict/windows.h"
#include "voxels/voxels.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* One case, and the window that is being worked on. */
typedef struct {
    predictor *predictor;
    const preprocessed *source;
    int64_t size[3];       /* d h w of the case */
    int64_t begin[3];      /* of the window */
    unsigned flip;         /* bit 0: along d, 1: h, 2: w */
    const float *logits;   /* [classes][d][h][w] of the flipped window */
    float *probabilities;  /* [LABELS][d][h][w] of the case; before the end the first `classes`
                             hold weighted sums */
    float *weights;        /* [d][h][w]: sums of importance */
    atomic_bool nonfinite; /* a logit was */
} walk;

/* Place i of an axis of the window after flipping. */
static int64_t flipped(const walk *w, int axis, int64_t i)
{
    return w->flip >> axis & 1 ? w->predictor->patch[axis] - 1 - i : i;
}

/* The part lo..hi-1 of the window's axis that lies within the case. */
static void clip(const walk *w, int axis, int64_t *lo, int64_t *hi)
{
    const int64_t begin = w->begin[axis], patch = w->predictor->patch[axis];
    *lo = begin < 0 ? -begin : 0;
    *hi = begin + patch > w->size[axis] ? w->size[axis] - begin : patch;
}

/* The channel'th modality of the model. */
static const float *channel_of(const walk *w, int channel)
{
    int m = 0;
    for (int seen = -1; m < MODALITIES; m++)
        if (w->predictor->channels >> m & 1 && ++seen == channel)
            break;
    return w->source->images + (size_t)m * (size_t)voxel_count(w->size);
}

static bool window_is_empty(const walk *w)
{
    int64_t lo[3], hi[3];
    for (int i = 0; i < 3; i++)
        clip(w, i, &lo[i], &hi[i]);
    for (int channel = 0; channel < w->predictor->channel_count; channel++) {
        const float *image = channel_of(w, channel);
        for (int64_t z = lo[0]; z < hi[0]; z++)
            for (int64_t y = lo[1]; y < hi[1]; y++) {
                const float *row =
                    image + ((w->begin[0] + z) * w->size[1] + w->begin[1] + y) * w->size[2];
                for (int64_t x = lo[2]; x < hi[2]; x++)
                    if (row[w->begin[2] + x] != 0)
                        return false;
            }
    }
    return true;
}

/* Plane `index` of the network's input, [channels][d] planes in all: zeros beyond the case. */
static void gather_plane(void *context, int64_t index, int thread)
{
    (void)thread;
    const walk *w = context;
    const int64_t *patch = w->predictor->patch;
    const int64_t z = flipped(w, 0, index % patch[0]) + w->begin[0];
    const float *image = channel_of(w, (int)(index / patch[0]));
    float *to = w->predictor->input + index * patch[1] * patch[2];
    int64_t lo, hi;
    clip(w, 2, &lo, &hi);
    memset(to, 0, (size_t)(patch[1] * patch[2]) * sizeof *to);
    for (int64_t i = 0; z >= 0 && z < w->size[0] && i < patch[1]; i++, to += patch[2]) {
        const int64_t y = flipped(w, 1, i) + w->begin[1];
        if (y < 0 || y >= w->size[1])
            continue;
        const float *row = image + (z * w->size[1] + y) * w->size[2] + w->begin[2];
        for (int64_t x = lo; x < hi; x++)
            to[flipped(w, 2, x)] = row[x];
    }
}

/* Adds the probabilities of one row of logits; step: 1, or -1 where w is flipped. */
static void add_softmax(const float *logits, size_t stride, int classes, float *mean,
                        int64_t length, int64_t step)
{
    for (int64_t x = 0; x < length; x++, logits += step) {
        float largest = logits[0], sum = 0, e[LABELS];
        for (int k = 1; k < classes; k++)
            largest = fmaxf(largest, logits[(size_t)k * stride]);
        for (int k = 0; k < classes; k++)
            sum += e[k] = expf(logits[(size_t)k * stride] - largest);
        for (int k = 0; k < classes; k++)
            mean[(size_t)k * stride + (size_t)x] += e[k] / sum;
    }
}

static void add_sigmoid(const float *logits, size_t stride, int classes, float *mean,
                        int64_t length, int64_t step)
{
    for (int64_t x = 0; x < length; x++, logits += step)
        for (int k = 0; k < classes; k++)
            mean[(size_t)k * stride + (size_t)x] += 1 / (1 + expf(-logits[(size_t)k * stride]));
}

/* Infinities and NaN have all bits of the exponent set. */
static bool is_finite_row(const float *row, int64_t count)
{
    uint32_t carries = 0;
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, row + i, sizeof bits);
        carries |= (bits & 0x7f800000u) + 0x00800000u;
    }
    return !(carries >> 31);
}

/* Plane z of the window: the flipped logits' probabilities are added to the mean. */
static void add_plane(void *context, int64_t z, int thread)
{
    (void)thread;
    walk *w = context;
    const predictor *p = w->predictor;
    const int64_t *patch = p->patch;
    for (int64_t y = 0; y < patch[1]; y++) {
        const int64_t from = (flipped(w, 0, z) * patch[1] + flipped(w, 1, y)) * patch[2];
        for (int k = 0; k < p->classes; k++)
            if (!is_finite_row(w->logits + k * voxel_count(patch) + from, patch[2]))
                atomic_store(&w->nonfinite, true);
        (p->regions ? add_sigmoid : add_softmax)(
            w->logits + from + flipped(w, 2, 0), (size_t)voxel_count(patch), p->classes,
            p->mean + (z * patch[1] + y) * patch[2], patch[2], w->flip >> 2 & 1 ? -1 : 1);
    }
}

/* Plane z of the window, weighted by importance, joins the case. */
static void merge_plane(void *context, int64_t z, int thread)
{
    (void)thread;
    const walk *w = context;
    const predictor *p = w->predictor;
    const int64_t *patch = p->patch, *size = w->size;
    int64_t lo[3], hi[3];
    for (int i = 0; i < 3; i++)
        clip(w, i, &lo[i], &hi[i]);
    if (z < lo[0] || z >= hi[0])
        return;
    const float share = 1.0f / (float)((int64_t)p->count * (p->settings.mirror ? 8 : 1));
    for (int64_t y = lo[1]; y < hi[1]; y++) {
        const int64_t from = (z * patch[1] + y) * patch[2];
        const int64_t to = ((w->begin[0] + z) * size[1] + w->begin[1] + y) * size[2] + w->begin[2];
        const float *importance = p->importance + from;
        for (int64_t x = lo[2]; x < hi[2]; x++)
            w->weights[to + x] += importance[x];
        for (int k = 0; k < p->classes; k++) {
            const float *mean = p->mean + (size_t)k * (size_t)voxel_count(patch) + from;
            float *sum = w->probabilities + (size_t)k * (size_t)voxel_count(size) + to;
            for (int64_t x = lo[2]; x < hi[2]; x++)
                sum[x] += importance[x] * share * mean[x];
        }
    }
}

static ts_status predict_window(walk *w, ts_error *error)
{
    predictor *p = w->predictor;
    pool *threads = engine_pool(p->engine);
    memset(p->mean, 0, (size_t)voxel_count(p->patch) * (size_t)p->classes * sizeof(float));
    for (w->flip = 0; w->flip < (p->settings.mirror ? 8u : 1u); w->flip++) {
        pool_run(threads, gather_plane, w, p->channel_count * p->patch[0]);
        for (size_t i = 0; i < p->count; i++) {
            if (interrupt_requested())
                return error_set(error, TS_STOPPED, "interrupted");
            const ts_status status = net_forward(p->nets[i], p->input, error);
            if (status != TS_OK)
                return status;
            w->logits = net_logits(p->nets[i], 0);
            pool_run(threads, add_plane, w, p->patch[0]);
            if (atomic_load(&w->nonfinite)) {
                p->diverged = true;
                return error_set(
                    error, TS_BAD_INPUT,
                    "case %s: the model '%s' computes infinite numbers or NaN: its "
                    "weights are damaged or its training diverged; copy it anew or give "
                    "another",
                    w->source->id, p->names[i]);
            }
        }
    }
    pool_run(threads, merge_plane, w, p->patch[0]);
    return TS_OK;
}

/* Sums become label probabilities; where no window reached, all is background. */
static void finish_plane(void *context, int64_t z, int thread)
{
    (void)thread;
    const walk *w = context;
    const size_t voxels = (size_t)voxel_count(w->size), plane = (size_t)(w->size[1] * w->size[2]);
    for (size_t i = (size_t)z * plane; i < ((size_t)z + 1) * plane; i++) {
        float *at = w->probabilities + i;
        const float weight = w->weights[i];
        if (!(weight > 0)) {
            for (size_t k = 0; k < LABELS; k++)
                at[k * voxels] = k == 0;
        } else if (w->predictor->regions) {
            const float wt = at[0] / weight, tc = at[voxels] / weight, et = at[2 * voxels] / weight;
            const float label[LABELS] = {fminf(fminf(1 - et, 1 - tc), 1 - wt), fminf(1 - et, tc),
                                         fminf(fminf(1 - et, 1 - tc), wt), et};
            const float sum = label[0] + label[1] + label[2] + label[3];
            for (size_t k = 0; k < LABELS; k++)
                at[k * voxels] = label[k] / sum;
        } else {
            for (size_t k = 0; k < LABELS; k++)
                at[k * voxels] /= weight;
        }
    }
}

static ts_status walk_windows(walk *w, ts_error *error)
{
    const predictor *p = w->predictor;
    const double step = p->settings.window_step, start = clock_seconds();
    int64_t n[3];
    for (int i = 0; i < 3; i++)
        n[i] = window_count(w->size[i], p->patch[i], step);
    const int64_t windows = n[0] * n[1] * n[2];
    for (int64_t index = 0; index < windows; index++) {
        const int64_t place[3] = {index / (n[1] * n[2]), index / n[2] % n[1], index % n[2]};
        for (int i = 0; i < 3; i++)
            w->begin[i] = window_begin(w->size[i], p->patch[i], step, place[i]);
        w->flip = 0;
        if (!window_is_empty(w)) {
            const ts_status status = predict_window(w, error);
            if (status != TS_OK)
                return status;
        }
        if (p->show_progress)
            progress_show("%s: window %lld of %lld, %.1f s", w->source->id, (long long)index + 1,
                          (long long)windows, clock_seconds() - start);
    }
    return TS_OK;
}

static void say_size(const predictor *p, const preprocessed *c)
{
    const int64_t *n = c->geometry.shape;
    note("case %s: %lldx%lldx%lld voxels of %g mm, %lld windows of %lldx%lldx%lld, %.1f MiB", c->id,
         (long long)n[0], (long long)n[1], (long long)n[2], p->spacing_mm,
         (long long)predictor_windows(p, n), (long long)p->patch[2], (long long)p->patch[1],
         (long long)p->patch[0], (double)predictor_bytes(p, &c->geometry) / 0x1p20);
}

ts_status predict_probabilities(predictor *p, const preprocessed *c, float *probabilities,
                                ts_error *error)
{
    char wanted[24], given[24];
    if (p->any_subset ? !(p->channels & c->present) : p->channels & ~c->present)
        return error_set(error, TS_BAD_INPUT, "case %s: the model needs %s, the case has %s", c->id,
                         modality_print(p->channels, wanted), modality_print(c->present, given));
    walk w = {.predictor = p, .source = c, .probabilities = probabilities};
    for (int i = 0; i < 3; i++)
        w.size[i] = c->geometry.shape[2 - i];
    ts_status status = predictor_fit(p, w.size, c->id, error);
    if (status != TS_OK)
        return status;
    if (p->verbose)
        say_size(p, c);
    w.weights = memory_allocate((size_t)voxel_count(w.size), sizeof *w.weights,
                                "the windows' weights", error);
    if (!w.weights)
        return TS_MEMORY;
    memset(probabilities, 0, (size_t)voxel_count(w.size) * LABELS * sizeof *probabilities);
    status = walk_windows(&w, error);
    if (status == TS_OK)
        pool_run(engine_pool(p->engine), finish_plane, &w, w.size[0]);
    free(w.weights);
    return status;
}
