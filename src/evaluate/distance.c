/* Exact Euclidean distances to the nearest voxel of a set. Along x by two sweeps; then either for
 * one voxel by a search among the rows around it, nearest rows first, or for all voxels along y by
 * the lower envelope of parabolas (Felzenszwalb, Huttenlocher, "Distance transforms of sampled
 * functions", 2012) and along z by a search. Surfaces that are compared are mostly close; there the
 * first way takes a third of the second's time, but it is slow where they are far apart. */
#include "evaluate/scoring.h"

#include <math.h>
#include <stdlib.h>

static const double nowhere = 1e30; /* a line without any voxel of the set, so far */
static const int32_t no_steps = INT32_MAX;

/* ---- along x -------------------------------------------------------------------------------- */

/* From one voxel of the set to the next, the nearer of the two. */
static void step_row(const uint8_t *set, int32_t count, int32_t *steps)
{
    int32_t last = -1; /* voxel of the set before */
    for (int32_t x = (int32_t)bytes_next_set(set, 0, count);;
         x = (int32_t)bytes_next_set(set, x + 1, count)) {
        const int32_t middle = last < 0 ? 0 : x < count ? (last + x) / 2 + 1 : count;
        for (int32_t i = last + 1; i < middle; i++)
            steps[i] = i - last;
        for (int32_t i = middle; i < x; i++)
            steps[i] = x < count ? x - i : no_steps;
        if (x == count)
            return;
        steps[x] = 0;
        last = x;
    }
}

ts_status distance_open(const uint8_t *set, const int64_t shape[3], const double spacing_mm[3],
                        distance_map *map, ts_error *error)
{
    *map = (distance_map){.searches = 4 * voxel_count(shape)};
    for (int k = 0; k < 3; k++) {
        map->shape[k] = shape[k];
        map->spacing_mm[k] = spacing_mm[k];
    }
    map->steps =
        memory_take((size_t)voxel_count(shape), sizeof *map->steps, "a distance map", error);
    for (int64_t row = 0; map->steps && row < shape[1] * shape[2]; row++)
        step_row(set + row * shape[0], (int32_t)shape[0], map->steps + row * shape[0]);
    return map->steps ? TS_OK : TS_MEMORY;
}

void distance_close(distance_map *map)
{
    free(map->steps);
    free(map->in_planes);
}

/* ---- for one voxel -------------------------------------------------------------------------- */

static double in_row(const distance_map *map, int64_t voxel)
{
    const double away = (double)map->steps[voxel] * map->spacing_mm[0];
    return map->steps[voxel] == no_steps ? nowhere : away * away;
}

/* The rows k steps away in y or z, and at most k in the other, form a ring; none of them is nearer
 * than k times the smaller spacing. */
static double search(distance_map *map, int64_t x, int64_t y, int64_t z)
{
    const int64_t nx = map->shape[0], ny = map->shape[1], nz = map->shape[2];
    const double sy = map->spacing_mm[1], sz = map->spacing_mm[2], s = sy < sz ? sy : sz;
    const int64_t last = ny > nz ? ny : nz;
    double least = in_row(map, x + nx * (y + ny * z));
    for (int64_t k = 1; k < last && (double)(k * k) * (s * s) < least; k++) {
        for (int64_t dz = -k; dz <= k; dz++) {
            if (z + dz < 0 || z + dz >= nz)
                continue;
            const int64_t step = dz == -k || dz == k ? 1 : 2 * k;
            for (int64_t dy = -k; dy <= k; dy += step) {
                if (y + dy < 0 || y + dy >= ny)
                    continue;
                const double off_y = (double)dy * sy, off_z = (double)dz * sz;
                const double d =
                    in_row(map, x + nx * (y + dy + ny * (z + dz))) + off_y * off_y + off_z * off_z;
                least = d < least ? d : least;
                map->searches--;
            }
        }
    }
    return least;
}

/* ---- for all -------------------------------------------------------------------------------- */

/* Room for one line. */
typedef struct {
    double *values, *from; /* the line; where each parabola of the envelope begins to be lowest */
    double *halves;        /* [k]: 1 / (2 k), as divisions take most of the time */
    int64_t *apex;
} line_room;

/* Replaces f(q) by the least f(p) + (spacing (q - p))^2 along a line of elements `stride` apart. */
static void along_line(double *line, int64_t stride, int64_t count, double spacing, line_room *r)
{
    const double square = spacing * spacing, inverse = 1 / square;
    int64_t last = -1;
    for (int64_t q = 0; q < count; q++) {
        double begins = -HUGE_VAL;
        r->values[q] = line[q * stride];
        if (r->values[q] >= nowhere)
            continue;
        while (last >= 0) {
            const int64_t p = r->apex[last];
            begins = ((r->values[q] - r->values[p]) * inverse + (double)(q * q - p * p)) *
                     r->halves[q - p];
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

/* in_planes: of every voxel to the nearest one of the set in its plane of x and y. */
static ts_status fill_planes(distance_map *map, ts_error *error)
{
    const int64_t nx = map->shape[0], ny = map->shape[1], nz = map->shape[2];
    const size_t voxels = (size_t)(nx * ny * nz);
    line_room r = {
        .values = memory_allocate((size_t)ny, sizeof(double), "a distance map", error),
        .from = memory_allocate((size_t)ny, sizeof(double), "a distance map", error),
        .halves = memory_allocate((size_t)ny, sizeof(double), "a distance map", error),
        .apex = memory_allocate((size_t)ny, sizeof(int64_t), "a distance map", error),
    };
    map->in_planes = memory_take(voxels, sizeof *map->in_planes, "a distance map", error);
    const bool room = map->in_planes && r.values && r.from && r.halves && r.apex;
    for (int64_t k = 1; room && k < ny; k++)
        r.halves[k] = 0.5 / (double)k;
    for (size_t i = 0; room && i < voxels; i++)
        map->in_planes[i] = in_row(map, (int64_t)i);
    for (int64_t z = 0; room && z < nz; z++)
        for (int64_t x = 0; x < nx; x++)
            along_line(map->in_planes + z * nx * ny + x, nx, ny, map->spacing_mm[1], &r);
    free(r.values);
    free(r.from);
    free(r.halves);
    free(r.apex);
    return room ? TS_OK : TS_MEMORY;
}

static double search_planes(const distance_map *map, int64_t voxel, int64_t z)
{
    const int64_t plane = map->shape[0] * map->shape[1];
    double least = map->in_planes[voxel];
    for (int64_t k = 1; k < map->shape[2]; k++) {
        const double away = (double)k * map->spacing_mm[2], square = away * away;
        if (square >= least)
            break;
        if (z >= k && map->in_planes[voxel - k * plane] + square < least)
            least = map->in_planes[voxel - k * plane] + square;
        if (z + k < map->shape[2] && map->in_planes[voxel + k * plane] + square < least)
            least = map->in_planes[voxel + k * plane] + square;
    }
    return least;
}

ts_status distance_squared(distance_map *map, int64_t voxel, double *square, ts_error *error)
{
    const int64_t row = voxel / map->shape[0], z = row / map->shape[1];
    if (map->searches <= 0 && !map->in_planes && fill_planes(map, error) != TS_OK)
        return TS_MEMORY;
    *square = map->in_planes ? search_planes(map, voxel, z)
                             : search(map, voxel % map->shape[0], row % map->shape[1], z);
    return TS_OK;
}
