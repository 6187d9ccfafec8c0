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

static bool inside(const int64_t shape[3], int64_t x, int64_t y, int64_t z)
{
    return x >= 0 && y >= 0 && z >= 0 && x < shape[0] && y < shape[1] && z < shape[2];
}

/* The four rows beside a row that a scan has passed, as steps in y and z. */
static const int8_t passed[4][2] = {{-1, 0}, {-1, -1}, {0, -1}, {1, -1}};

/* The label of a run begin..end-1 of row (y, z): that of all it touches, joined; 0 for none. */
static int32_t label_run(const int32_t *labels, const int64_t shape[3], int64_t begin, int64_t end,
                         int64_t y, int64_t z, int32_t *parents)
{
    const int64_t from = begin > 0 ? begin - 1 : 0, to = end < shape[0] ? end + 1 : end;
    int32_t own = 0;
    for (int k = 0; k < 4; k++) {
        if (!inside(shape, 0, y + passed[k][0], z + passed[k][1]))
            continue;
        const int32_t *row = labels + shape[0] * (y + passed[k][0] + shape[1] * (z + passed[k][1]));
        int32_t last = 0; /* of this row: a run of it has one label */
        for (int64_t x = from; x < to; x++) {
            if (row[x] && row[x] != last)
                own = own ? join(parents, own, row[x]) : row[x];
            last = row[x];
        }
    }
    return own;
}

/* First labels: every run of a row joins what it touches among the rows passed. Returns how many
 * were given. */
static int32_t scan(const uint8_t *mask, const int64_t shape[3], int32_t *labels, int32_t *parents)
{
    const int64_t nx = shape[0];
    int32_t given = 0;
    memset(labels, 0, (size_t)voxels_of(shape) * sizeof *labels);
    for (int64_t z = 0; z < shape[2]; z++)
        for (int64_t y = 0; y < shape[1]; y++) {
            const int64_t row = nx * (y + shape[1] * z);
            int64_t end = 0;
            for (int64_t x = 0; (x = bytes_next_set(mask + row, end, nx)) < nx;) {
                end = x;
                while (end < nx && mask[row + end])
                    end++;
                int32_t label = label_run(labels, shape, x, end, y, z, parents);
                if (!label) {
                    label = ++given;
                    parents[given] = given;
                }
                for (int64_t i = x; i < end; i++)
                    labels[row + i] = label;
            }
        }
    return given;
}

ts_status components_label(const uint8_t *mask, const int64_t shape[3], int32_t *labels,
                           int32_t *count, ts_error *error)
{
    const int64_t voxels = voxels_of(shape);
    /* No more first labels than there are voxels apart from each other: every other one per
     * axis. */
    size_t most = 2;
    for (int i = 0; i < 3; i++)
        most *= (size_t)(shape[i] + 1) / 2;
    int32_t *parents = memory_take(most + 1, sizeof *parents, "the components", error);
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
        for (int64_t i = 0; *count < given && i < voxels; i++)
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
