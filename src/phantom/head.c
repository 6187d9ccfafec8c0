/* A head around a brain, painted from the outside inwards: each structure is a signed distance, and
 * takes the share of the voxel that lies inside it from whatever was there before. The cranial
 * cavity follows the brain, whatever its source; the face and the neck stand where an average
 * adult's stand relative to it. Below the skull a mosaic of smooth random fields places muscle, fat
 * and glands: it need not be a face, it must be varied and look like tissue. */
#include "phantom/head.h"

#include <string.h>

/* Literature at 3 T where there is any: muscle, blood (Stanisz 2005), fat, marrow (de Bazelaire
 * 2004); the rest between those. Fat is given the T2 that it shows in fast spin echo. */
const tissue head_tissues[HEAD_TISSUES] = {
    [HEAD_AIR] = {"air", 1000, 1, 0, 0},
    [HEAD_SKIN] = {"skin", 900, 50, 0.60, 0.06},
    [HEAD_FAT] = {"fat", 370, 120, 1.00, 0},
    [HEAD_MUSCLE] = {"muscle", 1400, 45, 0.80, 0.04},
    [HEAD_BONE] = {"bone", 400, 2, 0.15, 0},
    [HEAD_MARROW] = {"marrow", 550, 90, 0.75, 0.02},
    [HEAD_DURA] = {"dura", 1300, 50, 0.50, 0.20},
    [HEAD_SINUS] = {"flowing blood", 1660, 60, 0.60, 0.50},
    [HEAD_VITREOUS] = {"vitreous body", 4000, 1500, 1.00, 0},
    [HEAD_LENS] = {"lens", 1500, 35, 0.70, 0},
    [HEAD_GLAND] = {"gland", 1100, 80, 0.85, 0.15},
    [HEAD_MUCOSA] = {"mucosa", 1800, 140, 0.85, 0.25},
    [HEAD_NERVE] = {"nerve", 950, 78, 0.72, 0.015},
    [HEAD_CARTILAGE] = {"cartilage", 1200, 40, 0.60, 0.02},
};

head_anatomy head_draw(random_stream *r)
{
    static const float face[3] = {62, 50, 72}, jaw[3] = {50, 44, 34};
    head_anatomy a = {0};
    a.csf_mm = (float)random_uniform(r, 0.3, 4);
    a.skull_mm = (float)random_uniform(r, 4, 9);
    a.table_mm = (float)random_uniform(r, 1.2, 2.4);
    a.scalp_mm = (float)random_uniform(r, 3, 11);
    a.skin_mm = (float)random_uniform(r, 1.2, 2.6);
    for (int k = 0; k < 3; k++) {
        a.face[k] = face[k] * (float)random_uniform(r, 0.88, 1.12);
        a.jaw[k] = jaw[k] * (float)random_uniform(r, 0.85, 1.15);
    }
    a.neck_mm = (float)random_uniform(r, 48, 72);
    a.nose_mm = (float)random_uniform(r, 8, 14);
    a.ears_mm = (float)random_uniform(r, 0, 7);
    a.eye_mm = (float)random_uniform(r, 11, 13);
    for (int k = 0; k < 2; k++)
        a.gaze[k] = (float)random_uniform(r, -4, 4);
    a.diploe = (float)random_uniform(r, -0.8, 1);
    a.muscle = (float)random_uniform(r, -1, 0.4);
    a.fat = (float)random_uniform(r, 0, 1.2);
    for (int k = 0; k < 5; k++)
        a.sinuses_full[k] = random_chance(r, 0.15);
    a.sinus_scale = (float)random_uniform(r, 0.5, 1.3);
    a.csf = field_draw(r, 8, 35, 80);
    a.skull = field_draw(r, 8, 40, 90);
    a.scalp = field_draw(r, 8, 40, 100);
    for (int k = 0; k < 4; k++)
        a.mosaic[k] = field_draw(r, 8, 14, 45);
    a.cells = field_draw(r, 8, 6, 13);
    for (int k = 0; k < 3; k++)
        a.sway[k] = field_draw(r, 4, 70, 160);
    return a;
}

static void paint(float share[HEAD_TISSUES], int kind, float amount)
{
    if (amount <= 0)
        return;
    for (int i = 0; i < HEAD_TISSUES; i++)
        share[i] *= 1 - amount;
    share[kind] += amount;
}

/* The same for a structure inside a surface at depth d. */
static void fill(float share[HEAD_TISSUES], int kind, float d, float h)
{
    paint(share, kind, inside_share(d, h));
}

static float ball(const float p[3], float x, float y, float z, float rx, float ry, float rz)
{
    const float centre[3] = {x, y, z}, radii[3] = {rx, ry, rz};
    return ellipsoid_depth(p, centre, radii);
}

static float rod(const float p[3], const float from[3], float r0, const float to[3], float r1)
{
    return cone_depth(p, from, r0, to, r1);
}

/* Depth within the cranial cavity: the brain's hull, with convex room above and behind. */
static float cavity_depth(const float p[3], float brain)
{
    const float above = smooth_minimum(ball(p, 0, 2, 2, 60, 79, 60), p[2] + 6, 8);
    const float behind = ball(p, 0, 42, -36, 48, 36, 30);
    return smooth_maximum(brain, smooth_maximum(above, behind, 8), 4);
}

/* Depth below the skin of face, jaw, nose, neck and ears. */
static float lower_depth(const head_anatomy *a, const float p[3], const float q[3])
{
    static const float neck[2][3] = {{0, 26, -60}, {0, 42, -230}};
    static const float nose[2][3] = {{0, -88, -36}, {0, -106, -66}};
    float d = ball(p, 0, -46, -58, a->face[0], a->face[1], a->face[2]);
    d = smooth_maximum(d, ball(p, 0, -52, -112, a->jaw[0], a->jaw[1], a->jaw[2]), 14);
    d = smooth_maximum(d, rod(p, nose[0], 0.7f * a->nose_mm, nose[1], a->nose_mm), 6);
    d = smooth_maximum(d, rod(p, neck[0], a->neck_mm, neck[1], a->neck_mm + 4), 16);
    if (p[2] < -165) /* shoulders */
        d = smooth_maximum(d, ball(p, 0, 40, -250, 170, 75, 70), 20);
    return smooth_maximum(d, ball(q, 80, 20, -40, a->ears_mm, 17, 30), 4);
}

/* Muscle, fat and glands below the skin. */
static void add_flesh(const head_anatomy *a, const float p[3], float depth, float h, float *share)
{
    const float fields[4] = {field_at(&a->mosaic[0], p), field_at(&a->mosaic[1], p),
                             field_at(&a->mosaic[2], p), field_at(&a->mosaic[3], p)};
    const float edge = 0.12f * h; /* the fields' slope is about 0.2 per mm */
    paint(share, HEAD_MUSCLE,
          inside_share(depth - 2, h) * clamped((fields[0] - a->muscle) / edge + 0.5f, 0, 1));
    paint(share, HEAD_FAT,
          inside_share(depth - 1, h) * clamped((fields[1] - 0.6f - a->fat) / edge + 0.5f, 0, 1));
    paint(share, HEAD_GLAND,
          inside_share(depth - 4, h) * clamped((fields[2] - 1.3f) / edge + 0.5f, 0, 1));
    if (p[2] < -20)
        paint(share, HEAD_BONE,
              inside_share(depth - 8, h) * clamped((fields[3] - 1.2f) / edge + 0.5f, 0, 1));
}

/* Air with a lining, or what fills it. */
static void add_air(float *share, float d, float lining, bool full, float h)
{
    fill(share, HEAD_MUCOSA, d + lining, h);
    fill(share, full ? HEAD_MUCOSA : HEAD_AIR, d, h);
}

/* Jaws, teeth, tongue, nose, its sinuses, throat. q is p with x taken as |x|. */
static void add_face(const head_anatomy *a, const float p[3], const float q[3], float h,
                     float *share)
{
    static const float throat[2][3] = {{0, -22, -72}, {0, -2, -230}};
    static const float jaw[2][3] = {{8, -92, -122}, {50, -30, -95}};
    static const float ramus[2][3] = {{50, -30, -95}, {52, -8, -52}};
    static const float cheek[2][3] = {{42, -74, -58}, {66, -25, -52}};
    const float s = a->sinus_scale, cell = field_at(&a->cells, p);
    const int side = p[0] > 0;
    fill(share, HEAD_BONE, ball(p, 0, -58, -70, 40, 32, 26), h);
    paint(share, HEAD_MARROW,
          inside_share(ball(p, 0, -58, -70, 34, 26, 20), h) * clamped(cell + 0.5f, 0, 1));
    const float bones = fmaxf(fmaxf(rod(q, jaw[0], 8, jaw[1], 8), rod(q, ramus[0], 7, ramus[1], 4)),
                              rod(q, cheek[0], 5, cheek[1], 3));
    fill(share, HEAD_BONE, bones, h);
    fill(share, HEAD_MARROW, bones - 2.5f, h);
    fill(share, HEAD_MUSCLE, ball(p, 0, -60, -100, 21, 28, 17), h);
    add_air(share, ball(q, 8, -68, -66, 7 * s, 30, 22) - 2 * fmaxf(cell, 0), 2.5f, false, h);
    add_air(share, ball(q, 27, -64, -70, 12 * s, 15 * s, 15 * s), 1.5f, a->sinuses_full[side], h);
    add_air(share, rod(p, throat[0], 8, throat[1], 9), 2.5f, false, h);
}

/* The base of the skull: thick bone with air and marrow in it. */
static void add_base(const head_anatomy *a, const float p[3], const float q[3], float h,
                     float *share)
{
    static const float petrous[2][3] = {{16, -2, -44}, {58, 26, -48}};
    const float s = a->sinus_scale, cell = field_at(&a->cells, p);
    const float base =
        smooth_maximum(ball(p, 0, -8, -50, 30, 28, 15), rod(q, petrous[0], 7, petrous[1], 14), 6);
    fill(share, HEAD_BONE, base, h);
    paint(share, HEAD_MARROW, inside_share(base - 3, h) * clamped(cell * 3 + a->diploe, 0, 1));
    if (!a->sinuses_full[4])
        paint(share, HEAD_AIR,
              inside_share(ball(q, 55, 28, -52, 13 * s, 14 * s, 16 * s), h) *
                  clamped(cell * 4 + 0.8f, 0, 1));
    add_air(share, ball(p, 1, -24, -46, 13 * s, 12 * s, 9 * s), 1, a->sinuses_full[2], h);
    add_air(share, ball(p, 0, -48, -44, 10, 16, 10 * s) - 3 * fmaxf(-cell, 0), 1, false, h);
    add_air(share, ball(q, 11, -92, -18, 11 * s, 5 * s, 9 * s), 1, a->sinuses_full[3], h);
}

static void add_eyes(const head_anatomy *a, const float p[3], const float q[3], float h,
                     float *share)
{
    static const float orbit[2][3] = {{32, -74, -40}, {14, -34, -38}};
    const float eye[3] = {32, -76, -40}, apex[3] = {15, -36, -38};
    const float d = rod(q, orbit[0], 18, orbit[1], 5), along = (q[1] + 76) / 40;
    if (d < -4 * h)
        return;
    fill(share, HEAD_BONE, fminf(d + 1.5f, p[1] + 84), h);
    fill(share, HEAD_FAT, d, h);
    for (int k = 0; k < 4; k++) { /* its straight muscles */
        static const float place[4][2] = {{1, 0}, {-1, 0}, {0, 1}, {0, -1}};
        const float reach = 12.5f * clamped(1 - along, 0.1f, 1);
        const float from[3] = {32 + 12.5f * place[k][0], -72, -40 + 12.5f * place[k][1]};
        if (reach > 0)
            fill(share, HEAD_MUSCLE, rod(q, from, 1.6f, apex, 2), h);
    }
    fill(share, HEAD_NERVE, rod(q, eye, 2.3f, apex, 2), h);
    fill(share, HEAD_CARTILAGE,
         ball(q, eye[0], eye[1], eye[2], a->eye_mm + 1, a->eye_mm + 1, a->eye_mm + 1), h);
    fill(share, HEAD_VITREOUS, ball(q, eye[0], eye[1], eye[2], a->eye_mm, a->eye_mm, a->eye_mm), h);
    fill(
        share, HEAD_LENS,
        ball(q, eye[0] + a->gaze[0], eye[1] - a->eye_mm + 3, eye[2] + a->gaze[1], 4.5f, 2.3f, 4.5f),
        h);
}

/* Spine, cord, the great vessels of the neck. */
static void add_neck(const head_anatomy *a, const float p[3], const float q[3], float h,
                     float *share)
{
    static const float spine[2][3] = {{0, 22, -98}, {0, 34, -250}};
    static const float canal[2][3] = {{0, 34, -80}, {0, 56, -250}};
    static const float artery[2][3] = {{18, -8, -46}, {24, 6, -250}};
    static const float vein[2][3] = {{30, 14, -56}, {32, 12, -250}};
    if (p[2] > -30)
        return;
    const float body = rod(p, spine[0], 13, spine[1], 15),
                cord = rod(p, canal[0], 6.5f, canal[1], 6);
    const float disc = cosf(0.35f * p[2] + a->gaze[0]); /* every 18 mm */
    fill(share, HEAD_BONE, fmaxf(body, rod(p, canal[0], 15, canal[1], 15)), h);
    fill(share, HEAD_MARROW, body - 2, h);
    if (disc > 0.8f)
        fill(share, HEAD_CARTILAGE, body - 1, h);
    fill(share, TISSUE_CSF, cord + 4.5f, h);
    fill(share, HEAD_NERVE, cord, h);
    fill(share, HEAD_SINUS, rod(q, artery[0], 2.8f, artery[1], 3), h);
    fill(share, HEAD_SINUS, rod(q, vein[0], 4.5f, vein[1], 5), h);
}

/* Venous sinuses within the dura: along the midline of the vault, and across behind. */
static float sinus_depth(const float p[3], float cavity)
{
    const float layer = 3 - fabsf(cavity + 1);
    if (p[2] > 0 || p[1] > 60)
        return fminf(layer, 5 - fabsf(p[0])); /* a triangle in truth */
    return p[1] > 20 && p[2] > -34 && p[2] < -20 ? layer : -10;
}

void head_at(const head_anatomy *a, const float template[3], float h, head_point *out)
{
    float brain[TISSUES], p[3], *share = out->share;
    const float inside = inside_share(out->depth, h);
    if (inside >= 1)
        return; /* nothing but brain */
    memcpy(brain, share, sizeof brain);
    memset(share, 0, sizeof out->share);
    share[HEAD_AIR] = 1;
    const float b = out->depth;
    for (int k = 0; k < 3; k++) /* faces differ; the cavity stays with its brain */
        p[k] = template[k] +
               (b < -3 ? 3.5f * field_at(&a->sway[k], template) * clamped((-b - 3) / 20, 0, 1) : 0);
    const float q[3] = {fabsf(p[0]), p[1], p[2]};
    const float cavity = cavity_depth(p, b);
    const float gap = fmaxf(a->csf_mm * (1 + 0.6f * field_at(&a->csf, p)), 0.2f);
    const float inner = cavity + gap + 1;
    const float bone = fmaxf(a->skull_mm * (1 + 0.25f * field_at(&a->skull, p)), 2.5f);
    const float outer = inner + bone;
    const float scalp = fmaxf(a->scalp_mm * (1 + 0.35f * field_at(&a->scalp, p)), 1.5f);
    const float surface =
        p[2] < 30 ? smooth_maximum(outer + scalp, lower_depth(a, p, q), 10) : outer + scalp;
    if (surface > -h) {
        fill(share, HEAD_SKIN, surface, h);
        fill(share, HEAD_FAT, surface - a->skin_mm, h);
        if (p[2] < 45)
            add_flesh(a, p, surface - a->skin_mm, h, share);
        if (p[2] < 10) {
            add_neck(a, p, q, h, share);
            add_face(a, p, q, h, share);
        }
        fill(share, HEAD_BONE, outer, h);
        paint(share, HEAD_MARROW,
              inside_share(fminf(outer - a->table_mm, a->table_mm + bone - outer), h) *
                  clamped(1.5f * field_at(&a->mosaic[0], p) + 0.5f + a->diploe, 0, 1));
        if (p[2] < 10) {
            add_base(a, p, q, h, share);
            add_eyes(a, p, q, h, share);
        }
        fill(share, HEAD_DURA, inner, h);
        fill(share, TISSUE_CSF, inner - 1, h);
        fill(share, HEAD_SINUS, sinus_depth(p, inner - 1), h);
    }
    if (inside > 0) {
        for (int i = 0; i < HEAD_TISSUES; i++)
            share[i] *= 1 - inside;
        for (int i = 0; i < TISSUES; i++)
            share[i] += inside * brain[i];
    }
}
