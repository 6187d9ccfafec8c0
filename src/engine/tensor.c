/* Tensors: their layout (layout.h), and plain floats in and out. */
#include "engine/pads.h"

#include <assert.h>

tensor tensor_describe(const engine *e, int64_t n, int64_t c, int64_t d, int64_t h, int64_t w)
{
    assert(n > 0 && c > 0 && d > 0 && h > 0 && w > 0);
    tensor t = {.n = n, .c = c, .d = d, .h = h, .w = w, .dtype = e->dtype};
    t.row = w + 1;
    t.plane = (h + 1) * t.row;
    t.lead = round_up(t.plane + t.row + 1, 16) + 48;
    t.span = round_up(d * t.plane, 16);
    t.unit_stride = t.lead + t.span;
    t.sample_stride = tensor_units(&t) * t.unit_stride;
    return t;
}

size_t tensor_bytes(const tensor *t)
{
    return (size_t)(t->n * t->sample_stride + t->lead) * sizeof(uint32_t);
}

typedef struct {
    const tensor *t;
    const float *in;
    const float *const *channels; /* in the place of `in` */
    float *out;
} transfer;

/* A row of a unit's one or two channels; NULL: zeros. */
static void upload_row(compute_dtype dtype, const float *even, const float *odd, int64_t w,
                       uint32_t *to)
{
    if (dtype == DTYPE_FP32) {
        if (even)
            memcpy(to, even, (size_t)w * sizeof *to);
        return;
    }
    for (int64_t x = 0; x < w; x++)
        to[x] = (uint32_t)(even ? float_to_bf16(even[x]) : 0) |
                (uint32_t)(odd ? float_to_bf16(odd[x]) : 0) << 16;
}

static void upload_unit(void *context, int64_t index, int thread)
{
    (void)thread;
    const transfer *j = context;
    const tensor *t = j->t;
    const int per = CHANNELS_PER_UNIT(t->dtype);
    const int64_t units = tensor_units(t), n = index / units, unit = index % units;
    const int64_t voxels = t->d * t->h * t->w;
    const int64_t channel = n * t->c + unit * per;
    const bool pair = per == 2 && unit * per + 1 < t->c;
    const float *even = j->in ? j->in + channel * voxels : j->channels[channel];
    const float *odd = !pair ? NULL : j->in ? even + voxels : j->channels[channel + 1];
    uint32_t *to = tensor_unit(t, n, unit);
    memset(to - t->lead, 0, (size_t)(t->lead + t->span) * sizeof *to);
    for (int64_t z = 0; z < t->d; z++)
        for (int64_t y = 0; y < t->h; y++) {
            upload_row(t->dtype, even, odd, t->w, to + z * t->plane + y * t->row);
            even = even ? even + t->w : NULL;
            odd = odd ? odd + t->w : NULL;
        }
}

static void add_unit(void *context, int64_t index, int thread)
{
    (void)thread;
    const transfer *j = context;
    const tensor *t = j->t;
    const int per = CHANNELS_PER_UNIT(t->dtype);
    const int64_t units = tensor_units(t), n = index / units, unit = index % units;
    uint32_t *to = tensor_unit(t, n, unit);
    for (int64_t c = unit * per; c < (unit + 1) * per && c < t->c; c++) {
        const float *from = j->in + (n * t->c + c) * t->d * t->h * t->w;
        for (int64_t z = 0; z < t->d; z++)
            for (int64_t y = 0; y < t->h; y++, from += t->w) {
                const int64_t f = z * t->plane + y * t->row;
                for (int64_t x = 0; x < t->w; x++)
                    unit_set(to, t->dtype, c, f + x, unit_get(to, t->dtype, c, f + x) + from[x]);
            }
    }
}

static void download_channel(void *context, int64_t index, int thread)
{
    (void)thread;
    const transfer *j = context;
    const tensor *t = j->t;
    const int64_t n = index / t->c, c = index % t->c;
    const uint32_t *from = tensor_unit(t, n, c / CHANNELS_PER_UNIT(t->dtype));
    float *to = j->out + index * t->d * t->h * t->w;
    for (int64_t z = 0; z < t->d; z++)
        for (int64_t y = 0; y < t->h; y++, to += t->w) {
            const int64_t f = z * t->plane + y * t->row;
            for (int64_t x = 0; x < t->w; x++)
                to[x] = unit_get(from, t->dtype, c, f + x);
        }
}

static void upload(engine *e, transfer j)
{
    clear_tail(j.t);
    pool_run(e->threads, upload_unit, &j, j.t->n * tensor_units(j.t));
}

void tensor_upload(engine *e, const float *plain, const tensor *t)
{
    upload(e, (transfer){.t = t, .in = plain});
}

void tensor_upload_channels(engine *e, const float *const *channels, const tensor *t)
{
    upload(e, (transfer){.t = t, .channels = channels});
}

void tensor_add(engine *e, const float *plain, const tensor *t)
{
    transfer j = {.t = t, .in = plain};
    pool_run(e->threads, add_unit, &j, t->n * tensor_units(t));
}

void tensor_download(engine *e, const tensor *t, float *plain)
{
    transfer j = {.t = t, .out = plain};
    pool_run(e->threads, download_channel, &j, t->n * t->c);
}
