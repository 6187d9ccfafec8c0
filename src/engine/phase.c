/* Phases: even and odd positions of an axis apart and together again (convolve.h). */
#include "engine/convolve.h"

int64_t phases_length(const tensor *half, int64_t positions)
{
    return ((positions + 3 * half->row + 15) & ~(int64_t)15) + PLANE_STEP + 16;
}

uint32_t *phases_volume(const phases *p, int64_t unit, int block, int py, int px)
{
    return p->data + (((unit * p->blocks + block) * 2 + py) * 2 + px) * p->length;
}

const uint32_t *split_term(const phases *p, int64_t t, int taps)
{
    const int64_t unit = t / taps, start = p->first_row * p->half->row;
    const int tap = (int)(t % taps);
    if (taps == 8)
        return phases_volume(p, unit, tap >> 2, tap >> 1 & 1, tap & 1) - start;
    /* Of an axis, tap 0 is the odd position before, tap 1 the even one, tap 2 the odd one here. */
    const int z = tap / 9, y = tap / 3 % 3, x = tap % 3;
    static const int block[3] = {2, 0, 1};
    return phases_volume(p, unit, block[z], y != 1, x != 1) - start - (y == 0) * p->half->row -
           (x == 0);
}

/* One row of even and odd elements; in NULL: outside, zero. */
static void split_pair(const engine *e, const uint32_t *in, int64_t in_w, int64_t row,
                       uint32_t *even, uint32_t *odd)
{
    const int64_t pairs = in ? in_w / 2 : 0;
    if (in)
        e->kernels->split_row(in, even, odd, pairs);
    for (int64_t i = pairs; i < row; i++)
        even[i] = odd[i] = 0;
    if (in && in_w & 1)
        even[pairs] = in[in_w - 1];
}

void phases_split(const engine *e, const tensor *whole, int64_t n, int64_t first, int64_t units,
                  const phases *p)
{
    const tensor *half = p->half;
    const int64_t high = half->h + 1;
    for (int64_t u = 0; u < units; u++)
        for (int block = 0; block < p->blocks; block++) {
            const int64_t start = p->first_row - (block == 2 ? high : 0);
            for (int py = 0; py < 2; py++)
                for (int64_t r = 0; r < p->rows; r++) {
                    const int64_t z = (start + r) / high * 2 + (block > 0);
                    const int64_t y = (start + r) % high * 2 + py, at = r * half->row;
                    const bool there = start + r >= 0 && (start + r) % high < half->h &&
                                       z < whole->d && y < whole->h;
                    const uint32_t *in = tensor_unit(whole, n, first + u);
                    split_pair(e, there ? in + z * whole->plane + y * whole->row : NULL, whole->w,
                               half->row, phases_volume(p, u, block, py, 0) + at,
                               phases_volume(p, u, block, py, 1) + at);
                }
            for (int i = 0; i < 4; i++)
                memset(phases_volume(p, u, block, i >> 1, i & 1) + p->rows * half->row, 0,
                       PLANE_STEP * sizeof(uint32_t));
        }
}

/* Row (z, y) of whole out of row `at` of its two phases, and the pad behind it. */
static void merge_pair(const engine *e, const uint32_t *even, const uint32_t *odd, uint32_t *row,
                       int64_t w, bool add)
{
    e->kernels->merge_row(even, odd, row, w / 2, add);
    if (w & 1) {
        uint32_t last[2] = {row[w - 1], 0};
        e->kernels->merge_row(even + w / 2, odd + w / 2, last, 1, add);
        row[w - 1] = last[0];
    }
    row[w] = 0;
}

void phases_merge(const engine *e, const phases *p, const tensor *whole, int64_t n, bool add)
{
    const tensor *half = p->half;
    const int64_t high = half->h + 1, all_rows = half->d * high;
    for (int64_t u = 0; u < tensor_units(whole); u++) {
        uint32_t *to = tensor_unit(whole, n, u);
        if (p->first_row == 0)
            memset(to - whole->lead, 0, (size_t)whole->lead * sizeof *to);
        for (int64_t r = 0; r < p->rows; r++)
            for (int pz = 0; pz < 2; pz++) {
                const int64_t z = (p->first_row + r) / high * 2 + pz;
                const int64_t y = (p->first_row + r) % high * 2, at = r * half->row;
                if (z >= whole->d)
                    continue;
                uint32_t *row = to + z * whole->plane + y * whole->row;
                if (y == 2 * half->h) {
                    row = to + z * whole->plane + whole->h * whole->row;
                    memset(row, 0, (size_t)whole->row * sizeof *row);
                    continue;
                }
                for (int py = 0; py < 2 && y + py < whole->h; py++, row += whole->row)
                    merge_pair(e, phases_volume(p, u, pz, py, 0) + at,
                               phases_volume(p, u, pz, py, 1) + at, row, whole->w, add);
            }
        if (p->first_row + p->rows == all_rows)
            memset(to + whole->d * whole->plane, 0,
                   (size_t)(whole->span - whole->d * whole->plane) * sizeof *to);
    }
}
