/* Connected components by runs of rows that are joined (union-find). */
#include "voxels/voxels.h"

#include <stdlib.h>
#include <string.h>

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
    memset(labels, 0, (size_t)voxel_count(shape) * sizeof *labels);
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

/* Numbers the components in the order of their first voxels. */
static ts_status number_components(const uint8_t *mask, const int64_t shape[3], components *c,
                                   ts_error *error)
{
    const int64_t voxels = voxel_count(shape);
    /* No more first labels than there are voxels apart from each other: every other one per
     * axis. */
    size_t most = 2;
    for (int i = 0; i < 3; i++)
        most *= (size_t)(shape[i] + 1) / 2;
    int32_t *parents = memory_take(most + 1, sizeof *parents, "the components", error);
    if (!parents)
        return TS_MEMORY;
    const int32_t given = scan(mask, shape, c->numbers, parents);
    for (int32_t i = 1; i <= given; i++)
        parents[i] = find_root(parents, i);
    int32_t *numbers = memory_allocate((size_t)given + 1, sizeof *numbers, "the components", error);
    if (numbers) {
        for (int32_t i = 1; i <= given; i++)
            numbers[i] = parents[i] == i ? ++c->count : numbers[parents[i]];
        for (int64_t i = 0; c->count < given && i < voxels; i++)
            c->numbers[i] = numbers[c->numbers[i]];
    }
    free(numbers);
    free(parents);
    return numbers ? TS_OK : TS_MEMORY;
}

static void measure_components(const uint8_t *mask, const int64_t shape[3], components *c)
{
    for (int32_t k = 1; k <= c->count; k++)
        c->all[k].box = box_empty();
    for (int64_t row = 0; row < shape[1] * shape[2]; row++) {
        const uint8_t *m = mask + row * shape[0];
        int64_t x = bytes_next_set(m, 0, shape[0]);
        for (; x < shape[0]; x = bytes_next_set(m, x + 1, shape[0])) {
            voxel_component *one = &c->all[c->numbers[row * shape[0] + x]];
            one->voxels++;
            box_add(&one->box, x, row % shape[1], row / shape[1]);
        }
    }
}

ts_status components_find(const uint8_t *mask, const int64_t shape[3], components *out,
                          ts_error *error)
{
    *out = (components){.numbers = memory_take((size_t)voxel_count(shape), sizeof *out->numbers,
                                               "the components", error)};
    if (!out->numbers || number_components(mask, shape, out, error) != TS_OK)
        return TS_MEMORY;
    out->all = memory_allocate((size_t)out->count + 1, sizeof *out->all, "the components", error);
    if (!out->all)
        return TS_MEMORY;
    measure_components(mask, shape, out);
    return TS_OK;
}

void components_free(components *c)
{
    free(c->numbers);
    free(c->all);
    *c = (components){0};
}
