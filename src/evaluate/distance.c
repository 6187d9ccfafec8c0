/* Exact Euclidean distances, axis by axis: along x by two sweeps, along y and z by the lower
 * envelope of parabolas (Felzenszwalb, Huttenlocher, "Distance transforms of sampled functions",
 * 2012). */
#include "evaluate/scoring.h"

#include <math.h>
#include <stdlib.h>

static const double nowhere = 1e30; /* a line without any voxel of the set, so far */

static void along_x(const uint8_t *set, int64_t count, double spacing, double *out)
{
    double steps = -1; /* from the last voxel of the set; -1: none yet */
    for (int64_t x = 0; x < count; x++) {
        steps = set[x] ? 0 : steps < 0 ? -1 : steps + 1;
        out[x] = steps < 0 ? nowhere : steps * spacing * (steps * spacing);
    }
    steps = -1;
    for (int64_t x = count - 1; x >= 0; x--) {
        steps = set[x] ? 0 : steps < 0 ? -1 : steps + 1;
        const double square = steps * spacing * (steps * spacing);
        if (steps >= 0 && square < out[x])
            out[x] = square;
    }
}

/* Room for one line. */
typedef struct {
    double *values, *from; /* the line; where each parabola of the envelope begins to be lowest */
    int64_t *apex;
} line_room;

/* Replaces f(q) by the least f(p) + (spacing (q - p))^2 along a line of elements `stride` apart. */
static void along_line(double *line, int64_t stride, int64_t count, double spacing, line_room *r)
{
    const double square = spacing * spacing;
    int64_t last = -1;
    for (int64_t q = 0; q < count; q++) {
        double begins = -HUGE_VAL;
        r->values[q] = line[q * stride];
        if (r->values[q] >= nowhere)
            continue;
        while (last >= 0) {
            const int64_t p = r->apex[last];
            begins = ((r->values[q] - r->values[p]) / square + (double)(q * q - p * p)) /
                     (double)(2 * (q - p));
            if (begins > r->from[last])
                break;
            last--;
            begins = -HUGE_VAL;
        }
        r->apex[++last] = q;
        r->from[last] = begins;
    }
    if (last < 0)
        return;
    int64_t k = 0;
    for (int64_t q = 0; q < count; q++) {
        while (k < last && r->from[k + 1] <= (double)q)
            k++;
        const double away = (double)(q - r->apex[k]) * spacing;
        line[q * stride] = r->values[r->apex[k]] + away * away;
    }
}

ts_status distance_squared(const uint8_t *set, const int64_t shape[3], const double spacing_mm[3],
                           double *out, ts_error *error)
{
    const int64_t nx = shape[0], ny = shape[1], nz = shape[2], longest = ny > nz ? ny : nz;
    line_room r = {
        .values = memory_allocate((size_t)longest, sizeof(double), "a distance map", error),
        .from = memory_allocate((size_t)longest, sizeof(double), "a distance map", error),
        .apex = memory_allocate((size_t)longest, sizeof(int64_t), "a distance map", error),
    };
    const bool room = r.values && r.from && r.apex;
    for (int64_t row = 0; room && row < ny * nz; row++)
        along_x(set + row * nx, nx, spacing_mm[0], out + row * nx);
    for (int64_t z = 0; room && z < nz; z++)
        for (int64_t x = 0; x < nx; x++)
            along_line(out + z * nx * ny + x, nx, ny, spacing_mm[1], &r);
    for (int64_t column = 0; room && column < nx * ny; column++)
        along_line(out + column, nx * ny, nz, spacing_mm[2], &r);
    free(r.values);
    free(r.from);
    free(r.apex);
    return room ? TS_OK : TS_MEMORY;
}
