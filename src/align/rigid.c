/* The search for the rigid transform: Powell's method (1964), six parameters, coarse to fine. */
#include "align/level.h"
#include "align/search.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PARAMETERS = 6, STARTS = 54, KEPT = 4, ROUNDS = 8 };

/* Parameters: rotation vector about the fixed image's centre, in mm of arc at this radius (about a
 * brain's), then shift in mm: a unit of each moves the brain about equally. */
static const double radius_mm = 60;
static const double reach_mm = 100; /* no line is followed farther */

typedef struct {
    double at[PARAMETERS], value; /* normalised mutual information */
} state;

typedef struct {
    const level_points *points;
    const level_image *moving;
    pool *pool;
} objective;

/* x -> R (x - centre) + centre + shift. */
static void make_transform(const double at[PARAMETERS], const double centre[3], double out[4][4])
{
    const double v[3] = {at[0] / radius_mm, at[1] / radius_mm, at[2] / radius_mm};
    const double angle = sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
    /* Rodrigues: R = I + sin(a)/a [v] + (1 - cos(a))/a^2 [v]^2 */
    const double s = angle > 1e-9 ? sin(angle) / angle : 1;
    const double c = angle > 1e-9 ? (1 - cos(angle)) / (angle * angle) : 0.5;
    const double cross[3][3] = {{0, -v[2], v[1]}, {v[2], 0, -v[0]}, {-v[1], v[0], 0}};
    memset(out, 0, 16 * sizeof(double));
    out[3][3] = 1;
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 3; j++)
            out[i][j] = (i == j) * (1 - c * angle * angle) + s * cross[i][j] + c * v[i] * v[j];
        out[i][3] = centre[i] + at[3 + i];
        for (int j = 0; j < 3; j++)
            out[i][3] -= out[i][j] * centre[j];
    }
}

static double evaluate(const objective *o, const double at[PARAMETERS])
{
    double transform[4][4];
    make_transform(at, o->points->centre, transform);
    return level_compare(o->points, o->moving, transform, o->pool).nmi;
}

/* ---- Powell's method ------------------------------------------------------------------------- */

static double along(const objective *o, const state *s, const double direction[PARAMETERS],
                    double t)
{
    double at[PARAMETERS];
    for (int i = 0; i < PARAMETERS; i++)
        at[i] = s->at[i] + t * direction[i];
    return evaluate(o, at);
}

/* Moves to the highest point of a line near s: a step uphill as long as it climbs, doubled each
 * time, then golden sections down to `tolerance`. */
static void climb(const objective *o, state *s, const double direction[PARAMETERS], double step,
                  double tolerance)
{
    static const double golden = 0.3819660112501051;
    double low = -step, mid = 0, high = step, value = s->value;
    const double forward = along(o, s, direction, step), backward = along(o, s, direction, -step);
    if (forward > value || backward > value) {
        low = 0;
        mid = forward >= backward ? step : -step;
        value = fmax(forward, backward);
        for (high = 2 * mid; fabs(high) < reach_mm; high *= 2) {
            const double next = along(o, s, direction, high);
            if (next <= value)
                break;
            low = mid;
            mid = high;
            value = next;
        }
    }
    while (fabs(high - low) > tolerance) {
        const bool upper = fabs(high - mid) > fabs(mid - low);
        const double try = upper ? mid + golden * (high - mid) : mid + golden * (low - mid);
        const double found = along(o, s, direction, try);
        if (found > value) {
            *(upper ? &low : &high) = mid;
            mid = try;
            value = found;
        } else {
            *(upper ? &high : &low) = try;
        }
    }
    for (int i = 0; i < PARAMETERS; i++)
        s->at[i] += mid * direction[i];
    s->value = value;
}

/* Lines along a set of directions in turn; then the way of the whole round takes the place of the
 * direction that gained most. */
static void maximise(const objective *o, state *s, double step, double tolerance)
{
    double directions[PARAMETERS][PARAMETERS] = {{0}};
    for (int i = 0; i < PARAMETERS; i++)
        directions[i][i] = 1;
    s->value = evaluate(o, s->at);
    for (int round = 0; round < ROUNDS; round++) {
        const state start = *s;
        double most = 0, way[PARAMETERS], length = 0;
        int best = 0;
        for (int i = 0; i < PARAMETERS; i++) {
            const double was = s->value;
            climb(o, s, directions[i], step, tolerance);
            if (s->value - was > most) {
                most = s->value - was;
                best = i;
            }
        }
        for (int i = 0; i < PARAMETERS; i++)
            length += (s->at[i] - start.at[i]) * (s->at[i] - start.at[i]);
        length = sqrt(length);
        if (length < tolerance)
            return;
        for (int i = 0; i < PARAMETERS; i++)
            way[i] = (s->at[i] - start.at[i]) / length;
        climb(o, s, way, step, tolerance);
        memcpy(directions[best], directions[PARAMETERS - 1], sizeof way);
        memcpy(directions[PARAMETERS - 1], way, sizeof way);
        step = fmax(fmin(step, length), tolerance);
    }
}

/* ---- coarse to fine -------------------------------------------------------------------------- */

static int compare_states(const void *a, const void *b)
{
    const double x = ((const state *)a)->value, y = ((const state *)b)->value;
    return (x < y) - (x > y);
}

/* The best of many beginnings: as the headers place the images, or with their centres of mass
 * aligned; upright, or turned by 20 degrees about each axis either way. */
static void begin(const objective *o, const level_image *fixed, state kept[KEPT])
{
    state starts[STARTS] = {0};
    double here[3], there[3];
    level_centre(fixed, here);
    level_centre(o->moving, there);
    for (int i = 0; i < STARTS; i++) {
        for (int k = 0, rest = i % 27; k < 3; k++, rest /= 3) {
            starts[i].at[k] = (rest % 3 - 1) * 20 * M_PI / 180 * radius_mm;
            starts[i].at[3 + k] = i < 27 ? 0 : there[k] - here[k];
        }
        starts[i].value = evaluate(o, starts[i].at);
    }
    qsort(starts, STARTS, sizeof *starts, compare_states);
    for (int i = 0; i < KEPT; i++) {
        kept[i] = starts[i];
        maximise(o, &kept[i], 4, 0.5);
    }
    qsort(kept, KEPT, sizeof *kept, compare_states);
}

static void describe(const objective *o, const state *s, alignment *out)
{
    static const double identity[4][4] = {{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}, {0, 0, 0, 1}};
    double moved[3];
    const double *centre = o->points->centre;
    memcpy(out->centre_mm, centre, sizeof out->centre_mm);
    make_transform(s->at, centre, out->transform);
    volume_affine_apply(out->transform, centre, moved);
    out->angle_degrees = sqrt(s->at[0] * s->at[0] + s->at[1] * s->at[1] + s->at[2] * s->at[2]) /
                         radius_mm * 180 / M_PI;
    out->shift_mm = sqrt((moved[0] - centre[0]) * (moved[0] - centre[0]) +
                         (moved[1] - centre[1]) * (moved[1] - centre[1]) +
                         (moved[2] - centre[2]) * (moved[2] - centre[2]));
    out->before = level_compare(o->points, o->moving, identity, o->pool);
    out->after = level_compare(o->points, o->moving, out->transform, o->pool);
}

/* The centre that parameters refer to differs from level to level: the transform is what is
 * kept. */
static void change_centre(state *s, const double from[3], const double to[3])
{
    double transform[4][4], moved[3];
    make_transform(s->at, from, transform);
    volume_affine_apply(transform, to, moved);
    for (int k = 0; k < 3; k++)
        s->at[3 + k] = moved[k] - to[k];
}

typedef struct {
    double spacing_mm, step, tolerance;
} level;

/* What one level hands to the next. */
typedef struct {
    state kept[KEPT];
    double centre[3];
} search;

static ts_status begin_search(const objective *o, const volume *fixed, double spacing_mm, search *s,
                              ts_error *error)
{
    level_image coarse;
    const ts_status status = level_image_make(fixed, spacing_mm, &coarse, error);
    if (status != TS_OK)
        return status;
    begin(o, &coarse, s->kept);
    level_image_free(&coarse);
    return TS_OK;
}

/* The first level begins; the second goes on from the best two, the others from the better one. */
static ts_status search_level(const objective *o, const volume *fixed, const level *l, size_t index,
                              search *s, ts_error *error)
{
    if (index == 0)
        return begin_search(o, fixed, l->spacing_mm, s, error);
    for (int k = 0; k < (index == 1 ? 2 : 1); k++) {
        change_centre(&s->kept[k], s->centre, o->points->centre);
        maximise(o, &s->kept[k], l->step, l->tolerance);
    }
    if (index == 1)
        qsort(s->kept, 2, sizeof *s->kept, compare_states);
    return TS_OK;
}

static ts_status run_level(const volume *fixed, const volume *moving, const level *l, size_t index,
                           pool *p, search *s, alignment *out, ts_error *error)
{
    level_points points = {0};
    level_image image = {0};
    ts_status status = level_points_make(fixed, l->spacing_mm, &points, error);
    if (status != TS_OK)
        return status;
    status = level_image_make(moving, l->spacing_mm, &image, error);
    if (status != TS_OK)
        goto end;
    const objective o = {&points, &image, p};
    status = search_level(&o, fixed, l, index, s, error);
    if (status != TS_OK)
        goto end;
    memcpy(s->centre, points.centre, sizeof s->centre);
    describe(&o, &s->kept[0], out);
end:
    level_points_free(&points);
    level_image_free(&image);
    return status;
}

ts_status rigid_search(const volume *fixed, const volume *moving, size_t count, pool *p,
                       alignment *out, ts_error *error)
{
    static const level levels[SEARCH_ALL] = {
        {8, 4, 0.5}, {4, 2, 0.2}, {2, 1, 0.05}, {1, 0.3, 0.02}};
    search s = {0};
    for (size_t i = 0; i < count; i++) {
        const ts_status status = run_level(fixed, moving, &levels[i], i, p, &s, out, error);
        if (status != TS_OK)
            return status;
        if (interrupt_requested())
            return error_set(error, TS_STOPPED, "stopped during registration");
    }
    return TS_OK;
}

/* How far two transforms take the fixed image's middle, and the six places that lie `radius_mm` from
 * it along the axes, from each other: the mean. */
static double distance_between(const double a[4][4], const double b[4][4], const double centre[3])
{
    double sum = 0;
    for (int i = 0; i < 7; i++) {
        double at[3] = {centre[0], centre[1], centre[2]}, p[3], q[3], square = 0;
        if (i > 0)
            at[(i - 1) / 2] += i % 2 ? radius_mm : -radius_mm;
        volume_affine_apply(a, at, p);
        volume_affine_apply(b, at, q);
        for (int k = 0; k < 3; k++)
            square += (p[k] - q[k]) * (p[k] - q[k]);
        sum += sqrt(square) / 7;
    }
    return sum;
}

ts_status align_rigid(const volume *fixed, const volume *moving, pool *p, alignment *out,
                      ts_error *error)
{
    alignment back;
    double inverse[4][4];
    ts_status status = rigid_search(fixed, moving, SEARCH_ALL, p, out, error);
    if (status == TS_OK)
        status = rigid_search(moving, fixed, SEARCH_BACK, p, &back, error);
    if (status != TS_OK)
        return status;
    volume_affine_invert(back.transform, inverse);
    out->disagreement_mm = distance_between(out->transform, inverse, out->centre_mm);
    return TS_OK;
}
