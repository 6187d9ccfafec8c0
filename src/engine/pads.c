/* The zeros around the voxels of a unit (layout.h). */
#include "engine/pads.h"

int64_t count_voxels(const tensor *t, int64_t from, int64_t to)
{
    int64_t count = 0, y = from / t->row % (t->h + 1);
    for (int64_t row = from / t->row * t->row; row < to && row < t->d * t->plane; row += t->row) {
        const int64_t first = row < from ? from : row;
        const int64_t end = row + t->w < to ? row + t->w : to;
        if (y < t->h && end > first)
            count += end - first;
        y = y == t->h ? 0 : y + 1;
    }
    return count;
}

void clear_pads(const tensor *t, uint32_t *unit, int64_t from, int64_t to)
{
    if (from == 0)
        memset(unit - t->lead, 0, (size_t)t->lead * sizeof *unit);
    clear_pads_within(t, unit, from, to);
}

void clear_pads_within(const tensor *t, uint32_t *unit, int64_t from, int64_t to)
{
    int64_t y = from / t->row % (t->h + 1), row = from / t->row * t->row;
    for (; row < to && row < t->d * t->plane; row += t->row) {
        const bool pads = y == t->h;
        y = pads ? 0 : y + 1;
        const int64_t pad = row + t->w;
        if (!pads) {
            if (pad >= from && pad < to)
                unit[pad] = 0;
            continue;
        }
        const int64_t first = row < from ? from : row, end = pad + 1 < to ? pad + 1 : to;
        memset(unit + first, 0, (size_t)(end - first) * sizeof *unit);
    }
    const int64_t behind = row > from ? row : from;
    if (behind < to)
        memset(unit + behind, 0, (size_t)(to - behind) * sizeof *unit);
}

void clear_tail(const tensor *t)
{
    memset((uint32_t *)t->data + t->n * t->sample_stride, 0, (size_t)t->lead * sizeof(uint32_t));
}
