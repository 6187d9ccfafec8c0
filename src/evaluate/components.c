/* Connected components, and dilation. */
#include "evaluate/scoring.h"

#include <stdlib.h>
#include <string.h>

/* ---- components ----------------------------------------------------------------------------- */

static int32_t find_root(int32_t *parents, int32_t i)
{
    while (parents[i] != i) {
        parents[i] = parents[parents[i]];
        i = parents[i];
    }
    return i;
}

/* The lower label becomes the root, so that roots keep the order of first voxels. */
static int32_t join(int32_t *parents, int32_t i, int32_t j)
{
    i = find_root(parents, i);
    j = find_root(parents, j);
    if (i < j)
        return parents[j] = i;
    return parents[i] = j;
}

/* The 13 neighbours that a scan has passed, as steps in x, y, z. The last four do not touch the one
 * to the left: where that is set, it has joined all the others. */
static const int8_t passed[13][3] = {
    {-1, 0, 0},  {-1, -1, 0}, {0, -1, 0}, {-1, -1, -1}, {0, -1, -1}, {-1, 0, -1}, {0, 0, -1},
    {-1, 1, -1}, {0, 1, -1},  {1, -1, 0}, {1, -1, -1},  {1, 0, -1},  {1, 1, -1},
};
enum { BESIDE_LEFT = 9 };

static bool inside(const int64_t shape[3], int64_t x, int64_t y, int64_t z)
{
    return x >= 0 && y >= 0 && z >= 0 && x < shape[0] && y < shape[1] && z < shape[2];
}

/* First labels: every voxel joins what it touches among those passed. Returns how many were given.
 */
static int32_t scan(const uint8_t *mask, const int64_t shape[3], int32_t *labels, int32_t *parents)
{
    int32_t given = 0;
    int64_t at = 0;
    for (int64_t z = 0; z < shape[2]; z++)
        for (int64_t y = 0; y < shape[1]; y++)
            for (int64_t x = 0; x < shape[0]; x++, at++) {
                const bool left = x > 0 && mask[at - 1];
                labels[at] = 0;
                if (!mask[at])
                    continue;
                if (left)
                    labels[at] = labels[at - 1];
                for (int k = left ? BESIDE_LEFT : 0; k < 13; k++) {
                    const int8_t *s = passed[k];
                    if (!inside(shape, x + s[0], y + s[1], z + s[2]))
                        continue;
                    const int32_t other = labels[at + s[0] + shape[0] * (s[1] + shape[1] * s[2])];
                    if (other && other != labels[at])
                        labels[at] = labels[at] ? join(parents, labels[at], other) : other;
                }
                if (!labels[at]) {
                    labels[at] = ++given;
                    parents[given] = given;
                }
            }
    return given;
}

ts_status components_label(const uint8_t *mask, const int64_t shape[3], int32_t *labels,
                           int32_t *count, ts_error *error)
{
    const int64_t voxels = voxels_of(shape);
    /* No more first labels than there are voxels apart from each other: every other one per axis.
     */
    size_t most = 2;
    for (int i = 0; i < 3; i++)
        most *= (size_t)(shape[i] + 1) / 2;
    int32_t *parents = memory_allocate(most + 1, sizeof *parents, "the components", error);
    if (!parents)
        return TS_MEMORY;
    const int32_t given = scan(mask, shape, labels, parents);
    *count = 0;
    for (int32_t i = 1; i <= given; i++)
        parents[i] = find_root(parents, i);
    int32_t *numbers = memory_allocate((size_t)given + 1, sizeof *numbers, "the components", error);
    if (numbers) {
        for (int32_t i = 1; i <= given; i++)
            numbers[i] = parents[i] == i ? ++*count : numbers[parents[i]];
        for (int64_t i = 0; i < voxels; i++)
            labels[i] = numbers[labels[i]];
    }
    free(numbers);
    free(parents);
    return numbers ? TS_OK : TS_MEMORY;
}

/* ---- dilation ------------------------------------------------------------------------------- */

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
    const int64_t voxels = voxels_of(shape);
    size_t count = 0;
    int64_t *lists[2];
    for (int i = 0; i < 2; i++)
        lists[i] = memory_allocate((size_t)voxels, sizeof(int64_t), "a dilation", error);
    const bool room = lists[0] && lists[1];
    for (int64_t i = 0; room && i < voxels; i++)
        if (mask[i])
            lists[0][count++] = i;
    for (int step = 0; room && step < 3; step++)
        count = grow_once(mask, shape, lists[step % 2], count, lists[(step + 1) % 2]);
    free(lists[0]);
    free(lists[1]);
    return room ? TS_OK : TS_MEMORY;
}
