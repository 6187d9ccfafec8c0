/* Kinds, sizes and sites are drawn after the BraTS cohorts: a core of 1 to 150 ml, edema of
 * several times that, most with a ring, some without enhancing tumour or without necrosis. */
#include "phantom/tumour.h"

#include <string.h>

/* exp(mean + deviation n), held within [low, high]. */
static float log_normal(random_stream *r, double median, double deviation, double low, double high)
{
    return (float)fmax(low, fmin(high, median * exp(deviation * random_normal(r))));
}

/* A place in the cerebrum, away from midline and ventricles, its depth fit for the core's size. */
static void draw_site(random_stream *r, const anatomy *a, float radius, float centre[3])
{
    static const float fallback[3] = {32, -10, 28};
    memcpy(centre, fallback, sizeof fallback);
    for (int attempt = 0; attempt < 400; attempt++) {
        const float p[3] = {(float)random_uniform(r, -62, 62), (float)random_uniform(r, -80, 80),
                            (float)random_uniform(r, -35, 65)};
        anatomy_point place;
        anatomy_at(a, p, p, 1, &place);
        if (place.cerebrum < 6 + 0.45f * radius || fabsf(p[0]) < 8 + 0.45f * radius ||
            place.ventricle > -3)
            continue;
        memcpy(centre, p, sizeof p);
        return;
    }
}

static lobe lobe_near(random_stream *r, const float centre[3], double distance, double radius)
{
    lobe l;
    double direction[3], norm = 0;
    for (int k = 0; k < 3; k++) {
        direction[k] = random_normal(r);
        norm += direction[k] * direction[k];
    }
    norm = norm > 1e-12 ? sqrt(norm) : 1;
    for (int k = 0; k < 3; k++) {
        l.centre[k] = centre[k] + (float)(distance * direction[k] / norm);
        l.radii[k] = (float)(radius * random_uniform(r, 0.8, 1.25));
    }
    return l;
}

tumour tumour_draw(random_stream *r, const anatomy *a)
{
    tumour t = {0};
    const double u = random_uniform(r, 0, 1);
    t.kind = u < 0.62   ? TUMOUR_RING
             : u < 0.77 ? TUMOUR_PATCHY
             : u < 0.88 ? TUMOUR_SOLID
                        : TUMOUR_NON_ENHANCING;
    t.radius_mm = log_normal(r, t.kind == TUMOUR_SOLID ? 14 : 20, 0.3, 8, 33);
    draw_site(r, a, t.radius_mm, t.centre);
    t.lobes = 1 + (int)random_below(r, TUMOUR_LOBES_MAX);
    t.lobe[0] = lobe_near(r, t.centre, 0, t.radius_mm * (t.lobes > 1 ? 0.85 : 1));
    for (int i = 1; i < t.lobes; i++)
        t.lobe[i] = lobe_near(r, t.centre, t.radius_mm * random_uniform(r, 0.5, 0.85),
                              t.radius_mm * random_uniform(r, 0.4, 0.65));
    t.rim_mm = log_normal(r, 7.5, 0.35, 3, 14);
    if (t.kind == TUMOUR_SOLID)
        t.rim_mm = 3 * t.radius_mm;
    t.edema_mm = log_normal(r, t.kind == TUMOUR_NON_ENHANCING ? 9 : 15, 0.4, 4, 32);
    t.push_mm = t.radius_mm * (float)random_uniform(r, 0.1, 0.4);
    t.solidity = (float)random_uniform(r, 0.05, 0.5);
    t.septa = random_chance(r, 0.4) ? (float)random_uniform(r, 0.1, 0.2) : 0;
    if (t.kind != TUMOUR_NON_ENHANCING)
        t.satellites = (int)random_below(r, TUMOUR_SATELLITES_MAX + 1);
    for (int i = 0; i < t.satellites; i++)
        t.satellite[i] =
            lobe_near(r, t.centre, t.radius_mm + t.edema_mm * random_uniform(r, 0.35, 0.9),
                      random_uniform(r, 2.5, 6));
    const float bridge[3] = {0, clamped(t.centre[1], -28, 32), 22};
    memcpy(t.bridge, bridge, sizeof bridge);
    t.surface = field_draw(r, 16, 10, 30);
    t.rim = field_draw(r, 12, 10, 24);
    t.patches = field_draw(r, 12, 18, 40);
    t.front = field_draw(r, 12, 16, 50);
    t.texture = field_draw(r, 16, 5, 16);
    return t;
}

static float distance_between(const float a[3], const float b[3])
{
    const float x = a[0] - b[0], y = a[1] - b[1], z = a[2] - b[2];
    return sqrtf(x * x + y * y + z * z);
}

/* Points move outwards by push at the core's surface, by a Gaussian's tail beyond. Within the core
 * the shift grows from 0, so that the map stays one to one. */
void tumour_source(const tumour *t, const float template[3], float source[3])
{
    const float distance = distance_between(template, t->centre), r = distance / t->radius_mm;
    const float shift = t->push_mm * (r < 1 ? r : expf(-0.5f * (r - 1) * (r - 1)));
    const float scale = distance > 1e-3f ? shift / distance : 0;
    for (int k = 0; k < 3; k++)
        source[k] = template[k] - scale * (template[k] - t->centre[k]);
}

/* Depth within the core, lobes together, the surface roughened; negative outside. */
static float core_depth(const tumour *t, const float p[3])
{
    float depth = ellipsoid_depth(p, t->lobe[0].centre, t->lobe[0].radii);
    for (int i = 1; i < t->lobes; i++)
        depth = smooth_maximum(depth, ellipsoid_depth(p, t->lobe[i].centre, t->lobe[i].radii), 4);
    if (depth < -0.6f * t->radius_mm)
        return depth;
    return depth + 0.13f * t->radius_mm * field_at(&t->surface, p);
}

static float satellite_depth(const tumour *t, const float p[3])
{
    float depth = -1000;
    for (int i = 0; i < t->satellites; i++)
        depth = fmaxf(depth, ellipsoid_depth(p, t->satellite[i].centre, t->satellite[i].radii));
    return depth;
}

/* Path from the core to p: across the midline only through the corpus callosum. */
static float path_outside(const tumour *t, const float p[3], float core, float midline)
{
    const bool other_side = (midline > 0) != (t->centre[0] > 0);
    if (!other_side)
        return -core;
    const float path = distance_between(t->centre, t->bridge) + distance_between(t->bridge, p);
    return fmaxf(-core, path - t->radius_mm);
}

/* How much of white, grey and deep grey matter the edema's front has reached, 0 to 1 each.
 * It reaches farthest along white matter and spares the cortex. */
static void edema_reach(const tumour *t, const float p[3], float outside, float reach[TISSUES])
{
    static const float share_of_reach[TISSUES] = {
        [TISSUE_WHITE] = 1, [TISSUE_GLIOSIS] = 1, [TISSUE_DEEP_GREY] = 0.5f, [TISSUE_GREY] = 0.4f};
    const float front = 1 + 0.38f * field_at(&t->front, p);
    for (int i = 0; i < TISSUES; i++)
        reach[i] = share_of_reach[i] > 0
                       ? inside_share(t->edema_mm * front * share_of_reach[i] - outside, 4)
                       : 0;
}

/* Shares of necrosis, solid and enhancing tumour within the core at that depth; sum 1. */
static void core_mixture(const tumour *t, const float p[3], float core, float satellite, float h,
                         float mixture[TISSUES])
{
    const float texture = field_at(&t->texture, p);
    float within = inside_share(core - t->rim_mm * (1 + 0.45f * field_at(&t->rim, p)), h);
    if (t->septa > 0)
        within *= clamped((fabsf(field_at(&t->rim, p)) - t->septa) * 8, 0, 1);
    if (t->kind == TUMOUR_NON_ENHANCING)
        within *= 0.5f;
    const float leaky_above = t->kind == TUMOUR_PATCHY ? 0.1f : -1.3f;
    float leak = t->kind == TUMOUR_NON_ENHANCING
                     ? 0
                     : clamped((field_at(&t->patches, p) - leaky_above) * 3, 0, 1);
    if (satellite > core) {
        within = 0;
        leak = 1;
    }
    leak *= 0.9f + 0.1f * clamped(texture, -2, 1);
    const float viable = clamped(t->solidity + 0.25f * texture, 0, 0.8f);
    mixture[TISSUE_NECROSIS] = within * (1 - viable);
    mixture[TISSUE_ENHANCING] = (1 - within) * leak;
    mixture[TISSUE_SOLID] = 1 - mixture[TISSUE_NECROSIS] - mixture[TISSUE_ENHANCING];
}

int tumour_apply(const tumour *t, const float p[3], float h, anatomy_point *place)
{
    const float bound = 2.2f * t->radius_mm + 1.6f * t->edema_mm + 12;
    if (distance_between(p, t->centre) > bound)
        return LABEL_BACKGROUND;
    const float falx = place->midline * (t->centre[0] > 0 ? 1 : -1); /* positive on its side */
    const float satellite = satellite_depth(t, p);
    const float core = fmaxf(core_depth(t, p), satellite);
    float *share = place->share, reach[TISSUES], parts[LABELS] = {0};

    edema_reach(t, p, path_outside(t, p, core, place->midline), reach);
    /* Water comes as a gradient: nearly all of it at the core, half of it at the front. */
    const float water =
        clamped(0.95f + 0.4f * core / t->edema_mm, 0.5f, 0.95f) + 0.05f * field_at(&t->texture, p);
    for (int i = 0; i < TISSUES; i++) {
        if (reach[i] <= 0 || share[i] <= 0)
            continue;
        const float reached = share[i] * reach[i], moved = reached * clamped(water, 0, 1);
        share[i] -= moved;
        share[TISSUE_EDEMA] += moved;
        parts[LABEL_ED] += reached;
    }
    const float held = fminf(fminf(place->cerebrum - 1, falx - 1), -place->ventricle);
    const float taken = inside_share(fminf(core, held), h);
    if (taken > 0) {
        float mixture[TISSUES] = {0};
        core_mixture(t, p, core, satellite, h, mixture);
        for (int i = 0; i < TISSUES; i++)
            share[i] = share[i] * (1 - taken) + mixture[i] * taken;
        parts[LABEL_ED] *= 1 - taken;
        parts[LABEL_ET] = taken * mixture[TISSUE_ENHANCING];
        parts[LABEL_NCR] = taken - parts[LABEL_ET];
    }
    if (parts[LABEL_ED] + parts[LABEL_ET] + parts[LABEL_NCR] < 0.5f)
        return LABEL_BACKGROUND;
    if (parts[LABEL_ED] >= parts[LABEL_ET] + parts[LABEL_NCR])
        return LABEL_ED;
    return parts[LABEL_ET] > parts[LABEL_NCR] ? LABEL_ET : LABEL_NCR;
}
