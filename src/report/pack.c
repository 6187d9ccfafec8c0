/* Volumes small enough for a page: 64 shades, each voxel as its difference from the mean of three
 * neighbours, deflated, in base64. Two modalities at 2 mm take about 0.3 MB of text a case. */
#include "report/parts.h"
#include "volume/volume.h"
#include "voxels/voxels.h"

#include <libdeflate.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SHADES = 64, LEVEL = 9 };

/* Everything turned to LPS and cut to the box around the head. */
typedef struct {
    int64_t shape[3];
    double zooms[3];
    float *images[MODALITIES];
    uint8_t *labels[2]; /* prediction, truth */
} head;

static void head_free(head *h)
{
    for (int m = 0; m < MODALITIES; m++)
        free(h->images[m]);
    free(h->labels[0]);
    free(h->labels[1]);
}

/* ---- the head ------------------------------------------------------------------------------- */

/* Turned to LPS; NULL for NULL. */
static ts_status turn(const void *in, const volume_header *header, size_t bytes, void **out,
                      ts_error *error)
{
    const volume_orientation o = volume_orientation_lps(header->affine);
    if (!in)
        return TS_OK;
    *out = memory_allocate((size_t)voxel_count(header->shape), bytes, "a case's slices", error);
    if (!*out)
        return TS_MEMORY;
    volume_reorient(in, header->shape, o, bytes, *out);
    return TS_OK;
}

static bool holds_any(const head *h, size_t voxel)
{
    bool any = (h->labels[0] && h->labels[0][voxel]) || (h->labels[1] && h->labels[1][voxel]);
    for (int m = 0; m < MODALITIES && !any; m++)
        any = h->images[m] && h->images[m][voxel] != 0;
    return any;
}

/* Of the head; the whole volume where all is 0. */
static voxel_box find_box(const head *h)
{
    voxel_box b = box_empty();
    for (int64_t z = 0, i = 0; z < h->shape[2]; z++)
        for (int64_t y = 0; y < h->shape[1]; y++)
            for (int64_t x = 0; x < h->shape[0]; x++, i++)
                if (holds_any(h, (size_t)i))
                    box_add(&b, x, y, z);
    if (box_is_empty(&b))
        b = (voxel_box){{0, 0, 0}, {h->shape[0] - 1, h->shape[1] - 1, h->shape[2] - 1}};
    return b;
}

/* Moves a box to the front of its own array: a row never lies before where it goes. */
static void cut(void *voxels, const int64_t shape[3], const voxel_box *b, size_t bytes)
{
    uint8_t *to = voxels;
    int64_t n[3];
    box_shape(b, n);
    for (int64_t row = 0; voxels && row < n[1] * n[2]; row++) {
        const int64_t from = box_row(b, shape, row % n[1], row / n[1]);
        memmove(to, (uint8_t *)voxels + (size_t)from * bytes, (size_t)n[0] * bytes);
        to += (size_t)n[0] * bytes;
    }
}

static ts_status head_make(const picture_source *s, head *h, ts_error *error)
{
    const volume_orientation o = volume_orientation_lps(s->header->affine);
    const uint8_t *const labels[2] = {s->prediction, s->truth};
    *h = (head){0};
    for (int k = 0; k < 3; k++) {
        h->shape[k] = s->header->shape[o.axis[k]];
        h->zooms[k] = s->header->zooms[o.axis[k]] > 0 ? s->header->zooms[o.axis[k]] : 1;
    }
    for (int m = 0; m < MODALITIES; m++)
        if (turn(s->images[m], s->header, sizeof(float), (void **)&h->images[m], error) != TS_OK)
            return TS_MEMORY;
    for (int i = 0; i < 2; i++)
        if (turn(labels[i], s->header, 1, (void **)&h->labels[i], error) != TS_OK)
            return TS_MEMORY;
    const voxel_box b = find_box(h);
    for (int m = 0; m < MODALITIES; m++)
        cut(h->images[m], h->shape, &b, sizeof(float));
    for (int i = 0; i < 2; i++)
        cut(h->labels[i], h->shape, &b, 1);
    box_shape(&b, h->shape);
    return TS_OK;
}

/* ---- bytes ---------------------------------------------------------------------------------- */

static void append_base64(text *t, const uint8_t *bytes, size_t count)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < count; i += 3) {
        const uint32_t b1 = i + 1 < count ? bytes[i + 1] : 0, b2 = i + 2 < count ? bytes[i + 2] : 0;
        const uint32_t word = (uint32_t)bytes[i] << 16 | b1 << 8 | b2;
        const char four[4] = {digits[word >> 18], digits[word >> 12 & 63],
                              i + 1 < count ? digits[word >> 6 & 63] : '=',
                              i + 2 < count ? digits[word & 63] : '='};
        text_append_bytes(t, four, 4);
    }
}

static ts_status deflate_text(const uint8_t *bytes, size_t count, text *out, ts_error *error)
{
    struct libdeflate_compressor *c = libdeflate_alloc_compressor(LEVEL);
    const size_t most = c ? libdeflate_zlib_compress_bound(c, count) : 0;
    uint8_t *packed = c ? malloc(most) : NULL;
    if (packed)
        append_base64(out, packed, libdeflate_zlib_compress(c, bytes, count, packed, most));
    free(packed);
    libdeflate_free_compressor(c);
    return packed && !out->failed ? TS_OK : error_set(error, TS_MEMORY, "out of memory for slices");
}

/* From the last voxel to the first, so that what a difference is taken from is still there. */
static void take_differences(uint8_t *v, const int64_t shape[3])
{
    const int64_t nx = shape[0], ny = shape[1], plane = nx * ny;
    for (int64_t i = plane * shape[2] - 1; i >= 0; i--) {
        const int left = i % nx ? v[i - 1] : 0, above = i / nx % ny ? v[i - nx] : 0;
        const int before = i >= plane ? v[i - plane] : 0;
        v[i] = (uint8_t)(v[i] - (left + above + before) / 3);
    }
}

/* 0 stays 0; the 1st to the 99.5th percentile of the others become shades 1 to 63. */
static ts_status shade(const float *image, size_t count, uint8_t *out, ts_error *error)
{
    float *sorted = memory_allocate(count, sizeof *sorted, "an image's shades", error);
    size_t n = 0;
    if (!sorted)
        return TS_MEMORY;
    for (size_t i = 0; i < count; i++)
        if (image[i] != 0 && isfinite(image[i]))
            sorted[n++] = image[i];
    sort_floats(sorted, n);
    const float black = n ? sorted[n / 100] : 0, white = n ? sorted[n - 1 - n / 200] : 1;
    const float scale = white > black ? (float)(SHADES - 2) / (white - black) : 0;
    for (size_t i = 0; i < count; i++) {
        const float grey = 1 + (image[i] - black) * scale;
        out[i] = image[i] == 0 || !isfinite(image[i]) ? 0
                 : grey < 1                           ? 1
                 : grey > SHADES - 1                  ? SHADES - 1
                                                      : (uint8_t)lrintf(grey);
    }
    free(sorted);
    return TS_OK;
}

/* ---- packing -------------------------------------------------------------------------------- */

static ts_status add_text(json_t *out, const char *key, uint8_t *bytes, size_t count,
                          size_t *characters, ts_error *error)
{
    text t = {0};
    ts_status status = deflate_text(bytes, count, &t, error);
    if (status == TS_OK && json_object_set_new(out, key, json_string(t.data)) != 0)
        status = error_set(error, TS_MEMORY, "out of memory for slices");
    *characters += t.length;
    text_free(&t);
    return status;
}

static ts_status add_images(const head *h, const int64_t shape[3], json_t *out, size_t *characters,
                            pool *p, ts_error *error)
{
    const size_t count = (size_t)voxel_count(shape);
    float *coarse = memory_allocate(count, sizeof *coarse, "an image's slices", error);
    uint8_t *shades = memory_allocate(count, 1, "an image's slices", error);
    ts_status status = coarse && shades ? TS_OK : TS_MEMORY;
    if (status != TS_OK)
        goto done;
    for (int m = 0; m < MODALITIES; m++) {
        if (!h->images[m])
            continue;
        status = volume_resample_linear(h->images[m], h->shape, coarse, shape, p, error);
        if (status != TS_OK)
            goto done;
        status = shade(coarse, count, shades, error);
        if (status != TS_OK)
            goto done;
        take_differences(shades, shape);
        status = add_text(out, modality_names[m], shades, count, characters, error);
        if (status != TS_OK)
            goto done;
    }
done:
    free(coarse);
    free(shades);
    return status;
}

/* Prediction in the low four bits of a byte, truth in the high ones. */
static ts_status add_labels(const head *h, const int64_t shape[3], json_t *out, size_t *characters,
                            pool *p, ts_error *error)
{
    const size_t count = (size_t)voxel_count(shape);
    uint8_t *coarse = memory_allocate(count, 1, "the labels' slices", error);
    uint8_t *both = memory_allocate(count, 1, "the labels' slices", error);
    ts_status status = coarse && both ? TS_OK : TS_MEMORY;
    if (status != TS_OK)
        goto done;
    for (int i = 0; i < 2; i++) {
        if (!h->labels[i])
            continue;
        status = volume_resample_labels(h->labels[i], h->shape, coarse, shape, p, error);
        if (status != TS_OK)
            goto done;
        for (size_t v = 0; v < count; v++)
            both[v] |= (uint8_t)(coarse[v] << (4 * i));
    }
    status = add_text(out, "labels", both, count, characters, error);
done:
    free(coarse);
    free(both);
    return status;
}

/* At a voxel size of at least so much along every axis. *out: json_decref it, also after an
 * error. */
static ts_status pack_at(const head *h, double size_mm, json_t **out, size_t *characters, pool *p,
                         ts_error *error)
{
    int64_t shape[3];
    double zooms[3];
    for (int k = 0; k < 3; k++) {
        const double length = (double)h->shape[k] * h->zooms[k];
        shape[k] = h->zooms[k] >= size_mm ? h->shape[k] : (int64_t)fmax(1, round(length / size_mm));
        zooms[k] = length / (double)shape[k];
    }
    *characters = 0;
    json_t *images = json_object();
    *out = json_pack("{s:[I,I,I], s:[f,f,f], s:o, s:[b,b]}", "shape", (json_int_t)shape[0],
                     (json_int_t)shape[1], (json_int_t)shape[2], "zooms", zooms[0], zooms[1],
                     zooms[2], "images", images, "has", h->labels[0] != NULL, h->labels[1] != NULL);
    if (!*out)
        return error_set(error, TS_MEMORY, "out of memory for slices");
    const ts_status status = add_images(h, shape, images, characters, p, error);
    return status != TS_OK ? status : add_labels(h, shape, *out, characters, p, error);
}

/* The voxel size at which all images take the limit, if each voxel takes so many characters. */
static double guess_size(const head *h, double characters, size_t text_limit)
{
    double mm3 = 1;
    int images = 0;
    for (int k = 0; k < 3; k++)
        mm3 *= (double)h->shape[k] * h->zooms[k];
    for (int m = 0; m < MODALITIES; m++)
        images += h->images[m] != NULL;
    return fmax(1, cbrt(mm3 * images * characters / (double)text_limit));
}

ts_status report_pack(const picture_source *s, size_t text_limit, pool *p, json_t **out,
                      ts_error *error)
{
    head h;
    size_t characters = 0;
    *out = NULL;
    ts_status status = head_make(s, &h, error);
    if (status != TS_OK)
        goto done;
    /* 0.35 characters a voxel is about what an image takes; the attempts after the first know
     * better */
    for (double size_mm = guess_size(&h, 0.35, text_limit); size_mm < 64;) {
        status = pack_at(&h, size_mm, out, &characters, p, error);
        if (status == TS_OK && characters <= text_limit)
            goto done;
        json_decref(*out);
        *out = NULL;
        if (status != TS_OK)
            goto done;
        size_mm *= fmax(1.05, cbrt((double)characters / (double)text_limit) * 1.02);
    }
    status = error_set(error, TS_BAD_INPUT, "there is no room for a case's slices");
done:
    head_free(&h);
    return status;
}
