/* Holes of a mask, by a flood from the volume's faces. */
#include "voxels/voxels.h"

void holes_fill(uint8_t *mask, const int64_t n[3], int32_t *scratch)
{
    enum { UNSEEN, INSIDE, OUTSIDE };
    const int64_t step[3] = {1, n[0], n[0] * n[1]};
    int64_t count = 0;
    for (int64_t i = 0; i < voxel_count(n); i++) {
        const int64_t at[3] = {i % n[0], i / n[0] % n[1], i / step[2]};
        bool face = false;
        for (int a = 0; a < 3; a++)
            face |= at[a] == 0 || at[a] == n[a] - 1;
        if (mask[i])
            mask[i] = INSIDE;
        else if (face) {
            mask[i] = OUTSIDE;
            scratch[count++] = (int32_t)i;
        }
    }
    while (count > 0) {
        const int64_t i = scratch[--count];
        const int64_t at[3] = {i % n[0], i / n[0] % n[1], i / step[2]};
        for (int a = 0; a < 3; a++)
            for (int side = -1; side <= 1; side += 2) {
                const int64_t place = at[a] + side, next = i + side * step[a];
                if (place < 0 || place >= n[a] || mask[next] != UNSEEN)
                    continue;
                mask[next] = OUTSIDE;
                scratch[count++] = (int32_t)next;
            }
    }
    for (int64_t i = 0; i < voxel_count(n); i++)
        mask[i] = mask[i] != OUTSIDE;
}
