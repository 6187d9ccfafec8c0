/* The rules after the argmax (METHOD 3), off by default: small components of the tumour go (but
 * never all: where none is large enough the largest stays, so that a rule cannot hide a finding),
 * and an enhancing tumour too small to be one becomes necrosis (BraTS 2020's winners: below 200
 * voxels, because a false ET where the truth has none costs the whole score of that region). */
#include "predict/predict.h"

#include <math.h>
#include <stdlib.h>

enum { SEEN = 0x80, SMALL = 0x40, NCR = 1, ET = 3 };

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

/* Floods each component through a queue that holds just its voxels in the end, one behind the
 * other. */
static ts_status remove_small(uint8_t *labels, const int64_t n[3], int64_t least, ts_error *error)
{
    const int64_t voxels = n[0] * n[1] * n[2];
    int64_t tumour = 0, begin = 0, end, largest = 0, largest_begin = 0;
    for (int64_t i = 0; i < voxels; i++)
        tumour += labels[i] != 0;
    if (voxels > INT32_MAX)
        return error_set(error, TS_BAD_INPUT, "a volume of %lld voxels is too large",
                         (long long)voxels);
    int32_t *queue = memory_allocate((size_t)tumour, sizeof *queue, "components", error);
    if (!queue)
        return TS_MEMORY;
    for (int64_t seed = 0; seed < voxels; seed++, begin = end) {
        end = begin;
        if (!labels[seed] || labels[seed] & SEEN)
            continue;
        labels[seed] |= SEEN;
        queue[end++] = (int32_t)seed;
        for (int64_t at = begin; at < end; at++)
            end = reach(labels, n, queue[at], queue, end);
        for (int64_t i = begin; end - begin < least && i < end; i++)
            labels[queue[i]] |= SMALL;
        if (end - begin > largest) {
            largest = end - begin;
            largest_begin = begin;
        }
    }
    for (int64_t i = largest_begin; i < largest_begin + largest; i++)
        labels[queue[i]] &= (uint8_t)~SMALL;
    for (int64_t i = 0; i < voxels; i++)
        labels[i] = labels[i] & SMALL ? 0 : labels[i] & (uint8_t)~SEEN;
    free(queue);
    return TS_OK;
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
