/* One image at a time through the network, then the mask by rules. */
#include "brain/brain.h"

#include "voxels/voxels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct brain_finder {
    predictor *predictor;
};

/* The truth of made heads ends at the brain's hull, and masks of practice reach through the fluid
 * around it: 0.35 meets these best on the heads of docs/models.md. */
static const float least_probability = 0.35f;

/* From the vertex to the end of their stem, adults' brains have 120 to 150 mm, upright. */
static const double height_mm_max = 165, height_mm_usual = 150;

enum { AXIS_VOXELS_MIN = 8 };
static const double axis_mm_min = 60;

ts_status brain_open(const char *name, int threads, brain_finder **out, ts_error *error)
{
    model m;
    *out = NULL;
    ts_status status = model_open(name ? name : "brain", &m, error);
    if (status != TS_OK)
        return status;
    brain_finder *f = NULL;
    if (!model_any_image(&m))
        status =
            error_set(error, TS_BAD_INPUT,
                      "'%s' is not a model that finds brains (method any-image)", model_name(&m));
    else if (!(f = memory_allocate(1, sizeof *f, "the brain's model", error)))
        status = TS_MEMORY;
    else {
        plan settings = predict_defaults(&m);
        settings.threads = threads;
        settings.prediction = PREDICTION_WHOLE;
        settings.mirror = false;
        status = predictor_create(&m, 1, &settings, &f->predictor, error);
    }
    model_free(&m);
    if (status != TS_OK)
        free(f);
    else
        *out = f;
    return status;
}

void brain_close(brain_finder *f)
{
    if (f)
        predictor_destroy(f->predictor);
    free(f);
}

/* Few slices hold no head. */
static ts_status check_extent(const volume_header *grid, const char *name, ts_error *error)
{
    for (int k = 0; k < 3; k++) {
        const double mm = (double)grid->shape[k] * grid->zooms[k];
        if (grid->shape[k] < AXIS_VOXELS_MIN || mm < axis_mm_min)
            return error_set(error, TS_BAD_INPUT,
                             "'%s' has %lld slices along an axis, %.0f mm in all: a brain needs at "
                             "least %d and %.0f mm; leave localisers and single slices out",
                             name, (long long)grid->shape[k], mm, AXIS_VOXELS_MIN, axis_mm_min);
    }
    return TS_OK;
}

static int compare_floats(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Single bright voxels (vessels, metal, copies of the scanner's own) would set the scale: nothing
 * exceeds the value that 0.2 % of the voxels do, judged by every so many of them. */
static ts_status cut_peaks(const float *image, size_t voxels, float *out, ts_error *error)
{
    const size_t every = voxels / 200000 + 1, count = (voxels + every - 1) / every;
    float *some = memory_take(count, sizeof *some, "an image's values", error);
    if (!some)
        return TS_MEMORY;
    for (size_t i = 0; i < count; i++)
        some[i] = image[i * every];
    qsort(some, count, sizeof *some, compare_floats);
    const float most = some[(size_t)((double)(count - 1) * 0.998)];
    for (size_t i = 0; i < voxels; i++)
        out[i] = image[i] > most ? most : image[i];
    free(some);
    return TS_OK;
}

/* Slices low to high of an axis, both included; what lies beyond counts as outside of the field of
 * view. */
typedef struct {
    int axis;
    int64_t low, high;
} slab;

static void cut_to(const slab *s, const int64_t n[3], float *image)
{
    for (int64_t i = 0; i < voxel_count(n); i++) {
        const int64_t place[3] = {i % n[0], i / n[0] % n[1], i / (n[0] * n[1])};
        if (place[s->axis] < s->low || place[s->axis] > s->high)
            image[i] = 0;
    }
}

/* within NULL: all of the image. */
static ts_status look(brain_finder *f, const volume_header *grid, const float *image,
                      const char *name, const slab *within, float *probability, ts_error *error)
{
    const size_t voxels = (size_t)voxel_count(grid->shape);
    ts_status status = check_extent(grid, name, error);
    if (status != TS_OK)
        return status;
    for (size_t i = 0; i < voxels; i++)
        if (!isfinite(image[i]))
            return error_set(error, TS_BAD_INPUT,
                             "'%s' holds NaN or infinite voxels: mend the step that made it, or "
                             "set them to 0",
                             name);
    float *cut = memory_take(voxels, sizeof *cut, "an image", error);
    status = cut ? cut_peaks(image, voxels, cut, error) : TS_MEMORY;
    if (status == TS_OK && within)
        cut_to(within, grid->shape, cut);
    if (status == TS_OK)
        status = predict_one_image(f->predictor, grid, cut, name, probability, error);
    free(cut);
    return status;
}

ts_status brain_probability(brain_finder *f, const volume_header *grid, const float *image,
                            const char *name, float *probability, ts_error *error)
{
    return look(f, grid, image, name, NULL, probability, error);
}

static ts_status keep_largest(const int64_t shape[3], uint8_t *mask, ts_error *error)
{
    components c;
    ts_status status = components_find(mask, shape, &c, error);
    int32_t largest = 0;
    for (int32_t k = 1; status == TS_OK && k <= c.count; k++)
        if (!largest || c.all[k].voxels > c.all[largest].voxels)
            largest = k;
    if (status == TS_OK && !largest)
        status = error_set(error, TS_BAD_INPUT,
                           "no brain was found: is it the image of a head, and its header right? "
                           "Give a mask of your own");
    for (int64_t i = 0; status == TS_OK && i < voxel_count(shape); i++)
        mask[i] = c.numbers[i] == largest;
    components_free(&c);
    return status;
}

static ts_status fill(const int64_t shape[3], uint8_t *mask, ts_error *error)
{
    int32_t *scratch =
        memory_take((size_t)voxel_count(shape), sizeof *scratch, "a brain's mask", error);
    if (!scratch)
        return TS_MEMORY;
    holes_fill(mask, shape, scratch);
    free(scratch);
    return TS_OK;
}

ts_status brain_from_probability(const volume_header *grid, const float *probability, uint8_t *mask,
                                 ts_error *error)
{
    for (int64_t i = 0; i < voxel_count(grid->shape); i++)
        mask[i] = probability[i] >= least_probability;
    const ts_status status = keep_largest(grid->shape, mask, error);
    return status == TS_OK ? fill(grid->shape, mask, error) : status;
}

ts_status brain_if_stripped(const volume_header *grid, const float *image, uint8_t *mask,
                            bool *stripped, ts_error *error)
{
    int64_t nonzero = 0;
    double litres, share;
    for (int64_t i = 0; i < voxel_count(grid->shape); i++) {
        mask[i] = image[i] != 0;
        nonzero += mask[i];
    }
    *stripped = nonzero > 0 && !dataset_looks_unstripped(nonzero, grid, &litres, &share);
    return *stripped ? fill(grid->shape, mask, error) : TS_OK;
}

static double millilitres_of(const volume_header *grid, const uint8_t *mask)
{
    int64_t count = 0;
    for (int64_t i = 0; i < voxel_count(grid->shape); i++)
        count += mask[i];
    return (double)count * grid->zooms[0] * grid->zooms[1] * grid->zooms[2] / 1000;
}

/* The mean of the images' probabilities, one by one. */
static ts_status vote(brain_finder *f, const volume_header *grid, const float *const *images,
                      const char *const *names, size_t count, const slab *within, float *sum,
                      ts_error *error)
{
    const size_t voxels = (size_t)voxel_count(grid->shape);
    float *one =
        count > 1 ? memory_take(voxels, sizeof *one, "a brain's probabilities", error) : sum;
    ts_status status = one ? TS_OK : TS_MEMORY;
    for (size_t k = 0; k < count && status == TS_OK; k++) {
        float *out = k ? one : sum;
        status = look(f, grid, images[k], names[k], within, out, error);
        for (size_t i = 0; i < voxels && status == TS_OK && k; i++)
            sum[i] += one[i];
    }
    for (size_t i = 0; i < voxels && status == TS_OK; i++)
        sum[i] /= (float)count;
    if (one != sum)
        free(one);
    return status;
}

/* A mask that goes on into the neck, as in fields of view that reach to the shoulders, where the
 * network has too much before it that is no head: then the slab for a second look, from 30 mm above
 * the mask's top as far down as a brain can reach. */
static bool is_too_tall(const volume_header *grid, const uint8_t *mask, slab *near)
{
    const volume_orientation o = volume_orientation_lps(grid->affine);
    const int axis = o.axis[2];
    const double mm = grid->zooms[axis];
    const voxel_box b = box_of_set(mask, grid->shape);
    const int64_t above = (int64_t)(30 / mm), reach = (int64_t)(height_mm_usual / mm);
    if (box_is_empty(&b) || (double)(b.high[axis] - b.low[axis] + 1) * mm <= height_mm_max)
        return false;
    *near = o.flip[2] ? (slab){axis, b.low[axis] - above, b.low[axis] + reach}
                      : (slab){axis, b.high[axis] - reach, b.high[axis] + above};
    return true;
}

ts_status brain_find(brain_finder *f, const volume_header *grid, const float *const *images,
                     const char *const *names, size_t count, uint8_t *mask, float *probability,
                     brain_found *out, ts_error *error)
{
    const size_t voxels = (size_t)voxel_count(grid->shape);
    *out = (brain_found){0};
    for (size_t k = 0; k < count && !out->stripped; k++) {
        const ts_status status = brain_if_stripped(grid, images[k], mask, &out->stripped, error);
        if (status != TS_OK)
            return status;
        out->which = k;
    }
    float *sum = probability;
    ts_status status = TS_OK;
    if (!out->stripped) {
        if (!sum)
            sum = memory_take(voxels, sizeof *sum, "a brain's probabilities", error);
        slab near;
        status = sum ? vote(f, grid, images, names, count, NULL, sum, error) : TS_MEMORY;
        if (status == TS_OK)
            status = brain_from_probability(grid, sum, mask, error);
        if (status == TS_OK && is_too_tall(grid, mask, &near)) {
            status = vote(f, grid, images, names, count, &near, sum, error);
            if (status == TS_OK)
                status = brain_from_probability(grid, sum, mask, error);
        }
    }
    for (size_t i = 0; i < voxels && out->stripped && probability; i++)
        probability[i] = mask[i];
    if (sum != probability)
        free(sum);
    if (status == TS_OK)
        out->millilitres = millilitres_of(grid, mask);
    return status;
}

char *brain_volume_doubt(double millilitres)
{
    if (millilitres >= 700 && millilitres <= 2000)
        return NULL;
    return string_format("the brain that was found has %.0f ml, and adults' have 700 to 2000: look "
                         "at the mask; is it a person's whole head?",
                         millilitres);
}
