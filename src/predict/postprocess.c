/* The rules after the argmax (METHOD 3), off by default: small components of the tumour go (but
 * never all: where none is large enough the largest stays, so that a rule cannot hide a finding),
 * and an enhancing tumour too small to be one becomes necrosis (BraTS 2020's winners: below 200
 * voxels, because a false ET where the truth has none costs the whole score of that region). Before
 * them, on the network's grid, components that it is much less sure of than of the surest go. */
#include "predict/predict.h"

#include <math.h>
#include <stdlib.h>

enum { SEEN = 0x80, NCR = 1, ET = 3, LABEL_COUNT = 4 };

int64_t predict_threshold_voxels(double rule_mm3, double voxel_mm3)
{
    return voxel_mm3 > 0 ? (int64_t)ceil(rule_mm3 / voxel_mm3) : 0;
}

/* Puts the unseen tumour voxels around `at` into the queue. */
static int64_t reach(uint8_t *labels, const int64_t n[3], int64_t at, int32_t *queue, int64_t end)
{
    const int64_t x = at % n[0], y = at / n[0] % n[1], z = at / (n[0] * n[1]);
    for (int64_t k = z > 0 ? z - 1 : 0; k <= z + 1 && k < n[2]; k++)
        for (int64_t j = y > 0 ? y - 1 : 0; j <= y + 1 && j < n[1]; j++)
            for (int64_t i = x > 0 ? x - 1 : 0; i <= x + 1 && i < n[0]; i++) {
                const int64_t place = (k * n[1] + j) * n[0] + i;
                if (!labels[place] || labels[place] & SEEN)
                    continue;
                labels[place] |= SEEN;
                queue[end++] = (int32_t)place;
            }
    return end;
}

/* The tumour's places, component behind component; the first of each as ~place. */
typedef struct {
    int32_t *places;
    int64_t count;
} components;

/* Floods each component through a queue that holds just its voxels in the end. c->places:
 * free(). */
static ts_status find_components(uint8_t *labels, const int64_t n[3], components *c,
                                 ts_error *error)
{
    const int64_t voxels = n[0] * n[1] * n[2];
    *c = (components){0};
    if (voxels > INT32_MAX)
        return error_set(error, TS_BAD_INPUT, "a volume of %lld voxels is too large",
                         (long long)voxels);
    for (int64_t i = 0; i < voxels; i++)
        c->count += labels[i] != 0;
    c->places = memory_allocate((size_t)c->count, sizeof *c->places, "components", error);
    if (!c->places)
        return TS_MEMORY;
    int64_t begin = 0, end;
    for (int64_t seed = 0; seed < voxels; seed++, begin = end) {
        end = begin;
        if (!labels[seed] || labels[seed] & SEEN)
            continue;
        labels[seed] |= SEEN;
        c->places[end++] = (int32_t)seed;
        for (int64_t at = begin; at < end; at++)
            end = reach(labels, n, c->places[at], c->places, end);
        c->places[begin] = ~c->places[begin];
    }
    for (int64_t i = 0; i < voxels; i++)
        labels[i] &= (uint8_t)~SEEN;
    return TS_OK;
}

static int64_t component_end(const components *c, int64_t begin)
{
    int64_t end = begin + 1;
    while (end < c->count && c->places[end] >= 0)
        end++;
    return end;
}

static int64_t place_of(const components *c, int64_t i)
{
    return c->places[i] < 0 ? ~c->places[i] : c->places[i];
}

/* Where the largest begins (of equals the first); *voxels: its size. */
static int64_t largest_component(const components *c, int64_t *voxels)
{
    int64_t largest = 0;
    *voxels = 0;
    for (int64_t begin = 0, end; begin < c->count; begin = end) {
        end = component_end(c, begin);
        if (end - begin > *voxels) {
            *voxels = end - begin;
            largest = begin;
        }
    }
    return largest;
}

static ts_status remove_small(uint8_t *labels, const int64_t n[3], int64_t least, ts_error *error)
{
    components c;
    int64_t voxels;
    const ts_status status = find_components(labels, n, &c, error);
    if (status != TS_OK)
        return status;
    const int64_t largest = largest_component(&c, &voxels);
    for (int64_t begin = 0, end; begin < c.count; begin = end) {
        end = component_end(&c, begin);
        for (int64_t i = begin; end - begin < least && begin != largest && i < end; i++)
            labels[place_of(&c, i)] = 0;
    }
    free(c.places);
    return TS_OK;
}

/* Mean probability of tumour over a component. */
static double sureness(const components *c, int64_t begin, int64_t end, const float *background)
{
    double sum = 0;
    for (int64_t i = begin; i < end; i++)
        sum += 1 - (double)background[place_of(c, i)];
    return sum / (double)(end - begin);
}

static void drop_unsure(const components *c, float *probabilities, size_t voxels, double share)
{
    int64_t largest;
    double surest = 0;
    largest_component(c, &largest);
    for (int64_t begin = 0, end; begin < c->count; begin = end) {
        end = component_end(c, begin);
        if ((end - begin) * 10 >= largest)
            surest = fmax(surest, sureness(c, begin, end, probabilities));
    }
    for (int64_t begin = 0, end; begin < c->count; begin = end) {
        end = component_end(c, begin);
        if (sureness(c, begin, end, probabilities) >= share * surest)
            continue;
        for (int64_t i = begin; i < end; i++)
            for (size_t k = 0; k < LABEL_COUNT; k++)
                probabilities[k * voxels + (size_t)place_of(c, i)] = k == 0;
    }
}

ts_status predict_drop_unsure(float *probabilities, const int64_t shape[3], double share,
                              ts_error *error)
{
    const size_t voxels = (size_t)(shape[0] * shape[1] * shape[2]);
    components c;
    uint8_t *tumour = memory_allocate(voxels, 1, "the tumour", error);
    if (!tumour)
        return TS_MEMORY;
    for (size_t i = 0; i < voxels; i++)
        for (size_t k = 1; k < LABEL_COUNT; k++)
            tumour[i] |= probabilities[k * voxels + i] > probabilities[i];
    const ts_status status = find_components(tumour, shape, &c, error);
    if (status == TS_OK)
        drop_unsure(&c, probabilities, voxels, share);
    free(c.places);
    free(tumour);
    return status;
}

ts_status predict_postprocess(uint8_t *labels, const int64_t shape[3], int64_t et_threshold_voxels,
                              int64_t component_voxels, ts_error *error)
{
    const int64_t voxels = shape[0] * shape[1] * shape[2];
    int64_t enhancing = 0;
    if (component_voxels > 0) {
        const ts_status status = remove_small(labels, shape, component_voxels, error);
        if (status != TS_OK)
            return status;
    }
    for (int64_t i = 0; i < voxels; i++)
        enhancing += labels[i] == ET;
    for (int64_t i = 0; enhancing < et_threshold_voxels && i < voxels; i++)
        labels[i] = labels[i] == ET ? NCR : labels[i];
    return TS_OK;
}
