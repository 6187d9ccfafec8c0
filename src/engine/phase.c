/* Where things lie in the phases of a task (kernels.h). */
#include "engine/phase.h"

int64_t phases_length(const tensor *half, int64_t positions)
{
    return ((positions + 3 * half->row + 15) & ~(int64_t)15) + PLANE_STEP + 16;
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
