/* Preprocessing of a case (docs/method.md, "Preprocessing"): oriented to LPS by flips and
 * permutations, cropped to the box of non-zero voxels of the modalities used, resampled to the
 * plan's spacing, z-scored.
 *
 * The brain mask of a modality is its own non-zero voxels, so that the result does not depend on
 * which other modalities the case has: what the student saw in training is what it gets in a clinic
 * that acquired nothing else. Models imported from nnU-Net use its mask (BRAIN_UNION). Where a case
 * is resampled, its mask is resampled like labels (linear, at least half), because the spline rings
 * over the brain's edge; mean and deviation are taken after resampling. nnU-Net 2 normalises first:
 * the two differ only in the outermost voxels. */
#include "dataset/block.h"
#include "dataset/crop.h"
#include "dataset/load.h"
#include "voxels/voxels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- geometry --------------------------------------------------------------------------- */

/* The union of the modalities' boxes, in oriented voxels, and the shape at the plan's spacing. */
static ts_status plan_geometry(const case_data *d, double spacing_mm, const char *name,
                               preprocessed_geometry *g, ts_error *error)
{
    int64_t begin[3], end[3];
    g->header = d->header;
    g->orientation = volume_orientation_lps(d->header.affine);
    for (int i = 0; i < 3; i++) {
        begin[i] = d->header.shape[i];
        end[i] = 0;
        for (int m = 0; m < MODALITIES; m++) {
            if (!d->image[m].bytes)
                continue;
            begin[i] = d->facts[m].begin[i] < begin[i] ? d->facts[m].begin[i] : begin[i];
            end[i] = d->facts[m].end[i] > end[i] ? d->facts[m].end[i] : end[i];
        }
    }
    size_t voxels = 1;
    for (int i = 0; i < 3; i++) {
        const int axis = g->orientation.axis[i];
        const double zoom = d->header.zooms[axis];
        g->crop_begin[i] = g->orientation.flip[i] ? d->header.shape[axis] - end[axis] : begin[axis];
        g->crop_shape[i] = end[axis] - begin[axis];
        if (!(zoom > 0) || !isfinite(zoom))
            return error_set(error, TS_BAD_INPUT, "'%s' has voxels of %g mm: its header is damaged",
                             name, zoom);
        /* 1e-3: what float32 headers lose, and no more than 0.2 voxels along BraTS's 240 */
        const double extent = (double)g->crop_shape[i] * zoom / spacing_mm;
        g->shape[i] = fabs(zoom - spacing_mm) <= 1e-3 * spacing_mm ? g->crop_shape[i]
                      : extent < 1                                 ? 1
                      : extent < INT32_MAX                         ? llround(extent)
                                                                   : INT32_MAX;
        if (!size_multiply(voxels, (size_t)g->shape[i], &voxels) || voxels > INT32_MAX)
            return error_set(error, TS_BAD_INPUT,
                             "'%s' would have %lld or more voxels along an axis at %g mm: too many",
                             name, (long long)g->shape[i], spacing_mm);
    }
    return TS_OK;
}

static bool is_resampled(const preprocessed_geometry *g)
{
    return memcmp(g->shape, g->crop_shape, sizeof g->shape) != 0;
}

/* ---- nnU-Net's mask ---------------------------------------------------------------------- */

/* Where any modality is not 0, and the holes within; mask at crop_shape. */
static ts_status find_brain(const preprocessed_geometry *g, const case_data *d, uint8_t *mask,
                            ts_error *error)
{
    const crop_walk w = walk_crop(g);
    const int64_t *n = g->crop_shape;
    int32_t *outside = memory_take((size_t)voxel_count(n), sizeof *outside, "a brain mask", error);
    float *row = outside ? memory_take((size_t)n[0], sizeof *row, "a row of voxels", error) : NULL;
    for (int64_t line = 0; row && line < n[1] * n[2]; line++) {
        const int64_t first = w.start + line / n[1] * w.step[2] + line % n[1] * w.step[1];
        uint8_t *to = mask + line * n[0];
        for (int64_t x = 0; x < n[0]; x++)
            to[x] = 0;
        for (int m = 0; m < MODALITIES; m++) {
            if (!d->image[m].bytes)
                continue;
            volume_values(&d->image[m], first, w.step[0], n[0], row);
            for (int64_t x = 0; x < n[0]; x++)
                to[x] |= row[x] != 0;
        }
    }
    if (row)
        holes_fill(mask, n, outside);
    free(outside);
    free(row);
    return row ? TS_OK : TS_MEMORY;
}

/* ---- images ----------------------------------------------------------------------------- */

/* One modality on its way; planes are summed one by one, so that threads do not change the sum. */
typedef struct {
    const preprocessed_geometry *geometry;
    const volume_voxels *file;
    float *out;            /* at `shape` */
    const int64_t *shape;  /* crop_shape, or the final one */
    uint8_t *mask;         /* at `shape`; NULL: the non-zero voxels of out */
    double *sums, *counts; /* [shape[2]] */
    double mean, scale;
} image_job;

static void crop_plane(void *context, int64_t z, int thread)
{
    (void)thread;
    const image_job *job = context;
    const preprocessed_geometry *g = job->geometry;
    const crop_walk w = walk_crop(g);
    const int64_t nx = g->crop_shape[0], ny = g->crop_shape[1];
    for (int64_t y = 0; y < ny; y++) {
        const size_t row = (size_t)((z * ny + y) * nx);
        volume_values(job->file, w.start + z * w.step[2] + y * w.step[1], w.step[0], nx,
                      job->out + row);
        for (int64_t x = 0; job->mask && x < nx; x++)
            job->mask[row + (size_t)x] = job->out[row + (size_t)x] != 0;
    }
}

/* Sums over the voxels inside of (value - mean)^power, in LANES sums side by side, which the
 * compiler takes as vectors: in a fixed order. */
enum { LANES = 8 };

static inline double power_sum(const float *values, const uint8_t *mask, size_t count, double mean,
                               int power, int64_t *inside)
{
    double sums[LANES] = {0}, sum = 0;
    int32_t counts[LANES] = {0};
    for (size_t i = 0; i < count; i += LANES) {
        const size_t lanes = count - i < LANES ? count - i : LANES;
        for (size_t k = 0; k < lanes; k++) {
            const bool in = mask ? mask[i + k] != 0 : values[i + k] != 0;
            const double difference = in ? (double)values[i + k] - mean : 0;
            sums[k] += power == 2 ? difference * difference : difference;
            counts[k] += in;
        }
    }
    *inside = 0;
    for (int k = 0; k < LANES; k++) {
        sum += sums[k];
        *inside += counts[k];
    }
    return sum;
}

static void sum_plane(void *context, int64_t z, int thread)
{
    (void)thread;
    const image_job *job = context;
    const size_t plane = (size_t)(job->shape[0] * job->shape[1]), at = (size_t)z * plane;
    int64_t inside;
    job->sums[z] =
        power_sum(job->out + at, job->mask ? job->mask + at : NULL, plane, 0, 1, &inside);
    job->counts[z] = (double)inside;
}

static void sum_squares_plane(void *context, int64_t z, int thread)
{
    (void)thread;
    const image_job *job = context;
    const size_t plane = (size_t)(job->shape[0] * job->shape[1]), at = (size_t)z * plane;
    int64_t inside;
    job->sums[z] =
        power_sum(job->out + at, job->mask ? job->mask + at : NULL, plane, job->mean, 2, &inside);
}

static void normalise_plane(void *context, int64_t z, int thread)
{
    (void)thread;
    const image_job *job = context;
    const size_t plane = (size_t)(job->shape[0] * job->shape[1]), at = (size_t)z * plane;
    for (size_t i = at; i < at + plane; i++) {
        const bool inside = job->mask ? job->mask[i] : job->out[i] != 0;
        job->out[i] = inside ? (float)((job->out[i] - job->mean) * job->scale) : 0;
    }
}

static double add_up(const double *values, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += values[i];
    return sum;
}

/* (x - mean) / deviation over the mask, 0 outside. A constant image is refused before; where the
 * mask cuts out equal values all the same, their deviation is what rounding leaves of the mean,
 * which is far below that of float32 values that differ (6e-8 of them, in one voxel of 10^8:
 * 6e-12). */
static void normalise(image_job *job, pool *p)
{
    const int64_t nz = job->shape[2];
    pool_run(p, sum_plane, job, nz);
    const double count = fmax(add_up(job->counts, nz), 1);
    job->mean = add_up(job->sums, nz) / count;
    pool_run(p, sum_squares_plane, job, nz);
    const double deviation = sqrt(add_up(job->sums, nz) / count);
    job->scale = deviation > 1e-12 * fabs(job->mean) ? 1 / deviation : 1;
    pool_run(p, normalise_plane, job, nz);
}

/* Scratch that the modalities of a resampled case share, at the crop's shape and the final one.
 * With BRAIN_UNION the masks are filled once, and `mask` is there without resampling too. */
typedef struct {
    brain_mask kind;
    float *crop;
    uint8_t *crop_mask, *mask;
    double *sums; /* [2][shape[2] or crop_shape[2]] */
} scratch;

static ts_status scratch_allocate(const preprocessed_geometry *g, scratch *s, ts_error *error)
{
    const size_t crop = (size_t)voxel_count(g->crop_shape), final = (size_t)voxel_count(g->shape);
    if (is_resampled(g) &&
        (!(s->crop = memory_take(crop, sizeof *s->crop, "a cropped image", error)) ||
         !(s->crop_mask = memory_allocate(crop, 1, "a brain mask", error))))
        return TS_MEMORY;
    if ((is_resampled(g) || s->kind == BRAIN_UNION) &&
        !(s->mask = memory_allocate(final, 1, "a brain mask", error)))
        return TS_MEMORY;
    s->sums = memory_allocate((size_t)g->shape[2], 2 * sizeof *s->sums, "sums of planes", error);
    return s->sums ? TS_OK : TS_MEMORY;
}

/* The mask that all modalities share with BRAIN_UNION. */
static ts_status fill_masks(const preprocessed_geometry *g, const case_data *d, const scratch *s,
                            pool *p, ts_error *error)
{
    if (s->kind == BRAIN_OWN)
        return TS_OK;
    if (!is_resampled(g))
        return find_brain(g, d, s->mask, error);
    const ts_status status = find_brain(g, d, s->crop_mask, error);
    return status != TS_OK
               ? status
               : volume_resample_labels(s->crop_mask, g->crop_shape, s->mask, g->shape, p, error);
}

static void scratch_free(scratch *s)
{
    free(s->crop);
    free(s->crop_mask);
    free(s->mask);
    free(s->sums);
}

static ts_status preprocess_image(const preprocessed_geometry *g, const volume_voxels *file,
                                  float *out, const scratch *s, pool *p, ts_error *error)
{
    image_job job = {
        .geometry = g,
        .file = file,
        .out = is_resampled(g) ? s->crop : out,
        .mask = s->kind == BRAIN_OWN ? s->crop_mask : NULL, /* to be filled */
        .shape = g->shape,
        .sums = s->sums,
        .counts = s->sums + g->shape[2],
    };
    pool_run(p, crop_plane, &job, g->crop_shape[2]);
    if (is_resampled(g)) {
        ts_status status = volume_resample_cubic(s->crop, g->crop_shape, out, g->shape, p, error);
        if (status == TS_OK && s->kind == BRAIN_OWN)
            status =
                volume_resample_labels(s->crop_mask, g->crop_shape, s->mask, g->shape, p, error);
        if (status != TS_OK)
            return status;
        job.out = out;
    }
    job.mask = s->mask;
    normalise(&job, p);
    return TS_OK;
}

/* ---- labels ----------------------------------------------------------------------------- */

/* The truth oriented, cropped and resampled, in memory of its own. */
static ts_status preprocess_labels(const preprocessed_geometry *g, const uint8_t *file, pool *p,
                                   uint8_t **out, ts_error *error)
{
    const crop_walk w = walk_crop(g);
    const int64_t *n = g->crop_shape;
    uint8_t *crop = memory_allocate((size_t)voxel_count(n), 1, "cropped labels", error);
    *out = crop;
    if (!crop)
        return TS_MEMORY;
    for (int64_t z = 0; z < n[2]; z++)
        for (int64_t y = 0; y < n[1]; y++) {
            const uint8_t *from = file + w.start + z * w.step[2] + y * w.step[1];
            for (int64_t x = 0; x < n[0]; x++)
                crop[(z * n[1] + y) * n[0] + x] = from[x * w.step[0]];
        }
    if (!is_resampled(g))
        return TS_OK;
    uint8_t *final = memory_allocate((size_t)voxel_count(g->shape), 1, "resampled labels", error);
    ts_status status =
        final ? volume_resample_labels(crop, n, final, g->shape, p, error) : TS_MEMORY;
    free(crop);
    *out = final;
    if (status != TS_OK) {
        free(final);
        *out = NULL;
    }
    return status;
}

/* ---- the whole -------------------------------------------------------------------------- */

/* What is done with findings: the first problem becomes the error; warnings and notes are printed,
 * or kept where `warnings` is not NULL. */
typedef struct {
    const char *id;
    string_list *warnings;
    ts_error *error;
    bool failed;
} preprocessing;

static void take_finding(void *context, finding kind, ts_status status, const char *sentence)
{
    preprocessing *at = context;
    if (kind == FINDING_PROBLEM && !at->failed) {
        at->failed = true;
        error_set(at->error, status, "%s", sentence);
    } else if (at->warnings) {
        string_list_add(at->warnings, sentence, NULL);
    } else if (kind == FINDING_WARNING) {
        warn("case %s: %s", at->id, sentence);
    } else if (kind == FINDING_NOTE) {
        note("case %s: %s", at->id, sentence);
    }
}

static ts_status preprocess_loaded(const case_data *d, const char *id, brain_mask mask, pool *p,
                                   uint8_t *labels, preprocessed *out, ts_error *error)
{
    const preprocessed_geometry *g = &out->geometry;
    block_layout layout;
    scratch s = {.kind = mask};
    ts_status status = block_plan(g->shape, labels, &layout, error);
    if (status != TS_OK)
        return status;
    out->heap = memory_take(layout.bytes, 1, "a preprocessed case", error);
    out->id = strdup(id);
    if (!out->heap || !out->id)
        return out->heap ? error_set(error, TS_MEMORY, "out of memory preprocessing case %s", id)
                         : TS_MEMORY;
    const size_t image = (size_t)voxel_count(g->shape) * sizeof(float), images = MODALITIES * image;
    memset((char *)out->heap + images, 0, layout.bytes - images);
    block_fill_labels(&layout, out->heap, g->shape, labels);
    block_bind(&layout, out->heap, out);
    status = scratch_allocate(g, &s, error);
    if (status == TS_OK)
        status = fill_masks(g, d, &s, p, error);
    for (int m = 0; status == TS_OK && m < MODALITIES; m++) {
        char *at = (char *)out->heap + (size_t)m * image;
        if (d->image[m].bytes)
            status = preprocess_image(g, &d->image[m], (float *)(void *)at, &s, p, error);
        else
            memset(at, 0, image);
    }
    scratch_free(&s);
    return status;
}

/* From the loaded case on. */
static ts_status preprocess_data(const case_data *d, const char *id, double spacing_mm,
                                 brain_mask mask, pool *p, preprocessed *out, ts_error *error)
{
    uint8_t *labels = NULL;
    *out = (preprocessed){.present = d->use};
    ts_status status = plan_geometry(d, spacing_mm, id, &out->geometry, error);
    if (status != TS_OK)
        return status;
    if (d->truth)
        status = preprocess_labels(&out->geometry, d->truth, p, &labels, error);
    if (status == TS_OK)
        status = preprocess_loaded(d, id, mask, p, labels, out, error);
    free(labels);
    if (status != TS_OK)
        preprocessed_free(out);
    return status;
}

ts_status preprocess_case(const dataset_case *c, modality_set use, double spacing_mm,
                          brain_mask mask, bool with_truth, pool *p, preprocessed *out,
                          ts_error *error)
{
    case_data d;
    preprocessing at = {.id = c->id, .error = error};
    *out = (preprocessed){0};
    ts_status status = case_load(c, use, with_truth, p, &d, take_finding, &at);
    if (status == TS_OK)
        status = preprocess_data(&d, c->id, spacing_mm, mask, p, out, error);
    case_data_free(&d);
    return status;
}

ts_status preprocess_images(const volume_header *grid, const float *const images[MODALITIES],
                            double spacing_mm, brain_mask mask, pool *p, preprocessed *out,
                            string_list *warnings, ts_error *error)
{
    static const char id[] = "the case";
    case_data d;
    preprocessing at = {.id = id, .warnings = warnings, .error = error};
    *out = (preprocessed){0};
    ts_status status = case_take(grid, images, p, &d, take_finding, &at);
    if (status == TS_OK)
        status = preprocess_data(&d, id, spacing_mm, mask, p, out, error);
    case_data_free(&d);
    return status;
}

void preprocessed_free(preprocessed *c)
{
    free(c->id);
    free(c->heap);
    file_map_close(&c->map);
    *c = (preprocessed){0};
}
