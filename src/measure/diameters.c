/* Diameters of a lesion. A voxel's outline runs through the middles of its edges (in a slice) or
 * faces (in space), as marching squares at one half do: a row of n voxels is n voxels long, and the
 * outline of a digitised ball is neither too long nor too short on average. */
#include "measure/parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    double x, y; /* in voxels of the box */
} place;

typedef struct {
    place *at; /* owned */
    size_t count;
} places;

static bool is_set(const uint8_t *mask, const int64_t shape[3], int64_t x, int64_t y)
{
    return x >= 0 && y >= 0 && x < shape[0] && y < shape[1] && mask[y * shape[0] + x];
}

static void to_world(const lesion_box *b, place p, double z, double out[3])
{
    for (int k = 0; k < 3; k++)
        out[k] =
            b->affine[k][0] * p.x + b->affine[k][1] * p.y + b->affine[k][2] * z + b->affine[k][3];
}

static double distance(const double a[3], const double b[3])
{
    return sqrt((a[0] - b[0]) * (a[0] - b[0]) + (a[1] - b[1]) * (a[1] - b[1]) +
                (a[2] - b[2]) * (a[2] - b[2]));
}

/* ---- convex hulls ---------------------------------------------------------------------------- */

static int compare_places(const void *a, const void *b)
{
    const place *p = a, *q = b;
    if (p->x != q->x)
        return (p->x > q->x) - (p->x < q->x);
    return (p->y > q->y) - (p->y < q->y);
}

static double turn(place a, place b, place c)
{
    return (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x);
}

/* The corners of the hull of p, which is sorted on the way (Andrew 1979); hull has room for
 * 2 count. Whatever is farthest from something else is a corner, by any metric that is linear. */
static size_t convex_hull(place *p, size_t count, place *hull)
{
    size_t n = 0;
    qsort(p, count, sizeof *p, compare_places);
    for (size_t i = 0; i < count; i++) {
        while (n >= 2 && turn(hull[n - 2], hull[n - 1], p[i]) <= 0)
            n--;
        hull[n++] = p[i];
    }
    const size_t lower = n + 1;
    for (size_t i = count - 1; i-- > 0;) {
        while (n >= lower && turn(hull[n - 2], hull[n - 1], p[i]) <= 0)
            n--;
        hull[n++] = p[i];
    }
    return n > 1 ? n - 1 : n;
}

/* The middles of the outer edges of the first and last pixels of each row of a mask; the others are
 * never corners of the hull. at has room for 6 a row. */
static size_t row_ends(const uint8_t *mask, const int64_t shape[3], place *at)
{
    size_t n = 0;
    for (int64_t y = 0; y < shape[1]; y++) {
        const uint8_t *row = mask + y * shape[0];
        const int64_t first = bytes_next_set(row, 0, shape[0]);
        int64_t last = shape[0] - 1;
        if (first == shape[0])
            continue;
        while (!row[last])
            last--;
        at[n++] = (place){(double)first - 0.5, (double)y};
        at[n++] = (place){(double)last + 0.5, (double)y};
        for (int side = 0; side < 2; side++) {
            at[n++] = (place){(double)first, (double)y + side - 0.5};
            at[n++] = (place){(double)last, (double)y + side - 0.5};
        }
    }
    return n;
}

/* ---- in an axial plane ----------------------------------------------------------------------- */

/* A slice of a lesion, and one piece of it. */
typedef struct {
    const lesion_box *box;
    int64_t z;
    uint8_t *mask; /* [y][x]: the enhancing pixels of the piece */
    places points, hull;
} plane;

/* The farthest two corners of the hull. */
static measure_segment longest_of_hull(const plane *p)
{
    measure_segment s = {.mm = -1};
    for (size_t i = 0; i < p->hull.count; i++)
        for (size_t j = 0; j < i; j++) {
            double a[3], b[3];
            to_world(p->box, p->hull.at[j], (double)p->z, a);
            to_world(p->box, p->hull.at[i], (double)p->z, b);
            const double mm = distance(a, b);
            if (mm > s.mm) {
                s.mm = mm;
                memcpy(s.ends[0], a, sizeof a);
                memcpy(s.ends[1], b, sizeof b);
            }
        }
    return s;
}

/* The outline as pairs of points: where a square of four pixels' middles is cut. at has room for 4
 * for each pixel of the slice and one row and column more. */
static size_t outline(const uint8_t *mask, const int64_t shape[3], place *at)
{
    size_t n = 0;
    for (int64_t y = -1; y < shape[1]; y++)
        for (int64_t x = -1; x < shape[0]; x++) {
            const bool a = is_set(mask, shape, x, y), b = is_set(mask, shape, x + 1, y);
            const bool c = is_set(mask, shape, x, y + 1), d = is_set(mask, shape, x + 1, y + 1);
            if (a != b)
                at[n++] = (place){(double)x + 0.5, (double)y};
            if (a != c)
                at[n++] = (place){(double)x, (double)y + 0.5};
            if (b != d)
                at[n++] = (place){(double)x + 1, (double)y + 0.5};
            if (c != d)
                at[n++] = (place){(double)x + 0.5, (double)y + 1};
        }
    return n;
}

/* From the first to the last crossing of the outline by a line across the direction `along`, the
 * longest of all such lines. `along` and `across` are unit vectors of the plane. The length is
 * piecewise linear in the line's place, so that one through a point of the outline is longest. */
static measure_segment longest_across(const plane *p, const double along[3], const double across[3])
{
    measure_segment best = {.mm = -1};
    const size_t n = p->points.count;
    for (size_t i = 0; i < n; i++) {
        double at[3], low = INFINITY, high = -INFINITY, t = 0, w = 0;
        to_world(p->box, p->points.at[i], (double)p->z, at);
        for (int k = 0; k < 3; k++) {
            t += along[k] * at[k];
            w += across[k] * at[k];
        }
        for (size_t j = 0; j < n; j += 2) {
            double end[2][3], s[2] = {0}, v[2] = {0};
            for (int e = 0; e < 2; e++) {
                to_world(p->box, p->points.at[j + (size_t)e], (double)p->z, end[e]);
                for (int k = 0; k < 3; k++) {
                    s[e] += along[k] * end[e][k];
                    v[e] += across[k] * end[e][k];
                }
            }
            if (t < fmin(s[0], s[1]) - 1e-9 || t > fmax(s[0], s[1]) + 1e-9)
                continue;
            const double length = s[1] - s[0];
            const double part = fabs(length) > 1e-9 ? fmin(fmax((t - s[0]) / length, 0), 1) : 0;
            const double crossing = v[0] + part * (v[1] - v[0]);
            low = fmin(low, fabs(length) > 1e-9 ? crossing : fmin(v[0], v[1]));
            high = fmax(high, fabs(length) > 1e-9 ? crossing : fmax(v[0], v[1]));
        }
        if (high - low > best.mm) {
            best.mm = high - low;
            for (int k = 0; k < 3; k++) {
                best.ends[0][k] = at[k] + (low - w) * across[k];
                best.ends[1][k] = at[k] + (high - w) * across[k];
            }
        }
    }
    return best;
}

/* The unit vector of the axial plane that is perpendicular to a segment of it. */
static void direction_across(const lesion_box *b, const measure_segment *s, double along[3],
                             double across[3])
{
    double normal[3], length = 0;
    for (int k = 0; k < 3; k++) {
        const int u = (k + 1) % 3, v = (k + 2) % 3;
        along[k] = (s->ends[1][k] - s->ends[0][k]) / s->mm;
        normal[k] = b->affine[u][0] * b->affine[v][1] - b->affine[v][0] * b->affine[u][1];
    }
    for (int k = 0; k < 3; k++) {
        const int u = (k + 1) % 3, v = (k + 2) % 3;
        across[k] = normal[u] * along[v] - normal[v] * along[u];
        length += across[k] * across[k];
    }
    for (int k = 0; k < 3; k++)
        across[k] /= sqrt(length);
}

/* The diameters of one piece, where they exceed the best so far: the longest first, then, of equal
 * ones, that with the longer perpendicular. */
static void measure_piece(plane *p, measure_lesion *best)
{
    const int64_t *shape = p->box->shape;
    double along[3], across[3];
    p->points.count = row_ends(p->mask, shape, p->points.at);
    if (p->points.count == 0)
        return;
    p->hull.count = convex_hull(p->points.at, p->points.count, p->hull.at);
    const measure_segment axial = longest_of_hull(p);
    if (axial.mm < best->axial.mm - 1e-9)
        return;
    direction_across(p->box, &axial, along, across);
    p->points.count = outline(p->mask, shape, p->points.at);
    const measure_segment perpendicular = longest_across(p, along, across);
    if (axial.mm < best->axial.mm + 1e-9 && perpendicular.mm <= best->perpendicular.mm)
        return;
    best->axial = axial;
    best->perpendicular = perpendicular;
    best->slice = p->z;
}

/* Of both segments, the share that lies in enhancing voxels of the lesion. */
static double enhancing_share(const lesion_box *b, const measure_lesion *l, const double back[4][4])
{
    enum { STEPS = 200 };
    const measure_segment *both[2] = {&l->axial, &l->perpendicular};
    double outside = 0;
    for (int s = 0; s < 2; s++)
        for (int i = 0; i < STEPS; i++) {
            const double share = (i + 0.5) / STEPS;
            int64_t at[3];
            bool in = true;
            for (int k = 0; k < 3; k++) {
                double voxel = back[k][3];
                for (int j = 0; j < 3; j++)
                    voxel += back[k][j] *
                             ((1 - share) * both[s]->ends[0][j] + share * both[s]->ends[1][j]);
                at[k] = llround(voxel);
                in = in && at[k] >= 0 && at[k] < b->shape[k];
            }
            if (!in || !b->et[(at[2] * b->shape[1] + at[1]) * b->shape[0] + at[0]])
                outside += both[s]->mm / STEPS;
        }
    return 1 - outside / (l->axial.mm + l->perpendicular.mm);
}

/* Pieces of the core in the slice, which may hold several parts of a rim; each is measured. */
static ts_status measure_slice(plane *p, measure_lesion *best, ts_error *error)
{
    const lesion_box *b = p->box;
    const int64_t shape[3] = {b->shape[0], b->shape[1], 1}, size = shape[0] * shape[1];
    const uint8_t *et = b->et + p->z * size;
    components pieces;
    if (bytes_are_zero(et, (size_t)size))
        return TS_OK;
    best->slices++;
    const ts_status status = components_find(b->core + p->z * size, shape, &pieces, error);
    for (int32_t n = 1; status == TS_OK && n <= pieces.count; n++) {
        for (int64_t i = 0; i < size; i++)
            p->mask[i] = et[i] && pieces.numbers[i] == n;
        measure_piece(p, best);
    }
    components_free(&pieces);
    return status;
}

ts_status diameters_axial(const lesion_box *b, measure_lesion *out, ts_error *error)
{
    const size_t size = (size_t)(b->shape[0] * b->shape[1]);
    const size_t room = 4 * (size_t)((b->shape[0] + 1) * (b->shape[1] + 1)) + 8;
    plane p = {.box = b};
    ts_status status = TS_MEMORY;
    double back[4][4] = {{0}};
    p.mask = memory_allocate(size, 1, "a lesion", error);
    p.points.at = p.mask ? memory_allocate(room, sizeof(place), "an outline", error) : NULL;
    p.hull.at = p.points.at ? memory_allocate(2 * room, sizeof(place), "an outline", error) : NULL;
    if (!p.hull.at)
        goto end;
    status = TS_OK;
    out->slices = 0;
    out->axial.mm = out->perpendicular.mm = 0;
    for (p.z = 0; status == TS_OK && p.z < b->shape[2]; p.z++)
        status = measure_slice(&p, out, error);
    if (status != TS_OK)
        goto end;
    out->product_mm2 = out->axial.mm * out->perpendicular.mm;
    volume_affine_invert(b->affine, back);
    out->enhancing_share = enhancing_share(b, out, back);
end:
    free(p.mask);
    free(p.points.at);
    free(p.hull.at);
    return status;
}

/* ---- in space -------------------------------------------------------------------------------- */

/* Corners of the hulls of a slice: of its outline in the slice's middle, and of its pixels' middles
 * half a voxel above and below. all has room for 18 a row. */
static size_t slice_corners(const lesion_box *b, int64_t z, place *points, place *hull,
                            double (*all)[3])
{
    const uint8_t *mask = b->et + z * b->shape[0] * b->shape[1];
    size_t n = 0, count = row_ends(mask, b->shape, points);
    if (count == 0)
        return 0;
    count = convex_hull(points, count, hull);
    for (size_t i = 0; i < count; i++)
        to_world(b, hull[i], (double)z, all[n++]);
    count = 0;
    for (int64_t y = 0; y < b->shape[1]; y++)
        for (int64_t x = 0; x < b->shape[0]; x++)
            if (is_set(mask, b->shape, x, y) &&
                (!is_set(mask, b->shape, x - 1, y) || !is_set(mask, b->shape, x + 1, y)))
                points[count++] = (place){(double)x, (double)y};
    count = convex_hull(points, count, hull);
    for (size_t i = 0; i < count; i++)
        for (int side = 0; side < 2; side++)
            to_world(b, hull[i], (double)z + side - 0.5, all[n++]);
    return n;
}

ts_status diameter_longest(const lesion_box *b, measure_lesion *out, ts_error *error)
{
    const size_t room = 6 * (size_t)((b->shape[0] + 1) * (b->shape[1] + 1)) + 8;
    const size_t rows = (size_t)(b->shape[1] * b->shape[2]);
    place *points = memory_allocate(room, sizeof *points, "an outline", error);
    place *hull = points ? memory_allocate(2 * room, sizeof *hull, "an outline", error) : NULL;
    /* a hull has at most two corners of each row and what lies half a pixel beside them */
    double(*all)[3] =
        hull ? memory_allocate(18 * rows + 18, sizeof *all, "an outline", error) : NULL;
    size_t count = 0;
    out->longest.mm = 0;
    for (int64_t z = 0; all && z < b->shape[2]; z++)
        count += slice_corners(b, z, points, hull, all + count);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++) {
            const double mm = distance(all[j], all[i]);
            if (mm > out->longest.mm) {
                out->longest.mm = mm;
                memcpy(out->longest.ends[0], all[j], sizeof all[j]);
                memcpy(out->longest.ends[1], all[i], sizeof all[i]);
            }
        }
    free(points);
    free(hull);
    const ts_status status = all ? TS_OK : TS_MEMORY;
    free(all);
    return status;
}
