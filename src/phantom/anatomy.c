/* A template brain of the size of the BraTS atlas (140 x 172 x 140 mm), made of signed distances:
 * hemispheres, fissures, sulci, cortex, ventricles, deep grey, cerebellum, brainstem. Sulci are the
 * zero sheets of a random field that is constant along the depth, so that they stand upright on
 * the surface as real ones do. A voxel's shares come from the depth of its centre below each
 * surface: the partial volume of a plane through the voxel. */
#include "phantom/anatomy.h"

#include <string.h>

static const float cerebrum_centre[3] = {0, 0, 0};

anatomy anatomy_draw(random_stream *r)
{
    anatomy a = {0};
    double angle[3];
    const double size = random_uniform(r, 0.95, 1.05);
    for (int k = 0; k < 3; k++) {
        angle[k] = 0.05 * random_normal(r); /* radians: what registration leaves */
        angle[k] = fmax(-0.1, fmin(0.1, angle[k]));
        a.scale[k] = (float)(size * random_uniform(r, 0.97, 1.03));
    }
    const double cx = cos(angle[0]), sx = sin(angle[0]), cy = cos(angle[1]), sy = sin(angle[1]);
    const double cz = cos(angle[2]), sz = sin(angle[2]);
    const double rotation[3][3] = {{cy * cz, sx * sy * cz - cx * sz, cx * sy * cz + sx * sz},
                                   {cy * sz, sx * sy * sz + cx * cz, cx * sy * sz - sx * cz},
                                   {-sy, sx * cy, cx * cy}};
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++)
            a.rotation[i][k] = (float)rotation[i][k];
    a.ventricles = 1.3f * (float)exp(0.25 * random_normal(r));
    a.ventricles = clamped(a.ventricles, 0.7f, 2);
    a.atrophy = (float)random_uniform(r, 0, 1);
    a.ribbon_mm = (float)random_uniform(r, 2.8, 3.5);
    a.fold_depth_mm = (float)random_uniform(r, 14, 19);
    a.gliosis = (float)fmax(0, random_uniform(r, -0.8, 1));
    a.asymmetry_mm = (float)random_uniform(r, -2, 2);
    a.hull = field_draw(r, 8, 55, 110);
    for (int k = 0; k < 3; k++)
        a.bend[k] = field_draw(r, 8, 36, 80);
    a.folds = field_draw(r, 24, 18, 27);
    a.depths = field_draw(r, 8, 30, 60);
    a.vessels = field_draw(r, 12, 30, 45);
    a.spots = field_draw(r, 16, 12, 24);
    return a;
}

void anatomy_to_template(const anatomy *a, const float head[3], float template[3])
{
    for (int i = 0; i < 3; i++)
        template[i] = (a->rotation[i][0] * head[0] + a->rotation[i][1] * head[1] +
                       a->rotation[i][2] * head[2]) /
                      a->scale[i];
}

/* The underside falls from the frontal lobes to the temporal lobes and rises to the tentorium. */
static float cerebrum_depth(const float t[3], float bulge)
{
    const float across = (fabsf(t[0]) - 41) / 19, along = (t[1] + 10) / 36;
    const float temporal = expf(-0.5f * (across * across + along * along));
    const float underside = -25 - 19 * temporal + (t[1] > 20 ? 0.14f * (t[1] - 20) : 0);
    const float radii[3] = {66 + 0.045f * t[1], 86, t[2] > 0 ? 69 : 56};
    const float depth = ellipsoid_depth(t, cerebrum_centre, radii) + bulge;
    return smooth_minimum(depth, 0.9f * (t[2] - underside) + 0.5f * bulge, 9);
}

static float cerebellum_depth(const float t[3], float bulge)
{
    static const float centre[3] = {0, 47, -41}, radii[3] = {54, 36, 27};
    const float notch =
        5 * expf(-t[0] * t[0] / 50) * (t[1] > 50 ? 1 : (t[1] > 40 ? (t[1] - 40) / 10 : 0));
    return ellipsoid_depth(t, centre, radii) - notch + 0.4f * bulge;
}

static float brainstem_depth(const float t[3])
{
    static const float midbrain[3] = {0, 8, -12}, pons[3] = {0, 17, -38}, medulla[3] = {0, 34, -84};
    return fmaxf(cone_depth(t, midbrain, 15, pons, 16), cone_depth(t, pons, 15, medulla, 8));
}

float anatomy_mask(const anatomy *a, const float t[3], float *cerebrum)
{
    const float bulge = 2.2f * field_at(&a->hull, t);
    *cerebrum = cerebrum_depth(t, bulge);
    const float below = smooth_maximum(cerebellum_depth(t, bulge), brainstem_depth(t), 8);
    return smooth_maximum(*cerebrum, below, 4) + 0.4f * a->atrophy;
}

/* Distance from the falx: a sheet at x = wobble, open below the ellipse of the corpus callosum. */
static float fissure_distance(const anatomy *a, const float t[3], const float bend[3],
                              float *midline)
{
    const float y = (t[1] - 3) / 44, z = (t[2] - 2) / 29;
    const float radius = sqrtf(y * y + z * z), below_callosum = fmaxf(1 - radius, 0) * 32;
    *midline = t[0] - a->asymmetry_mm * (t[1] / 86) - 0.8f * bend[0];
    return sqrtf(*midline * *midline + below_callosum * below_callosum) - 0.6f - 0.5f * a->atrophy;
}

/* Distance from the lateral fissure, a sloping sheet that ends at the insula. */
static float sylvian_distance(const anatomy *a, const float t[3], const float bend[3])
{
    const float side = fabsf(t[0]), sheet = (t[2] + 11 - 0.5f * (t[1] + 10) + 2 * bend[2]) * 0.89f;
    const float inwards = fmaxf(37 - side, 0),
                beyond = fmaxf(fabsf(t[1] - 2 + 2 * bend[1]) - 33, 0);
    const float width = 1 + a->atrophy + 0.05f * fmaxf(side - 37, 0);
    return sqrtf(sheet * sheet + inwards * inwards + beyond * beyond) - width;
}

/* Distance from the nearest sulcus; that from its sheet alone into *sheet. The field is read at a
 * point drawn towards the hull: sheets then run along the depth. */
static float sulcus_distance(const anatomy *a, const float t[3], const float bend[3], float depth,
                             bool medial, float *sheet)
{
    const float inwards =
        sqrtf(t[0] * t[0] / (66 * 66) + t[1] * t[1] / (86 * 86) + t[2] * t[2] / (64 * 64));
    const float draw = medial ? 1 : 0.45f + 0.55f / fmaxf(inwards, 0.4f);
    float u[3], gradient[3];
    for (int k = 0; k < 3; k++)
        u[k] = t[k] * draw + 4 * bend[k];
    const float value = field_gradient(&a->folds, u, gradient);
    const float slope =
        sqrtf(gradient[0] * gradient[0] + gradient[1] * gradient[1] + gradient[2] * gradient[2]);
    /* 0.08 per mm is a third of the usual slope: flat places make no lakes */
    *sheet = fabsf(value) / (fmaxf(slope, 0.08f) * draw);
    const float reach = (medial ? 0.6f : 1) * (a->fold_depth_mm + 3.5f * field_at(&a->depths, t));
    const float below = fmaxf(depth - reach, 0);
    const float width = (0.2f + 0.7f * a->atrophy) * clamped(1.3f - depth / reach, 0.35f, 1.3f);
    return sqrtf(*sheet * *sheet + below * below) - width;
}

/* Depth within the ventricles: horns, body and temporal horn of either side, third and fourth. */
static float ventricle_depth(const anatomy *a, const float t[3])
{
    static const float path[6][4] = {{10, -32, 6, 3.5f}, {8, -6, 17, 5}, {15, 22, 18, 5.5f},
                                     {25, 37, 5, 6.5f},  {24, 62, 1, 2}, {31, 4, -17, 2}};
    static const int segments[5][2] = {{0, 1}, {1, 2}, {2, 3}, {3, 4}, {3, 5}};
    static const float third[3] = {0, 6, 1}, fourth[3] = {0, 33, -38};
    const float size = a->ventricles;
    const float p[3] = {fabsf(t[0] + 0.5f * a->asymmetry_mm), t[1], t[2]};
    const float third_radii[3] = {2.2f * size, 13, 11}, fourth_radii[3] = {6 * size, 5, 8};
    float depth = ellipsoid_depth(t, third, third_radii);
    depth = fmaxf(depth, ellipsoid_depth(t, fourth, fourth_radii));
    for (int i = 0; i < 5; i++) {
        const float *from = path[segments[i][0]], *to = path[segments[i][1]];
        depth = fmaxf(depth, cone_depth(p, from, from[3] * size, to, to[3] * size));
    }
    return depth;
}

static float deep_grey_depth(const float t[3])
{
    static const float thalamus[3] = {11, 14, 6}, thalamus_radii[3] = {9, 14, 9};
    static const float putamen[3] = {27, 0, 3}, putamen_radii[3] = {5.5f, 18, 10};
    static const float pallidum[3] = {19, 2, 0}, pallidum_radii[3] = {5, 9, 6};
    static const float head[3] = {16, -24, 8}, tail[3] = {20, 12, 20};
    const float p[3] = {fabsf(t[0]), t[1], t[2]};
    const float lens = fmaxf(ellipsoid_depth(p, putamen, putamen_radii),
                             ellipsoid_depth(p, pallidum, pallidum_radii));
    const float caudate = cone_depth(p, head, 6, tail, 2.5f);
    return fmaxf(fmaxf(lens, caudate), ellipsoid_depth(p, thalamus, thalamus_radii));
}

/* Cerebellum: a white core in a grey mantle; folia, 4 mm apart, are CSF at a fraction of a
 * voxel. */
static void cerebellum_shares(const float t[3], const float bend[3], float depth, float h,
                              float share[TISSUES])
{
    const float fold = cosf(1.5f * (t[2] + 0.5f * t[1] + 3 * bend[1])), pial = depth - 0.8f;
    const float gap = clamped(fold - 0.6f, 0, 0.4f) * clamped(1 - pial / 12, 0, 1);
    const float brain = inside_share(pial, h) * (1 - gap);
    const float white = inside_share(pial - 9 - 3 * fold, fmaxf(h, 3));
    share[TISSUE_CSF] = 1 - brain;
    share[TISSUE_WHITE] = brain * white * 0.9f;
    share[TISSUE_GREY] = brain - share[TISSUE_WHITE];
}

/* Moves `amount` (0 to 1) of all tissues but CSF to one tissue. */
static void take_over(float share[TISSUES], tissue_kind kind, float amount)
{
    if (amount <= 0)
        return;
    const float parenchyma = 1 - share[TISSUE_CSF];
    for (int i = 0; i < TISSUES; i++)
        if (i != TISSUE_CSF)
            share[i] *= 1 - amount;
    share[kind] += parenchyma * amount;
}

/* Ventricles, deep grey, hyperintensities of age around the ventricles and in spots. */
static void add_inner_structures(const anatomy *a, const float s[3], const float bend[3],
                                 float pial, float h, anatomy_point *out)
{
    float *share = out->share;
    out->ventricle = ventricle_depth(a, s) + 0.7f * bend[2];
    take_over(share, TISSUE_DEEP_GREY,
              0.85f * inside_share(deep_grey_depth(s) + bend[1], h + 1.5f));
    if (a->gliosis > 0 && share[TISSUE_WHITE] > 0.3f && pial > 6) {
        const float cap = (1.5f + 3.5f * a->gliosis) + 1.5f * bend[0] + out->ventricle;
        const float spot = field_at(&a->spots, s) - 3 + 0.9f * a->gliosis;
        const float amount = fmaxf(clamped(cap / 3, 0, 1), clamped(spot * 3, 0, 1));
        const float changed = 0.8f * amount * share[TISSUE_WHITE];
        share[TISSUE_WHITE] -= changed;
        share[TISSUE_GLIOSIS] += changed;
    }
    const float water = inside_share(out->ventricle, h);
    if (water > 0) {
        static const float plexus[3] = {24, 35, 5}, plexus_radii[3] = {2.5f, 6, 3};
        const float p[3] = {fabsf(s[0]), s[1], s[2]};
        const float blood =
            0.8f * water * inside_share(ellipsoid_depth(p, plexus, plexus_radii), h);
        for (int i = 0; i < TISSUES; i++)
            share[i] *= 1 - water;
        share[TISSUE_CSF] += water - blood;
        share[TISSUE_BLOOD] += blood;
    }
}

/* Hemispheres: CSF in sulci and fissures, veins along the sulci, cortex, white matter. Returns the
 * depth below the pial surface. */
static float cerebrum_shares(const anatomy *a, const float s[3], const float bend[3], float surface,
                             float h, anatomy_point *out)
{
    const float fissure = fissure_distance(a, s, bend, &out->midline);
    const float sylvian = sylvian_distance(a, s, bend);
    const float open = fminf(fissure, sylvian), depth = fmaxf(fminf(surface, open), 0);
    float sheet;
    const float sulcus = sulcus_distance(a, s, bend, depth, fissure < fminf(surface, 14), &sheet);
    const float pial = fminf(smooth_minimum(surface - 0.3f, sulcus, 1.5f), open);
    const float brain = inside_share(pial, h);
    const float white = inside_share(pial - a->ribbon_mm, h);
    const float across = field_at(&a->vessels, s) * 5; /* its slope is about 1/5 per mm */
    const float vein = sqrtf(sheet * sheet + across * across);
    const float thin = fminf(1, 4 / (h * h)); /* a vein of 2 mm within a voxel of h */
    const float blood = (1 - brain) * thin * inside_share(1.1f - vein, h);
    out->share[TISSUE_WHITE] = white;
    out->share[TISSUE_GREY] = brain - white;
    out->share[TISSUE_BLOOD] = blood;
    out->share[TISSUE_CSF] = 1 - brain - blood;
    return pial;
}

void anatomy_at(const anatomy *a, const float template[3], const float source[3], float h,
                anatomy_point *out)
{
    memset(out, 0, sizeof *out);
    const float bulge = 2.2f * field_at(&a->hull, template);
    float bend[3];
    for (int k = 0; k < 3; k++)
        bend[k] = field_at(&a->bend[k], source);
    out->cerebrum = cerebrum_depth(template, bulge);
    const float cerebellum = cerebellum_depth(template, bulge), stem = brainstem_depth(source);
    out->mask =
        smooth_maximum(out->cerebrum, smooth_maximum(cerebellum, stem, 8), 4) + 0.4f * a->atrophy;
    const float pial = cerebrum_shares(a, source, bend, out->cerebrum, h, out);
    const float below = fmaxf(cerebellum, stem - 0.8f);
    if (below > pial && below > -h) {
        memset(out->share, 0, sizeof out->share);
        cerebellum_shares(source, bend, cerebellum, h, out->share);
        const float brain = inside_share(stem - 0.8f, h);
        if (brain > 0) {
            const float rest = 1 - brain;
            for (int i = 0; i < TISSUES; i++)
                out->share[i] *= rest;
            out->share[TISSUE_WHITE] += 0.7f * brain;
            out->share[TISSUE_GREY] += 0.3f * brain;
        }
    }
    add_inner_structures(a, source, bend, pial, h, out);
}
