/* Phases (kernels.h): a tensor split into its even and odd positions along each axis, and merged
 * again, once per target. Included by kernel_template.h.
 *
 * A task goes through all units at a few rows each, runs that end before a hardware prefetcher has
 * caught up: with each row that of the next unit is prefetched, `next` elements further. */

/* One row of w elements, split: w / 2 pairs, then zeros up to `row` elements. Whole vectors may
 * reach into the next row, which is written later, or into the zeros behind the last. */
INLINE void split_pair(const uint32_t *in, int64_t w, int64_t next, int64_t row, uint32_t *even,
                       uint32_t *odd)
{
    const int64_t pairs = w / 2;
    for (int64_t i = 0; i < pairs; i += VL) {
        prefetch_run(in + 2 * i + next, 2 * VL);
        const vf a = load(in + 2 * i), b = load(in + 2 * i + VL);
        *(vf_unaligned *)(even + i) = __builtin_shufflevector(a, b, EVENS(0));
        *(vf_unaligned *)(odd + i) = __builtin_shufflevector(a, b, EVENS(1));
    }
    even[pairs] = w & 1 ? in[w - 1] : 0;
    odd[pairs] = 0;
    if (pairs + 1 < row)
        even[pairs + 1] = odd[pairs + 1] = 0;
}

INLINE void clear_row(uint32_t *even, uint32_t *odd, int64_t row)
{
    for (int64_t i = 0; i < row; i += VL)
        *(vf_unaligned *)(even + i) = *(vf_unaligned *)(odd + i) = (vf){0};
}

/* The rows of one unit, block and py. */
static void split_rows(const tensor *whole, const uint32_t *in, int block, int py, const phases *p,
                       uint32_t *even, uint32_t *odd)
{
    const tensor *half = p->half;
    const int64_t high = half->h + 1, start = p->first_row - (block == 2 ? high : 0);
    int64_t z = start / high, y = start % high;
    if (y < 0) {
        y += high;
        z--;
    }
    for (int64_t r = 0; r < p->rows; r++, even += half->row, odd += half->row) {
        const int64_t from_z = 2 * z + (block > 0), from_y = 2 * y + py;
        if (z < 0 || y == half->h || from_z >= whole->d || from_y >= whole->h)
            clear_row(even, odd, half->row);
        else
            split_pair(in + from_z * whole->plane + from_y * whole->row, whole->w,
                       whole->unit_stride, half->row, even, odd);
        if (++y == high) {
            y = 0;
            z++;
        }
    }
    memset(even, 0, PLANE_STEP * sizeof *even);
    memset(odd, 0, PLANE_STEP * sizeof *odd);
}

static void phases_split(const tensor *whole, int64_t n, int64_t first, int64_t units,
                         const phases *p)
{
    for (int64_t u = 0; u < units; u++)
        for (int i = 0; i < p->blocks * 2; i++)
            split_rows(whole, tensor_unit(whole, n, first + u), i / 2, i % 2, p,
                       phases_volume(p, u, i / 2, i % 2, 0), phases_volume(p, u, i / 2, i % 2, 1));
}

/* to = value or to += value, for VL elements. */
INLINE void put_elements(uint32_t *to, vf value, bool add)
{
    if (!add) {
        *(vf_unaligned *)to = value;
        return;
    }
    uint32_t elements[VL] __attribute__((aligned(4 * VL)));
    store(elements, value);
    vf sum[HALVES];
    UNROLL for (int h = 0; h < HALVES; h++)
    {
        sum[h] = load_half(to, h) + load_half(elements, h);
    }
    store_halves(to, sum);
}

/* A row of w elements merged from an even and an odd one, and the pad behind it. */
INLINE void merge_pair(const uint32_t *even, const uint32_t *odd, uint32_t *to, int64_t w,
                       int64_t next, bool add)
{
    for (int64_t i = 0; 2 * i < w; i += VL) {
        prefetch_run(to + 2 * i + next, 2 * VL);
        const vf a = load(even + i), b = load(odd + i);
        const vf low = __builtin_shufflevector(a, b, MIX(0));
        const vf high = __builtin_shufflevector(a, b, MIX(VL / 2));
        if (w - 2 * i >= 2 * VL) {
            put_elements(to + 2 * i, low, add);
            put_elements(to + 2 * i + VL, high, add);
            continue;
        }
        uint32_t part[2 * VL] __attribute__((aligned(4 * VL)));
        const size_t bytes = (size_t)(w - 2 * i) * sizeof *part;
        if (add)
            memcpy(part, to + 2 * i, bytes);
        put_elements(part, low, add);
        put_elements(part + VL, high, add);
        memcpy(to + 2 * i, part, bytes);
    }
    to[w] = 0;
}

static void phases_merge(const phases *p, const tensor *whole, int64_t n, bool add)
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
                    merge_pair(phases_volume(p, u, pz, py, 0) + at,
                               phases_volume(p, u, pz, py, 1) + at, row, whole->w,
                               whole->unit_stride, add);
            }
        if (p->first_row + p->rows == all_rows)
            memset(to + whole->d * whole->plane, 0,
                   (size_t)(whole->span - whole->d * whole->plane) * sizeof *to);
    }
}

#include "engine/strided_template.h"
