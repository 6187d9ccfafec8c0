/* Lesions of two dates matched through a transform (private to compare/). */
#ifndef TWINSEG_COMPARE_MATCH_H
#define TWINSEG_COMPARE_MATCH_H

#include "compare/compare.h"

#include <math.h>

/* Fills groups, count and group_of from date and found. */
ts_status match_lesions(const volume_header *before, const volume_header *after, comparison *c,
                        ts_error *error);

/* The index of the voxel that is nearest to a place; -1 outside. */
static inline int64_t nearest_voxel(const int64_t shape[3], const double to_voxel[4][4],
                                    const double place[3])
{
    int64_t at[3];
    for (int k = 0; k < 3; k++) {
        const double v = to_voxel[k][0] * place[0] + to_voxel[k][1] * place[1] +
                         to_voxel[k][2] * place[2] + to_voxel[k][3];
        if (!(v > -0.5 && v < (double)shape[k] - 0.5))
            return -1;
        at[k] = llround(v);
    }
    return (at[2] * shape[1] + at[1]) * shape[0] + at[0];
}

#endif
