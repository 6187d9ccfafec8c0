/* measure: shapes with known answers (ellipsoids, rods, rims; turned, on voxels of any lengths, on
 * grids that lie askew), what counts as one lesion, sides, and what is written.
 * `test_measure --make DIR` writes labels for measure.test.sh. */
#include "measure/measure.h"
#include "voxels/voxels.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct {
    volume_header h;
    uint8_t *labels;
} scene;

/* A grid whose axes run to left, posterior, superior, turned by `degrees` about z of the world. */
static scene make_scene(int64_t nx, int64_t ny, int64_t nz, const double mm[3], double degrees)
{
    const int64_t shape[3] = {nx, ny, nz};
    const double c = cos(degrees * M_PI / 180), s = sin(degrees * M_PI / 180);
    const double affine[4][4] = {{-c * mm[0], s * mm[1], 0, 12},
                                 {-s * mm[0], -c * mm[1], 0, -7},
                                 {0, 0, mm[2], 30},
                                 {0, 0, 0, 1}};
    scene out = {volume_header_make(shape, mm, affine), calloc((size_t)(nx * ny * nz), 1)};
    assert_non_null(out.labels);
    return out;
}

static void world_of(const scene *s, const double voxel[3], double out[3])
{
    for (int k = 0; k < 3; k++)
        out[k] = s->h.affine[k][0] * voxel[0] + s->h.affine[k][1] * voxel[1] +
                 s->h.affine[k][2] * voxel[2] + s->h.affine[k][3];
}

/* An ellipsoid about a place of the grid; its first axis is turned from the world's x by `degrees`
 * about z. Semi-axes in mm. */
static void draw_ellipsoid(scene *s, const double voxel[3], const double axes[3], double degrees,
                           uint8_t label)
{
    const int64_t *n = s->h.shape;
    const double c = cos(degrees * M_PI / 180), si = sin(degrees * M_PI / 180);
    double middle[3];
    world_of(s, voxel, middle);
    for (int64_t i = 0; i < voxel_count(n); i++) {
        const double at[3] = {(double)(i % n[0]), (double)(i / n[0] % n[1]),
                              (double)(i / n[0] / n[1])};
        double d[3];
        world_of(s, at, d);
        for (int k = 0; k < 3; k++)
            d[k] -= middle[k];
        const double u = (c * d[0] + si * d[1]) / axes[0], v = (c * d[1] - si * d[0]) / axes[1];
        const double w = d[2] / axes[2];
        if (u * u + v * v + w * w < 1)
            s->labels[i] = label;
    }
}

static void draw_box(scene *s, const int64_t low[3], const int64_t high[3], uint8_t label)
{
    const int64_t *n = s->h.shape;
    for (int64_t z = low[2]; z <= high[2]; z++)
        for (int64_t y = low[1]; y <= high[1]; y++)
            for (int64_t x = low[0]; x <= high[0]; x++)
                s->labels[(z * n[1] + y) * n[0] + x] = label;
}

static measures measure(const scene *s)
{
    measures m;
    ts_error e = {0};
    if (measure_labels(&s->h, s->labels, NULL, &m, &e) != TS_OK)
        fail_msg("%s", e.text);
    return m;
}

static void close_to(double value, double wanted, double most)
{
    if (!(fabs(value - wanted) <= most))
        fail_msg("%.4f where %.4f +- %.4f was wanted", value, wanted, most);
}

/* ---- rods: exact ----------------------------------------------------------------------------- */

/* A rod along an axis of the grid is as long as its voxels; its box's corners are rounded by the
 * outline through the middles of edges. */
static void test_rod(void **state)
{
    (void)state;
    const double mm[3] = {0.9, 1.2, 5};
    for (int turned = 0; turned < 2; turned++) {
        scene s = make_scene(40, 30, 8, mm, turned ? 17 : 0);
        draw_box(&s, (int64_t[3]){5, 10, 3}, (int64_t[3]){29, 10, 3}, LABEL_ET);
        measures m = measure(&s);
        assert_int_equal(m.count, 1);
        const measure_lesion *l = &m.lesions[0];
        close_to(l->axial.mm, 25 * 0.9, 1e-9);
        close_to(l->perpendicular.mm, 1.2, 1e-9);
        close_to(l->longest.mm, 25 * 0.9, 1e-9);
        close_to(l->product_mm2, 25 * 0.9 * 1.2, 1e-9);
        close_to(l->et_ml, 25 * 0.9 * 1.2 * 5 / 1000, 1e-12);
        close_to(m.region_ml[REGION_WT], l->et_ml, 1e-12);
        close_to(l->centre_voxel[0], 17, 1e-9);
        assert_int_equal(l->slice, 3);
        assert_int_equal(l->slices, 1);
        assert_true(!l->measurable); /* thin */
        assert_true(l->enhancing_share == 1);
        measures_free(&m);
        free(s.labels);
    }
}

/* Of slices with equal diameters the one with the longer perpendicular. */
static void test_equal_slices(void **state)
{
    (void)state;
    const double mm[3] = {1, 1.2, 1};
    scene s = make_scene(40, 30, 8, mm, 30);
    draw_box(&s, (int64_t[3]){5, 10, 3}, (int64_t[3]){29, 10, 5}, LABEL_ET);
    draw_box(&s, (int64_t[3]){15, 9, 4}, (int64_t[3]){16, 11, 4}, LABEL_ET);
    measures m = measure(&s);
    close_to(m.lesions[0].axial.mm, 25, 1e-9);
    close_to(m.lesions[0].perpendicular.mm, 3.6, 1e-9);
    assert_int_equal(m.lesions[0].slice, 4);
    measures_free(&m);
    free(s.labels);
}

/* The same rod stood upright: short in every axial plane, long in space. */
static void test_upright_rod(void **state)
{
    (void)state;
    const double mm[3] = {1, 1, 1.5};
    scene s = make_scene(12, 12, 30, mm, 0);
    draw_box(&s, (int64_t[3]){4, 5, 2}, (int64_t[3]){4, 5, 21}, LABEL_ET);
    measures m = measure(&s);
    close_to(m.lesions[0].axial.mm, 1, 1e-9);
    close_to(m.lesions[0].perpendicular.mm, 1, 1e-9);
    close_to(m.lesions[0].longest.mm, 30, 1e-9);
    assert_int_equal(m.lesions[0].slices, 20);
    measures_free(&m);
    free(s.labels);
}

/* ---- ellipsoids ------------------------------------------------------------------------------ */

static double draw_between(random_stream *r, double low, double high)
{
    return random_uniform(r, low, high);
}

/* Sixty ellipsoids of any axes, turned in the plane, at any place within a voxel, on voxels of any
 * lengths, on grids that lie askew. Each figure is within a voxel, and on average up to half a voxel
 * too long. The longest direction in space is along x or z. */
static void test_ellipsoids(void **state)
{
    (void)state;
    enum { N = 60 };
    double mean[4] = {0};
    random_stream r = random_open(3, RANDOM_TEST, 0, 0);
    for (int i = 0; i < N; i++) {
        const double inplane = draw_between(&r, 0.7, 1.3);
        const double mm[3] = {inplane, inplane, draw_between(&r, 0.7, 1.5)};
        const double a = draw_between(&r, 9, 16), b = draw_between(&r, 0.4, 0.9) * a;
        const double axes[3] = {a, b, draw_between(&r, 5, 22)};
        const double at[3] = {26 + draw_between(&r, 0, 1), 26 + draw_between(&r, 0, 1),
                              36 + draw_between(&r, 0, 1)};
        scene s = make_scene(54, 54, 72, mm, draw_between(&r, -40, 40));
        draw_ellipsoid(&s, at, axes, draw_between(&r, 0, 180), LABEL_ET);
        measures m = measure(&s);
        assert_int_equal(m.count, 1);
        const measure_lesion *l = &m.lesions[0];
        const double longest = fmax(axes[0], axes[2]);
        const double off[4] = {(l->axial.mm - 2 * a) / mm[0], (l->perpendicular.mm - 2 * b) / mm[0],
                               (l->longest.mm - 2 * longest) / mm[0],
                               l->et_ml / (4e-3 / 3 * M_PI * a * b * axes[2]) - 1};
        close_to(l->axial.mm, 2 * a, mm[0]);
        close_to(l->perpendicular.mm, 2 * b, mm[0]);
        close_to(l->longest.mm, 2 * longest, fmax(mm[0], mm[2]));
        close_to(off[3], 0, 0.02);
        for (int k = 0; k < 4; k++)
            mean[k] += off[k] / N;
        double middle[3];
        world_of(&s, at, middle);
        for (int k = 0; k < 3; k++)
            close_to(l->centre_mm[k], middle[k], 0.1);
        if (fabs(2 * b - 10) > 1)
            assert_int_equal(l->measurable, 2 * b > 10);
        measures_free(&m);
        free(s.labels);
    }
    printf("mean error in voxels: axial %+.2f, perpendicular %+.2f, 3-D %+.2f; volume %+.2f %%\n",
           mean[0], mean[1], mean[2], 100 * mean[3]);
    for (int k = 0; k < 3; k++) /* the longest of many that are each within a voxel */
        close_to(mean[k], 0.25, 0.25);
    close_to(mean[3], 0, 0.002);
}

/* Files whose axes run anywhere give the same figures: the planes are the axial ones. */
static void test_file_axes(void **state)
{
    (void)state;
    const double mm[3] = {1, 1, 2}, axes[3] = {14, 8, 20}, at[3] = {17, 22, 13};
    const int64_t shape[3] = {26, 40, 44};
    const double spacing[3] = {2, 1, 1};
    double affine[4][4] = {{0, 0, 0, 0}, {0, 0, 0, 0}, {0, 0, 0, 0}, {0, 0, 0, 1}};
    scene s = make_scene(40, 44, 26, mm, 0);
    draw_ellipsoid(&s, at, axes, 25, LABEL_ET);
    /* axis 0: z downwards, 1: x, 2: y backwards */
    for (int k = 0; k < 3; k++) {
        affine[k][0] = -s.h.affine[k][2];
        affine[k][1] = s.h.affine[k][0];
        affine[k][2] = -s.h.affine[k][1];
        affine[k][3] = s.h.affine[k][3] + 25 * s.h.affine[k][2] + 43 * s.h.affine[k][1];
    }
    scene t = {volume_header_make(shape, spacing, affine), malloc(26 * 40 * 44)};
    for (int64_t z = 0; z < 26; z++)
        for (int64_t y = 0; y < 44; y++)
            for (int64_t x = 0; x < 40; x++)
                t.labels[((43 - y) * 40 + x) * 26 + 25 - z] = s.labels[(z * 44 + y) * 40 + x];
    measures m = measure(&s), n = measure(&t);
    const measure_lesion *a = &m.lesions[0], *b = &n.lesions[0];
    assert_int_equal(n.count, 1);
    assert_int_equal(n.axial_axis, 0);
    assert_int_equal(b->slice, 25 - a->slice);
    close_to(a->axial.mm, b->axial.mm, 1e-9);
    close_to(a->perpendicular.mm, b->perpendicular.mm, 1e-9);
    close_to(a->longest.mm, b->longest.mm, 1e-9);
    for (int k = 0; k < 3; k++)
        close_to(a->centre_mm[k], b->centre_mm[k], 1e-9);
    close_to(b->centre_voxel[0], 25 - a->centre_voxel[2], 1e-9);
    close_to(b->centre_voxel[2], 43 - a->centre_voxel[1], 1e-9);
    for (int64_t z = 0, i = 0; z < 26; z++)
        for (int64_t y = 0; y < 44; y++)
            for (int64_t x = 0; x < 40; x++, i++)
                assert_int_equal(m.numbers[i], n.numbers[((43 - y) * 40 + x) * 26 + 25 - z]);
    measures_free(&m);
    measures_free(&n);
    free(s.labels);
    free(t.labels);
}

/* ---- lesions --------------------------------------------------------------------------------- */

/* A rim around necrosis is measured across it, and so is one in two halves that only the necrosis
 * joins; how much of the lines lies in enhancing tumour is told. */
static void test_rim(void **state)
{
    (void)state;
    const double mm[3] = {1, 1, 1}, outer[3] = {15, 12, 10}, inner[3] = {12, 9, 7};
    const double at[3] = {25, 25, 20};
    for (int halves = 0; halves < 2; halves++) {
        scene s = make_scene(50, 50, 40, mm, 0);
        draw_ellipsoid(&s, at, outer, 0, LABEL_ET);
        draw_ellipsoid(&s, at, inner, 0, LABEL_NCR);
        for (int64_t i = 0; halves && i < voxel_count(s.h.shape); i++)
            if (s.labels[i] == LABEL_ET && llabs(i / 50 % 50 - 25) > 4)
                s.labels[i] = LABEL_NCR; /* the rim is left at both ends of the long axis */
        measures m = measure(&s);
        assert_int_equal(m.count, 1);
        const measure_lesion *l = &m.lesions[0];
        close_to(l->axial.mm, 30, 1);
        close_to(l->longest.mm, 30, 1);
        close_to(l->core_ml, 4e-3 / 3 * M_PI * 15 * 12 * 10, 0.1);
        assert_true(l->enhancing_share > 0.05 && l->enhancing_share < 0.5);
        if (!halves)
            close_to(l->perpendicular.mm, 24, 1);
        measures_free(&m);
        free(s.labels);
    }
}

/* Two lesions, the larger first; necrosis alone, and edema, are none. */
static void test_several(void **state)
{
    (void)state;
    const double mm[3] = {1, 1, 1}, small[3] = {4, 4, 4}, large[3] = {7, 6, 6};
    scene s = make_scene(60, 40, 40, mm, 0);
    draw_ellipsoid(&s, (double[3]){10, 20, 20}, small, 0, LABEL_ET);
    draw_ellipsoid(&s, (double[3]){30, 20, 20}, large, 0, LABEL_ET);
    draw_ellipsoid(&s, (double[3]){50, 20, 20}, small, 0, LABEL_NCR);
    draw_box(&s, (int64_t[3]){15, 19, 19}, (int64_t[3]){22, 21, 21}, LABEL_ED);
    measures m = measure(&s);
    assert_int_equal(m.count, 2);
    close_to(m.lesions[0].centre_voxel[0], 30, 1e-9);
    close_to(m.lesions[1].centre_voxel[0], 10, 1e-9);
    assert_true(m.lesions[0].measurable && !m.lesions[1].measurable);
    close_to(m.sum_of_products_mm2, m.lesions[0].product_mm2, 1e-9);
    assert_int_equal(m.numbers[(20 * 40 + 20) * 60 + 30], 1);
    assert_int_equal(m.numbers[(20 * 40 + 20) * 60 + 10], 2);
    assert_int_equal(m.numbers[(20 * 40 + 20) * 60 + 50], 0);
    measures_free(&m);
    free(s.labels);
}

/* x of the file runs to the left: what lies at its low end is on the right. The middle is the
 * grid's, or the brain's where it is given. */
static void test_sides(void **state)
{
    (void)state;
    const double mm[3] = {1, 1, 1}, axes[3] = {5, 5, 5};
    scene s = make_scene(60, 30, 30, mm, 0);
    uint8_t *brain = calloc(60 * 30 * 30, 1);
    ts_error e;
    measures m;
    draw_ellipsoid(&s, (double[3]){12, 15, 15}, axes, 0, LABEL_ET);
    draw_ellipsoid(&s, (double[3]){28, 15, 15}, axes, 0, LABEL_ET);
    draw_ellipsoid(&s, (double[3]){45, 15, 15}, axes, 0, LABEL_ET);
    m = measure(&s);
    for (size_t i = 0; i < m.count; i++) {
        const double x = m.lesions[i].centre_voxel[0];
        assert_int_equal(m.lesions[i].right, x < 29.5);
        assert_int_equal(m.lesions[i].crosses_midline, fabs(x - 28) < 1);
    }
    assert_true(!m.midline_of_brain);
    measures_free(&m);
    for (int i = 0; i < 60 * 30 * 30; i++)
        brain[i] = i % 60 < 41; /* its middle is at 20 */
    assert_int_equal(measure_labels(&s.h, s.labels, brain, &m, &e), TS_OK);
    for (size_t i = 0; i < m.count; i++)
        assert_int_equal(m.lesions[i].right, m.lesions[i].centre_voxel[0] < 20);
    assert_true(m.midline_of_brain);
    measures_free(&m);
    free(brain);
    free(s.labels);
}

/* Slices of 8 mm: a lesion must measure 16 mm. */
static void test_thick_slices(void **state)
{
    (void)state;
    const double mm[3] = {1, 1, 8};
    scene s = make_scene(40, 40, 6, mm, 0);
    draw_ellipsoid(&s, (double[3]){20, 20, 2.5}, (double[3]){7, 7, 14}, 0, LABEL_ET);
    measures m = measure(&s);
    close_to(m.slice_mm, 8, 1e-9);
    assert_true(m.lesions[0].perpendicular.mm > 12 && !m.lesions[0].measurable);
    measures_free(&m);
    draw_ellipsoid(&s, (double[3]){20, 20, 2.5}, (double[3]){9, 9, 14}, 0, LABEL_ET);
    m = measure(&s);
    assert_true(m.lesions[0].measurable);
    measures_free(&m);
    free(s.labels);
}

static void test_nothing(void **state)
{
    (void)state;
    const double mm[3] = {1, 1, 1};
    scene s = make_scene(5, 6, 7, mm, 0);
    measures m = measure(&s);
    ts_error e;
    assert_int_equal(m.count, 0);
    assert_true(m.region_ml[REGION_WT] == 0 && m.sum_of_products_mm2 == 0);
    measures_free(&m);
    s.h.affine[2][2] = 0;
    assert_int_equal(measure_labels(&s.h, s.labels, NULL, &m, &e), TS_BAD_INPUT);
    assert_non_null(strstr(e.text, "singular"));
    measures_free(&m);
    free(s.labels);
}

/* ---- files for measure.test.sh --------------------------------------------------------------- */

/* seg: a ball of 12 mm radius with edema; other: two lesions; brain: on seg's grid. */
static int make_files(const char *folder)
{
    const double mm[3] = {1, 1, 2};
    scene s = make_scene(60, 60, 30, mm, 0);
    char path[3][512];
    ts_error e;
    snprintf(path[0], sizeof path[0], "%s/seg.nii.gz", folder);
    snprintf(path[1], sizeof path[1], "%s/other.nii.gz", folder);
    snprintf(path[2], sizeof path[2], "%s/brain.nii.gz", folder);
    draw_ellipsoid(&s, (double[3]){20, 30, 15}, (double[3]){16, 16, 16}, 0, LABEL_ED);
    draw_ellipsoid(&s, (double[3]){20, 30, 15}, (double[3]){12, 12, 12}, 0, LABEL_ET);
    if (volume_write_labels(path[0], &s.h, s.labels, &e) != TS_OK)
        return 1;
    draw_ellipsoid(&s, (double[3]){48, 30, 15}, (double[3]){4, 4, 4}, 0, LABEL_ET);
    if (volume_write_labels(path[1], &s.h, s.labels, &e) != TS_OK)
        return 1;
    memset(s.labels, 1, 60 * 60 * 30);
    if (volume_write_labels(path[2], &s.h, s.labels, &e) != TS_OK)
        return 1;
    free(s.labels);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rod),          cmocka_unit_test(test_upright_rod),
        cmocka_unit_test(test_equal_slices), cmocka_unit_test(test_ellipsoids),
        cmocka_unit_test(test_file_axes),    cmocka_unit_test(test_rim),
        cmocka_unit_test(test_several),      cmocka_unit_test(test_sides),
        cmocka_unit_test(test_thick_slices), cmocka_unit_test(test_nothing),
    };
    if (argc == 3 && !strcmp(argv[1], "--make"))
        return make_files(argv[2]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
