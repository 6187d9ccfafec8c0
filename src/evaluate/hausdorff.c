/* The two 95th percentiles of surface distances: docs/metrics.md, "HD95 of surface voxels" and
 * "HD95 of surfels". */
#include "evaluate/scoring.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A point of a surface: how far the other surface is, and what area it stands for. */
typedef struct {
    double distance_mm, area;
} surface_point;

static int compare_points(const void *a, const void *b)
{
    const surface_point *p = a, *q = b;
    if (p->distance_mm != q->distance_mm)
        return p->distance_mm < q->distance_mm ? -1 : 1;
    return (p->area > q->area) - (p->area < q->area);
}

/* Two surfaces on one grid (0: none there; else an index of `areas`), and their points once the
 * distances are known. */
typedef struct {
    int64_t shape[3];
    const double *spacing_mm, *areas;
    uint8_t *surface[2];
    surface_point *points;
    size_t count[2]; /* of the first, then of the second surface */
} surfaces;

static ts_status surfaces_create(surfaces *s, const int64_t shape[3], const double spacing_mm[3],
                                 ts_error *error)
{
    *s = (surfaces){.shape = {shape[0], shape[1], shape[2]}, .spacing_mm = spacing_mm};
    const size_t voxels = (size_t)voxel_count(shape);
    for (int i = 0; i < 2; i++)
        s->surface[i] = memory_take(voxels, 1, "a surface", error);
    return s->surface[0] && s->surface[1] ? TS_OK : TS_MEMORY;
}

static void surfaces_free(surfaces *s)
{
    free(s->surface[0]);
    free(s->surface[1]);
    free(s->points);
}

/* Fills points: those of the first surface with their distance to the second, and the reverse. */
static ts_status measure(surfaces *s, ts_error *error)
{
    const int64_t voxels = voxel_count(s->shape);
    size_t total = 0;
    for (int side = 0; side < 2; side++)
        for (int64_t i = -1; (i = bytes_next_set(s->surface[side], i + 1, voxels)) < voxels;)
            total++;
    s->points = memory_take(total, sizeof *s->points, "the surface distances", error);
    ts_status status = s->points ? TS_OK : TS_MEMORY;
    surface_point *next = s->points;
    for (int side = 0; status == TS_OK && side < 2; side++) {
        const uint8_t *own = s->surface[side];
        distance_map map;
        status = distance_open(s->surface[!side], s->shape, s->spacing_mm, &map, error);
        int64_t i = bytes_next_set(own, 0, voxels);
        for (; status == TS_OK && i < voxels; i = bytes_next_set(own, i + 1, voxels)) {
            double square = 0;
            status = distance_squared(&map, i, &square, error);
            *next++ = (surface_point){sqrt(square), s->areas ? s->areas[own[i]] : 1};
            s->count[side]++;
        }
        distance_close(&map);
    }
    return status;
}

/* ---- surface voxels (2017-2021) ------------------------------------------------------------- */

/* Voxels with a face neighbour outside the mask; beyond the box counts as outside. */
static void mark_surface(const uint8_t *mask, const int64_t shape[3], uint8_t *surface)
{
    const int64_t nx = shape[0], ny = shape[1], nz = shape[2];
    for (int64_t z = 0; z < nz; z++)
        for (int64_t y = 0; y < ny; y++) {
            const uint8_t *m = mask + nx * (y + ny * z);
            uint8_t *s = surface + nx * (y + ny * z);
            memcpy(s, m, (size_t)nx);
            if (y == 0 || y == ny - 1 || z == 0 || z == nz - 1)
                continue;
            for (int64_t x = 1; x < nx - 1; x++)
                s[x] = m[x] & (1 ^ (m[x - 1] & m[x + 1] & m[x - nx] & m[x + nx] & m[x - nx * ny] &
                                    m[x + nx * ny]));
        }
}

/* Shares of the first and of the second surface that lie within the tolerance of the other. */
static double share_within(const surfaces *s, double tolerance_mm)
{
    const size_t n[2] = {s->count[0], s->count[1]};
    size_t within[2] = {0, 0};
    for (size_t i = 0; i < n[0] + n[1]; i++)
        within[i >= n[0]] += s->points[i].distance_mm <= tolerance_mm;
    return ((double)within[0] / (double)n[0] + (double)within[1] / (double)n[1]) / 2;
}

/* Puts the point of rank k by distance in its place, lower ones before it (Hoare's selection). */
static void select_rank(surface_point *points, int64_t count, int64_t k)
{
    for (int64_t low = 0, high = count - 1; low < high;) {
        const double pivot = points[k].distance_mm;
        int64_t i = low, j = high;
        while (i <= j) {
            while (points[i].distance_mm < pivot)
                i++;
            while (points[j].distance_mm > pivot)
                j--;
            if (i <= j) {
                const surface_point swapped = points[i];
                points[i++] = points[j];
                points[j--] = swapped;
            }
        }
        if (j < k)
            low = i;
        if (k < i)
            high = j;
    }
}

/* Linear between the two nearest ranks, as numpy's. */
static double percentile_95(surface_point *points, int64_t count)
{
    const double rank = 0.95 * (double)(count - 1);
    const int64_t k = (int64_t)rank;
    select_rank(points, count, k);
    const double at = points[k].distance_mm;
    double next = k + 1 < count ? HUGE_VAL : at;
    for (int64_t i = k + 1; i < count; i++)
        next = points[i].distance_mm < next ? points[i].distance_mm : next;
    return at + (rank - (double)k) * (next - at);
}

ts_status surface_scores(const mask_pair *m, double tolerance_mm, double *hd95, double *nsd,
                         ts_error *error)
{
    surfaces s;
    ts_status status = surfaces_create(&s, m->shape, m->spacing_mm, error);
    if (status == TS_OK) {
        mark_surface(m->a, m->shape, s.surface[0]);
        mark_surface(m->b, m->shape, s.surface[1]);
        status = measure(&s, error);
    }
    if (status == TS_OK) {
        *nsd = share_within(&s, tolerance_mm);
        *hd95 = percentile_95(s.points, (int64_t)(s.count[0] + s.count[1]));
    }
    surfaces_free(&s);
    return status;
}

ts_status hd95_voxels(const mask_pair *m, double *hd95, ts_error *error)
{
    double nsd;
    return surface_scores(m, 0, hd95, &nsd, error);
}

/* ---- surfels (2023) ------------------------------------------------------------------------- */

enum { CORNERS = 8 };

/* One code of each of the 14 classes that the cube's symmetries and complement leave, and the
 * normals of its triangles, in eighths. */
static const struct {
    int code, triangles;
    int normals[4][3];
} classes[] = {
    {1, 1, {{1, 1, 1}}},
    {3, 2, {{2, 2, 0}, {2, 2, 0}}},
    {6, 2, {{1, 1, 1}, {1, 1, 1}}},
    {7, 3, {{1, 1, 1}, {2, 2, 2}, {4, 0, 0}}},
    {15, 2, {{4, 0, 0}, {4, 0, 0}}},
    {22, 3, {{1, 1, 1}, {1, 1, 1}, {1, 1, 1}}},
    {23, 4, {{1, 1, 1}, {1, 1, 1}, {2, 2, 2}, {2, 2, 2}}},
    {24, 2, {{1, 1, 1}, {1, 1, 1}}},
    {25, 3, {{0, 2, 2}, {0, 2, 2}, {1, 1, 1}}},
    {27, 4, {{0, 2, 2}, {1, 1, 1}, {2, 0, 2}, {3, 3, 3}}},
    {30, 4, {{1, 1, 1}, {1, 1, 1}, {2, 2, 2}, {4, 0, 0}}},
    {60, 4, {{2, 2, 0}, {2, 2, 0}, {2, 2, 0}, {2, 2, 0}}},
    {105, 4, {{1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}}},
};

static const int permutations[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                       {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};

/* A corner is 4 dx + 2 dy + dz; its bit in a code is 128 >> corner. */
static int image_of(int code, const int p[3], int flips)
{
    int image = 0;
    for (int corner = 0; corner < CORNERS; corner++) {
        int moved = 0;
        for (int i = 0; i < 3; i++)
            moved |= ((corner >> (2 - p[i]) & 1) ^ (flips >> i & 1)) << (2 - i);
        image |= code & 128 >> corner ? 128 >> moved : 0;
    }
    return image;
}

void surfel_areas(const double spacing_mm[3], double areas[256])
{
    const double sx = spacing_mm[0], sy = spacing_mm[1], sz = spacing_mm[2];
    memset(areas, 0, 256 * sizeof *areas);
    for (size_t c = 0; c < COUNT_OF(classes); c++)
        for (int turn = 0; turn < 6 * 8; turn++) {
            const int *p = permutations[turn / 8];
            const int image = image_of(classes[c].code, p, turn % 8);
            double area = 0;
            for (int t = 0; t < classes[c].triangles; t++) {
                const int *n = classes[c].normals[t];
                const double x = n[p[0]] * sy * sz / 8, y = n[p[1]] * sx * sz / 8;
                const double z = n[p[2]] * sx * sy / 8;
                area += sqrt(x * x + y * y + z * z);
            }
            areas[image] = areas[255 - image] = area;
        }
}

/* Codes of the (nx+1)(ny+1)(nz+1) cells around a mask; 255, all inside, becomes 0: no surface. */
static void mark_cells(const uint8_t *mask, const int64_t shape[3], uint8_t *codes)
{
    const int64_t nx = shape[0], ny = shape[1], nz = shape[2];
    const int64_t cx = nx + 1, cy = ny + 1;
    memset(codes, 0, (size_t)(cx * cy * (nz + 1)));
    for (int64_t z = 0, i = 0; z < nz; z++)
        for (int64_t y = 0; y < ny; y++)
            for (int64_t x = 0; x < nx; x++, i++)
                for (int corner = 0; mask[i] && corner < CORNERS; corner++) {
                    /* the voxel is corner (dx, dy, dz) of cell (x+1-dx, y+1-dy, z+1-dz) */
                    const int64_t at =
                        x + 1 - (corner >> 2 & 1) +
                        cx * (y + 1 - (corner >> 1 & 1) + cy * (z + 1 - (corner & 1)));
                    codes[at] |= (uint8_t)(128 >> corner);
                }
    for (int64_t i = 0; i < cx * cy * (nz + 1); i++)
        codes[i] = codes[i] == 255 ? 0 : codes[i];
}

/* The distance at the first point, by distance and area, where 95 % of the area is reached. */
static double directed(surface_point *points, size_t count)
{
    double total = 0, sum = 0;
    qsort(points, count, sizeof *points, compare_points);
    for (size_t i = 0; i < count; i++)
        total += points[i].area;
    for (size_t i = 0; i < count; i++) {
        sum += points[i].area;
        if (sum / total >= 0.95)
            return points[i].distance_mm;
    }
    return points[count - 1].distance_mm;
}

ts_status hd95_surfels(const mask_pair *m, double *hd95, ts_error *error)
{
    surfaces s;
    double areas[256];
    const int64_t cells[3] = {m->shape[0] + 1, m->shape[1] + 1, m->shape[2] + 1};
    ts_status status = surfaces_create(&s, cells, m->spacing_mm, error);
    surfel_areas(m->spacing_mm, areas);
    s.areas = areas;
    if (status == TS_OK) {
        mark_cells(m->a, m->shape, s.surface[0]);
        mark_cells(m->b, m->shape, s.surface[1]);
        status = measure(&s, error);
    }
    if (status == TS_OK) {
        const double there = directed(s.points, s.count[0]);
        const double back = directed(s.points + s.count[0], s.count[1]);
        *hd95 = there > back ? there : back;
    }
    surfaces_free(&s);
    return status;
}
