/* Dilation, as BraTS 2023 lesions are joined by it. */
#include "evaluate/scoring.h"

#include <stdlib.h>

static bool inside(const int64_t shape[3], int64_t x, int64_t y, int64_t z)
{
    return x >= 0 && y >= 0 && z >= 0 && x < shape[0] && y < shape[1] && z < shape[2];
}

/* One more step: the 18 neighbours of every voxel listed become set; those that were not are the
 * new list. */
static size_t grow_once(uint8_t *mask, const int64_t shape[3], const int64_t *list, size_t count,
                        int64_t *next)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        const int64_t x = list[i] % shape[0], y = list[i] / shape[0] % shape[1];
        const int64_t z = list[i] / shape[0] / shape[1];
        for (int k = 0; k < 27; k++) {
            const int64_t sx = k % 3 - 1, sy = k / 3 % 3 - 1, sz = k / 9 - 1;
            if ((sx && sy && sz) || !inside(shape, x + sx, y + sy, z + sz))
                continue;
            const int64_t to = list[i] + sx + shape[0] * (sy + shape[1] * sz);
            if (!mask[to]) {
                mask[to] = 1;
                next[found++] = to;
            }
        }
    }
    return found;
}

ts_status mask_dilate(uint8_t *mask, const int64_t shape[3], ts_error *error)
{
    const int64_t voxels = voxel_count(shape);
    size_t count = 0;
    int64_t *lists[2];
    for (int i = 0; i < 2; i++)
        lists[i] = memory_allocate((size_t)voxels, sizeof(int64_t), "a dilation", error);
    const bool room = lists[0] && lists[1];
    for (int64_t i = 0; room && i < voxels; i++)
        if (mask[i])
            lists[0][count++] = i;
    for (int step = 0; room && step < LESION_DILATION; step++)
        count = grow_once(mask, shape, lists[step % 2], count, lists[(step + 1) % 2]);
    free(lists[0]);
    free(lists[1]);
    return room ? TS_OK : TS_MEMORY;
}
