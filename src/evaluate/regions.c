/* Where a region lies in a case, and its two masks on a box of its own. */
#include "evaluate/scoring.h"

#include <string.h>

/* Counts and box of one row of voxels. */
static void find_in_row(const uint8_t *p, const uint8_t *t, const int64_t at[3], int64_t count,
                        label_set labels, region_extent *e)
{
    int64_t first = -1, last = -1;
    for (int64_t x = 0; x < count; x++) {
        const int64_t a = label_in(labels, p[x]), b = label_in(labels, t[x]);
        if (!(a | b))
            continue;
        e->both += a & b;
        e->predicted += a;
        e->truth += b;
        first = first < 0 ? x : first;
        last = x;
    }
    if (first >= 0)
        box_join(&e->box, &(voxel_box){{first, at[1], at[2]}, {last, at[1], at[2]}});
}

region_extent region_find(const label_pair *l, label_set labels)
{
    region_extent e = {.box = box_empty()};
    const int64_t nx = l->shape[0];
    for (int64_t z = 0, i = 0; z < l->shape[2]; z++)
        for (int64_t y = 0; y < l->shape[1]; y++, i += nx) {
            const uint8_t *p = l->prediction + i, *t = l->truth + i;
            /* most rows hold nothing: a row that begins with 0 and equals itself one further is
             * 0 */
            if (!p[0] && !t[0] && !memcmp(p, p + 1, (size_t)nx - 1) &&
                !memcmp(t, t + 1, (size_t)nx - 1))
                continue;
            find_in_row(p, t, (int64_t[3]){0, y, z}, nx, labels, &e);
        }
    return e;
}

ts_status mask_pair_take(mask_pair *m, const voxel_box *b, ts_error *error)
{
    box_shape(b, m->shape);
    m->a = memory_take((size_t)voxel_count(m->shape), 1, "a region's box", error);
    m->b = memory_take((size_t)voxel_count(m->shape), 1, "a region's box", error);
    return m->a && m->b ? TS_OK : TS_MEMORY;
}

ts_status region_cut(const label_pair *l, label_set labels, const region_extent *e, mask_pair *m,
                     ts_error *error)
{
    const voxel_box b = box_grow(&e->box, LESION_DILATION, l->shape);
    uint8_t within[256];
    for (int v = 0; v < 256; v++)
        within[v] = label_in(labels, v);
    memcpy(m->spacing_mm, l->spacing_mm, sizeof m->spacing_mm);
    if (mask_pair_take(m, &b, error) != TS_OK)
        return TS_MEMORY;
    box_cut(l->prediction, l->shape, &b, within, m->a);
    box_cut(l->truth, l->shape, &b, within, m->b);
    return TS_OK;
}
