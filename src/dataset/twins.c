/* Thumbnails and their comparison. */
#include "dataset/twins.h"
#include "voxels/voxels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const double twins_alike = 0.985;

/* Adds a row of voxels, which lies in the cells y, z by the weight, to sums over cells. Each voxel
 * counts for the cells that it overlaps by its share in them, so that copies at other voxel sizes
 * agree. */
static void add_row(const float *row, int64_t count, double weight, float *cells)
{
    const double scale = (double)THUMBNAIL_SIDE / (double)count; /* cells a voxel */
    for (int64_t x = 0; x < count; x++) {
        const double low = (double)x * scale, high = low + scale;
        for (int c = (int)low; c < THUMBNAIL_SIDE && c < high; c++) {
            const double from = low > c ? low : c, to = high < c + 1 ? high : c + 1;
            cells[c] += (float)(weight * (to - from) * (double)row[x]);
        }
    }
}

/* The overlaps of voxel `at` of `count` with the cells along an axis: the first cell, and how much of
 * each; the number of cells. */
static int overlaps(int64_t at, int64_t count, int *first, double share[THUMBNAIL_SIDE])
{
    const double scale = (double)THUMBNAIL_SIDE / (double)count;
    const double low = (double)at * scale, high = low + scale;
    int cells = 0;
    *first = (int)low;
    for (int c = *first; c < THUMBNAIL_SIDE && c < high; c++)
        share[cells++] = (high < c + 1 ? high : c + 1) - (low > c ? low : c);
    return cells;
}

/* Mean 0 and length 1; false where all cells are the same. */
static bool normalise(float *cells)
{
    double sum = 0, squares = 0;
    for (int i = 0; i < THUMBNAIL_CELLS; i++)
        sum += cells[i];
    const double mean = sum / THUMBNAIL_CELLS;
    for (int i = 0; i < THUMBNAIL_CELLS; i++)
        squares += (cells[i] - mean) * (cells[i] - mean);
    const double length = sqrt(squares);
    for (int i = 0; i < THUMBNAIL_CELLS; i++)
        cells[i] = (float)((cells[i] - mean) / length);
    return isfinite(length) && length > 0;
}

/* The image's box in the file's axes. */
static void shrink(const volume_voxels *image, const image_facts *f, const int64_t shape[3],
                   float *row, float *cells)
{
    const int64_t nx = f->end[0] - f->begin[0];
    double in_z[THUMBNAIL_SIDE], in_y[THUMBNAIL_SIDE];
    int z0, y0;
    for (int64_t z = f->begin[2]; z < f->end[2]; z++) {
        const int nz = overlaps(z - f->begin[2], f->end[2] - f->begin[2], &z0, in_z);
        for (int64_t y = f->begin[1]; y < f->end[1]; y++) {
            const int ny = overlaps(y - f->begin[1], f->end[1] - f->begin[1], &y0, in_y);
            volume_values(image, (z * shape[1] + y) * shape[0] + f->begin[0], 1, nx, row);
            for (int i = 0; i < nz; i++)
                for (int k = 0; k < ny; k++)
                    add_row(row, nx, in_z[i] * in_y[k],
                            cells + ((z0 + i) * THUMBNAIL_SIDE + y0 + k) * THUMBNAIL_SIDE);
        }
    }
}

/* NULL where the image has nothing to compare, or memory is out. */
static float *make_one(const case_data *d, int m)
{
    static const int64_t side[3] = {THUMBNAIL_SIDE, THUMBNAIL_SIDE, THUMBNAIL_SIDE};
    const image_facts *f = &d->facts[m];
    if (!d->image[m].bytes || f->nonfinite || !f->nonzero || !f->varies)
        return NULL;
    float *cells = calloc(THUMBNAIL_CELLS, sizeof *cells);
    float *turned = malloc(THUMBNAIL_CELLS * sizeof *turned);
    float *row = malloc((size_t)d->header.shape[0] * sizeof *row);
    bool good = cells && turned && row;
    if (good) {
        shrink(&d->image[m], f, d->header.shape, row, cells);
        volume_reorient(cells, side, volume_orientation_lps(d->header.affine), sizeof *cells,
                        turned);
        good = normalise(turned);
    }
    free(cells);
    free(row);
    if (good)
        return turned;
    free(turned);
    return NULL;
}

void thumbnails_make(const case_data *d, thumbnails *out)
{
    for (int m = 0; m < MODALITIES; m++)
        out->image[m] = make_one(d, m);
}

void thumbnails_free(thumbnails *t)
{
    for (int m = 0; m < MODALITIES; m++)
        free(t->image[m]);
    *t = (thumbnails){0};
}

double thumbnails_compare(const thumbnails *a, const thumbnails *b, modality *which)
{
    static const modality order[] = {FLAIR, T1CE, T2, T1};
    for (size_t i = 0; i < COUNT_OF(order); i++) {
        const float *x = a->image[order[i]], *y = b->image[order[i]];
        if (!x || !y)
            continue;
        double sums[8] = {0};
        for (int v = 0; v < THUMBNAIL_CELLS; v += 8)
            for (int k = 0; k < 8; k++)
                sums[k] += (double)(x[v + k] * y[v + k]);
        *which = order[i];
        return sums[0] + sums[1] + sums[2] + sums[3] + sums[4] + sums[5] + sums[6] + sums[7];
    }
    return -1;
}

typedef struct {
    const thumbnails *cases;
    size_t count;
    twin_pair *found; /* [count]: of each case with the later one that it is most like */
} search;

static void compare_with_later(void *context, int64_t index, int thread)
{
    search *s = context;
    const size_t a = (size_t)index;
    (void)thread;
    for (size_t b = a + 1; b < s->count; b++) {
        modality which = FLAIR;
        const double correlation = thumbnails_compare(&s->cases[a], &s->cases[b], &which);
        if (correlation > s->found[a].correlation)
            s->found[a] = (twin_pair){a, b, correlation, which};
    }
}

ts_status twins_find(const thumbnails *cases, size_t count, pool *p, twin_pair **pairs,
                     size_t *pair_count, ts_error *error)
{
    search s = {cases, count,
                memory_allocate(count, sizeof *s.found, "the comparison of cases", error)};
    *pairs = s.found;
    *pair_count = 0;
    if (!s.found)
        return TS_MEMORY;
    for (size_t i = 0; i < count; i++)
        s.found[i].correlation = twins_alike;
    pool_run(p, compare_with_later, &s, (int64_t)count);
    for (size_t i = 0; i < count; i++)
        if (s.found[i].correlation > twins_alike)
            s.found[(*pair_count)++] = s.found[i];
    return TS_OK;
}
