/* Voxels as numbers: scaled floats, labels, statistics. */
#include "volume/nifti.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 4096 }; /* voxels decoded at once */

/* ---- decoding ----------------------------------------------------------------------------- */

/* Copies `count` values of `bytes` bytes, `step` values apart, in this machine's order. */
static void copy_values(const uint8_t *from, size_t bytes, int64_t step, int64_t count, bool swap,
                        uint8_t *to)
{
    if (step == 1 && (!swap || bytes == 1)) {
        memcpy(to, from, (size_t)count * bytes);
        return;
    }
    for (int64_t i = 0; i < count; i++, from += step * (int64_t)bytes, to += bytes)
        for (size_t b = 0; b < bytes; b++)
            to[b] = from[swap ? bytes - 1 - b : b];
}

#define WIDEN(type)                                                                                \
    for (int64_t i = 0; i < count; i++) {                                                          \
        type value;                                                                                \
        memcpy(&value, raw + (size_t)i * sizeof value, sizeof value);                              \
        out[i] = (double)value;                                                                    \
    }                                                                                              \
    break

static void decode_block(const volume_voxels *v, int64_t first, int64_t step, int64_t count,
                         double *out)
{
    uint8_t raw[BLOCK * 8];
    const size_t bytes = volume_datatype_bytes(v->datatype);
    copy_values(v->bytes + (size_t)first * bytes, bytes, step, count, v->swap, raw);
    switch (v->datatype) {
    case 2:
        WIDEN(uint8_t);
    case 4:
        WIDEN(int16_t);
    case 8:
        WIDEN(int32_t);
    case 16:
        WIDEN(float);
    case 64:
        WIDEN(double);
    case 256:
        WIDEN(int8_t);
    case 512:
        WIDEN(uint16_t);
    case 768:
        WIDEN(uint32_t);
    case 1024:
        WIDEN(int64_t);
    case 1280:
        WIDEN(uint64_t);
    }
    if (v->slope != 1 || v->intercept != 0)
        for (int64_t i = 0; i < count; i++)
            out[i] = out[i] * v->slope + v->intercept;
}

/* What most files hold, without the way over double, which would give the same bits. */
#define STRAIGHT(type)                                                                             \
    for (int64_t i = 0; i < count; i++) {                                                          \
        type value;                                                                                \
        memcpy(&value, v->bytes + (first + i * step) * (int64_t)sizeof value, sizeof value);       \
        out[i] = (float)value;                                                                     \
    }                                                                                              \
    return true

static inline bool decode_straight(const volume_voxels *v, int64_t first, int64_t step,
                                   int64_t count, float *out)
{
    if (v->swap || v->slope != 1 || v->intercept != 0)
        return false;
    switch (v->datatype) {
    case 2:
        STRAIGHT(uint8_t);
    case 4:
        STRAIGHT(int16_t);
    case 16:
        STRAIGHT(float);
    case 512:
        STRAIGHT(uint16_t);
    }
    return false;
}

void volume_values(const volume_voxels *v, int64_t first, int64_t step, int64_t count, float *out)
{
    double values[BLOCK];
    if (step == 1 ? decode_straight(v, first, 1, count, out)
                  : decode_straight(v, first, step, count, out))
        return;
    for (int64_t at = 0; at < count; at += BLOCK) {
        const int64_t some = count - at < BLOCK ? count - at : BLOCK;
        decode_block(v, first + at * step, step, some, values);
        for (int64_t i = 0; i < some; i++)
            out[at + i] = (float)values[i];
    }
}

int64_t volume_values_too_large(const volume_voxels *v, int64_t count)
{
    double values[BLOCK];
    int64_t too_large = 0;
    for (int64_t at = 0; at < count; at += BLOCK) {
        const int64_t some = count - at < BLOCK ? count - at : BLOCK;
        decode_block(v, at, 1, some, values);
        for (int64_t i = 0; i < some; i++)
            too_large += isfinite(values[i]) && !isfinite((float)values[i]);
    }
    return too_large;
}

bool volume_values_are_zero(const volume_voxels *v, int64_t first, int64_t count)
{
    const size_t bytes = volume_datatype_bytes(v->datatype);
    return v->intercept == 0 &&
           bytes_are_zero(v->bytes + (size_t)first * bytes, (size_t)count * bytes);
}

volume_voxels volume_voxels_of(const float *values)
{
    return (volume_voxels){.bytes = (const uint8_t *)values, .datatype = 16, .slope = 1};
}

/* ---- statistics --------------------------------------------------------------------------- */

typedef struct {
    volume_statistics s;
    int64_t finite;
} counting;

static void count_values(counting *c, const double *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        const double v = values[i];
        if (!isfinite(v)) {
            c->s.nonfinite++;
            continue;
        }
        if (c->finite++ == 0)
            c->s.min = c->s.max = v;
        c->s.min = v < c->s.min ? v : c->s.min;
        c->s.max = v > c->s.max ? v : c->s.max;
        c->s.sum += v;
    }
}

static volume_statistics finish_counting(const counting *c)
{
    volume_statistics s = c->s;
    s.mean = c->finite ? s.sum / (double)c->finite : 0;
    return s;
}

ts_status volume_read_statistics(const char *path, volume_header *header,
                                 volume_statistics *statistics, ts_error *error)
{
    nifti_file f;
    double values[BLOCK];
    counting c = {0};
    const ts_status status = nifti_open(path, true, &f, error);
    if (status != TS_OK)
        return status;
    for (int64_t at = 0; at < f.d.voxels; at += BLOCK) {
        const int64_t count = f.d.voxels - at < BLOCK ? f.d.voxels - at : BLOCK;
        decode_block(&f.voxels, at, 1, count, values);
        count_values(&c, values, count);
    }
    *header = f.d.header;
    *statistics = finish_counting(&c);
    nifti_close(&f);
    return TS_OK;
}

/* ---- volumes ------------------------------------------------------------------------------ */

ts_status volume_read_header(const char *path, volume_header *header, ts_error *error)
{
    nifti_file f;
    const ts_status status = nifti_open(path, false, &f, error);
    if (status != TS_OK)
        return status;
    *header = f.d.header;
    nifti_close(&f);
    return TS_OK;
}

/* Drops trailing axes of length 1; more than `most` axes are an error. */
static ts_status limit_axes(volume_header *h, int most, const char *path, ts_error *error)
{
    while (h->dimensions > 3 && h->shape[h->dimensions - 1] == 1)
        h->dimensions--;
    if (h->dimensions <= most)
        return TS_OK;
    return error_set(error, TS_BAD_INPUT,
                     "'%s' has %d axes of more than one voxel; at most %d are "
                     "read",
                     path, h->dimensions, most);
}

ts_status volume_open(const char *path, volume_file *out, ts_error *error)
{
    *out = (volume_file){.file = malloc(sizeof *out->file)};
    if (!out->file)
        return error_set(error, TS_MEMORY, "out of memory while opening '%s'", path);
    ts_status status = nifti_open(path, true, out->file, error);
    if (status == TS_OK)
        status = limit_axes(&out->file->d.header, 4, path, error);
    if (status != TS_OK) {
        volume_close(out);
        return status;
    }
    out->header = out->file->d.header;
    out->channels = out->header.shape[3];
    return TS_OK;
}

void volume_close(volume_file *f)
{
    if (f->file)
        nifti_close(f->file);
    free(f->file);
    *f = (volume_file){0};
}

volume_voxels volume_channel(const volume_file *f, int64_t channel)
{
    volume_voxels v = f->file->voxels;
    const int64_t *n = f->header.shape;
    v.bytes += (size_t)(channel * n[0] * n[1] * n[2]) * f->file->d.value_bytes;
    return v;
}

ts_status volume_read(const char *path, volume *out, ts_error *error)
{
    volume_file f;
    *out = (volume){0};
    ts_status status = volume_open(path, &f, error);
    if (status != TS_OK)
        return status;
    const int64_t voxels = f.file->d.voxels;
    out->data = memory_take((size_t)voxels, sizeof(float), path, error);
    if (!out->data)
        status = TS_MEMORY;
    else {
        volume_values(&f.file->voxels, 0, 1, voxels, out->data);
        out->header = f.header;
        out->channels = f.channels;
    }
    volume_close(&f);
    return status;
}

void volume_free(volume *v)
{
    free(v->data);
    *v = (volume){0};
}

/* ---- labels ------------------------------------------------------------------------------- */

static ts_status round_label(double value, int64_t place, const volume_header *h, const char *path,
                             uint8_t *label, ts_error *error)
{
    const double rounded = round(value);
    if (rounded >= 0 && rounded <= 255 && fabs(value - rounded) <= 1e-3) {
        *label = (uint8_t)rounded;
        return TS_OK;
    }
    return error_set(
        error, TS_BAD_INPUT,
        "'%s' is not a label file: voxel (%lld, %lld, %lld) holds %g, and labels are whole "
        "numbers from 0 to 255",
        path, (long long)(place % h->shape[0]), (long long)(place / h->shape[0] % h->shape[1]),
        (long long)(place / h->shape[0] / h->shape[1]), value);
}

/* labels: all 0. */
static ts_status decode_labels(const nifti_file *f, const char *path, uint8_t *labels,
                               ts_error *error)
{
    double values[BLOCK] = {0};
    for (int64_t at = 0; at < f->d.voxels; at += BLOCK) {
        const int64_t count = f->d.voxels - at < BLOCK ? f->d.voxels - at : BLOCK;
        if (volume_values_are_zero(&f->voxels, at, count))
            continue;
        decode_block(&f->voxels, at, 1, count, values);
        for (int64_t i = 0; i < count; i++) {
            const double v = values[i];
            if (v >= 0 && v <= UINT8_MAX && v == (uint8_t)v) {
                labels[at + i] = (uint8_t)v;
                continue;
            }
            const ts_status status =
                round_label(v, at + i, &f->d.header, path, labels + at + i, error);
            if (status != TS_OK)
                return status;
        }
    }
    return TS_OK;
}

ts_status volume_read_labels(const char *path, volume_header *header, uint8_t **labels,
                             ts_error *error)
{
    nifti_file f;
    uint8_t *read = NULL;
    *labels = NULL;
    ts_status status = nifti_open(path, true, &f, error);
    if (status != TS_OK)
        return status;
    status = limit_axes(&f.d.header, 3, path, error);
    if (status != TS_OK)
        goto end;
    read = memory_allocate((size_t)f.d.voxels, 1, path, error);
    status = read ? decode_labels(&f, path, read, error) : TS_MEMORY;
    if (status != TS_OK)
        goto end;
    *header = f.d.header;
    *labels = read;
    read = NULL;
end:
    free(read);
    nifti_close(&f);
    return status;
}
