/* evaluate: golden scores that tools/oracle/scores.py took from the challenge's code and medpy for
 * made lesions, those of ../shared/metrics (56 made cases, real truths with predictions by rule),
 * the surfel table, distances and the dilation against plain loops, labels case by case. */
#include "evaluate/scoring.h"
#include "shared.h"
#include "test_folder.h"
#include "volume/volume.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

/* ---- golden scores -------------------------------------------------------------------------- */

static double number(const json_t *o, const char *key)
{
    return json_number_value(json_object_get(o, key));
}

static void check(const char *where, const json_t *golden, const char *key, double got,
                  double tolerance)
{
    char tie_key[32];
    snprintf(tie_key, sizeof tie_key, "%s_tie", key);
    const json_t *tie = json_object_get(golden, tie_key);
    double low = number(golden, key), high = low;
    if (tie) {
        low = json_number_value(json_array_get(tie, 0));
        high = json_number_value(json_array_get(tie, 1));
    }
    if (!(got >= low - tolerance && got <= high + tolerance))
        fail_msg("%s: %s is %.10g instead of %.10g", where, key, got, low);
}

static void check_case(const char *name, const json_t *golden, const uint8_t *prediction,
                       const uint8_t *truth, const volume_header *h, pool *p)
{
    static const char *const conventions[] = {"legacy", "lesion"};
    for (int c = CONVENTION_LEGACY; c <= CONVENTION_LESION; c++) {
        ts_error e;
        region_scores s[REGIONS];
        const double zooms[3] = {(float)h->zooms[0], (float)h->zooms[1], (float)h->zooms[2]};
        assert_int_equal(evaluate_case(prediction, truth, h->shape, zooms, (convention)c, p, s, &e),
                         TS_OK);
        for (int r = 0; r < REGIONS; r++) {
            char where[128];
            const json_t *g =
                json_object_get(json_object_get(golden, conventions[c]), region_names[r]);
            assert_non_null(g);
            snprintf(where, sizeof where, "%s %s %s", name, conventions[c], region_names[r]);
            check(where, g, "dice", s[r].dice, 1e-6);
            check(where, g, "hd95", s[r].hd95, 1e-4);
            check(where, g, "sensitivity", s[r].sensitivity, 1e-6);
            check(where, g, "specificity", s[r].specificity, 1e-6);
            if (c == CONVENTION_LEGACY)
                continue;
            check(where, g, "lesion_dice", s[r].lesion_dice, 1e-6);
            check(where, g, "lesion_hd95", s[r].lesion_hd95, 1e-4);
            check(where, g, "tp", (double)s[r].tp, 0);
            check(where, g, "fp", (double)s[r].fp, 0);
            check(where, g, "fn", (double)s[r].fn, 0);
        }
    }
}

static uint8_t *read_labels(const char *below, volume_header *h)
{
    ts_error e;
    uint8_t *labels;
    const char *path = shared_path(below);
    assert_non_null(path);
    if (volume_read_labels(path, h, &labels, &e) != TS_OK)
        fail_msg("%s", e.text);
    assert_int_equal(
        labels_map(labels, (size_t)voxel_count(h->shape), LABELS_AUTO, false, below, &e), TS_OK);
    return labels;
}

static json_t *read_own_goldens(void)
{
    json_t *file = json_load_file("tests/golden/scores.json", 0, NULL);
    assert_non_null(file);
    return file;
}

static json_t *read_goldens(const char *below)
{
    const char *path = shared_path(below);
    return path ? json_load_file(path, 0, NULL) : NULL;
}

/* ---- made lesions, by the rule of tools/oracle/scores.py ------------------------------------ */

static const int64_t made_shape[3] = {30, 26, 22};
enum { MADE_VOXELS = 30 * 26 * 22 };

static int64_t draw_below(uint64_t *draws, uint64_t n)
{
    *draws = *draws * 6364136223846793005u + 1442695040888963407u;
    return (int64_t)((*draws >> 33) % n);
}

static void paint(uint8_t *v, const int64_t at[3], const int64_t size[3], uint8_t label)
{
    for (int64_t i = 0; i < MADE_VOXELS; i++) {
        const int64_t place[3] = {i % made_shape[0], i / made_shape[0] % made_shape[1],
                                  i / made_shape[0] / made_shape[1]};
        bool within = true;
        for (int k = 0; k < 3; k++)
            within = within && place[k] >= at[k] && place[k] < at[k] + size[k];
        v[i] = within ? label : v[i];
    }
}

static void paint_lesion(uint8_t *v, const int64_t at[3], const int64_t size[3])
{
    static const uint8_t rings[] = {2, 3, 1};
    for (int64_t inset = 0; inset < 3; inset++)
        paint(v, (int64_t[3]){at[0] + inset, at[1] + inset, at[2] + inset},
              (int64_t[3]){size[0] - 2 * inset, size[1] - 2 * inset, size[2] - 2 * inset},
              rings[inset]);
}

static void draw_three(uint64_t *draws, uint64_t n, int64_t first, int64_t out[3])
{
    for (int k = 0; k < 3; k++)
        out[k] = first + draw_below(draws, n ? n : (uint64_t)made_shape[k]);
}

static void make_lesions(uint64_t seed, uint8_t *p, uint8_t *t)
{
    uint64_t draws = seed;
    int64_t size[3], at[3], shift[3];
    memset(p, 0, MADE_VOXELS);
    memset(t, 0, MADE_VOXELS);
    for (int64_t left = draw_below(&draws, 5); left > 0; left--) {
        draw_three(&draws, 8, 1, size);
        draw_three(&draws, 0, 0, at);
        draw_three(&draws, 5, -2, shift);
        const int64_t kind = draw_below(&draws, 4);
        paint_lesion(t, at, size);
        for (int k = 0; k < 3; k++) {
            at[k] += kind == 2 ? shift[k] : 0;
            size[k] -= kind == 3 && size[k] > 1;
        }
        if (kind > 0)
            paint_lesion(p, at, size);
    }
    for (int64_t left = draw_below(&draws, 4); left > 0; left--) {
        draw_three(&draws, 4, 1, size);
        draw_three(&draws, 0, 0, at);
        paint(p, at, size, (uint8_t)(1 + draw_below(&draws, 3)));
    }
}

static void test_made_lesions(void **state)
{
    (void)state;
    static const double spacings[3][3] = {{1, 1, 1}, {0.75, 1.5, 2.5}, {0.5, 0.5, 2}};
    const char *seed;
    json_t *file = read_own_goldens(), *golden;
    assert_int_equal(json_object_size(json_object_get(file, "cases")), 48);
    json_object_foreach(json_object_get(file, "cases"), seed, golden)
    {
        static uint8_t p[MADE_VOXELS], t[MADE_VOXELS];
        const uint64_t number_of_seed = strtoull(seed, NULL, 10);
        make_lesions(number_of_seed, p, t);
        for (int c = CONVENTION_LEGACY; c <= CONVENTION_LESION; c++) {
            ts_error e;
            region_scores s[REGIONS];
            const evaluate_columns columns = evaluate_columns_of((convention)c, false);
            assert_int_equal(evaluate_case(p, t, made_shape, spacings[number_of_seed % 3],
                                           (convention)c, NULL, s, &e),
                             TS_OK);
            for (int r = 0; r < REGIONS; r++) {
                const json_t *row =
                    json_object_get(json_object_get(golden, columns.name), region_names[r]);
                assert_int_equal(json_array_size(row), columns.figures);
                for (int f = 0; f < columns.figures; f++) {
                    const double want = json_number_value(json_array_get(row, (size_t)f));
                    const bool distance = strstr(columns.figure_names[f], "hd95") != NULL;
                    if (!(fabs(evaluate_figure(&s[r], f) - want) <= (distance ? 1e-4 : 1e-6)))
                        fail_msg("seed %s, %s, %s: %s is %.10g instead of %.10g", seed,
                                 columns.name, region_names[r], columns.figure_names[f],
                                 evaluate_figure(&s[r], f), want);
                }
            }
        }
    }
    json_decref(file);
}

/* ---- ../shared/metrics ---------------------------------------------------------------------- */

static void test_synthetic_goldens(void **state)
{
    (void)state;
    const char *name;
    json_t *file = read_goldens("metrics/golden_synthetic.json"), *golden;
    if (!file)
        skip();
    assert_int_equal(json_object_size(json_object_get(file, "cases")), 56);
    json_object_foreach(json_object_get(file, "cases"), name, golden)
    {
        char path[128];
        volume_header h, other;
        snprintf(path, sizeof path, "metrics/synthetic/%s-seg.nii.gz", name);
        uint8_t *truth = read_labels(path, &other);
        snprintf(path, sizeof path, "metrics/synthetic/%s-pred.nii.gz", name);
        uint8_t *prediction = read_labels(path, &h);
        check_case(name, golden, prediction, truth, &h, NULL);
        free(prediction);
        free(truth);
    }
    json_decref(file);
}

/* golden_real.json's rule: the truth moved by (3, -2, 1), with holes, and a cube of ED. */
static uint8_t *make_prediction(const uint8_t *truth, const int64_t shape[3])
{
    const int64_t nx = shape[0], ny = shape[1], nz = shape[2];
    uint8_t *p = calloc(1, (size_t)(nx * ny * nz));
    int64_t low[3] = {nx, ny, nz};
    for (int64_t z = 0; z < nz; z++)
        for (int64_t y = 0; y < ny; y++)
            for (int64_t x = 0; x < nx; x++) {
                const int64_t i = x + nx * (y + ny * z), at[3] = {x, y, z};
                for (int k = 0; truth[i] && k < 3; k++)
                    low[k] = at[k] < low[k] ? at[k] : low[k];
                if (x - 3 >= 0 && y + 2 < ny && z - 1 >= 0)
                    p[i] = truth[x - 3 + nx * (y + 2 + ny * (z - 1))];
                if ((x * 7 + y * 13 + z * 17) % 11 == 0)
                    p[i] = 0;
            }
    for (int k = 0; k < 3; k++)
        low[k] = low[k] > 12 ? low[k] - 12 : 0;
    for (int64_t z = low[2]; z < low[2] + 6; z++)
        for (int64_t y = low[1]; y < low[1] + 6; y++)
            for (int64_t x = low[0]; x < low[0] + 6; x++)
                p[x + nx * (y + ny * z)] = 2;
    return p;
}

static void test_real_goldens(void **state)
{
    (void)state;
    ts_error e;
    pool *p;
    const char *name;
    json_t *file = read_goldens("metrics/golden_real.json"), *golden;
    if (!file)
        skip();
    assert_int_equal(pool_create(2, &p, &e), TS_OK);
    json_object_foreach(json_object_get(file, "cases"), name, golden)
    {
        volume_header h;
        uint8_t *truth = read_labels(json_string_value(json_object_get(golden, "truth")), &h);
        uint8_t *prediction = make_prediction(truth, h.shape);
        check_case(name, golden, prediction, truth, &h, p);
        free(prediction);
        free(truth);
    }
    pool_destroy(p);
    json_decref(file);
}

/* ---- parts ---------------------------------------------------------------------------------- */

static void test_surfel_table(void **state)
{
    (void)state;
    static const double spacings[2][3] = {{1, 1, 1}, {0.5, 1.25, 3}};
    json_t *file = read_own_goldens();
    const json_t *rows = json_object_get(file, "abs_normals_eighths");
    assert_int_equal(json_array_size(rows), 256);
    for (int k = 0; k < 2; k++) {
        double areas[256];
        const double *s = spacings[k];
        surfel_areas(s, areas);
        for (size_t code = 0; code < 256; code++) {
            const json_t *triangles = json_array_get(rows, code);
            double area = 0;
            for (size_t t = 0; t < json_array_size(triangles); t++) {
                const json_t *n = json_array_get(triangles, t);
                const double x = json_number_value(json_array_get(n, 0)) * s[1] * s[2];
                const double y = json_number_value(json_array_get(n, 1)) * s[0] * s[2];
                const double z = json_number_value(json_array_get(n, 2)) * s[0] * s[1];
                area += sqrt(x * x + y * y + z * z);
            }
            if (!(fabs(areas[code] - area / 8) <= 1e-12 * area))
                fail_msg("code %zu: area %g instead of %g", code, areas[code], area / 8);
        }
    }
    json_decref(file);
}

enum { NX = 13, NY = 9, NZ = 11, VOXELS = NX * NY * NZ };

static void random_mask(uint8_t *mask, double share, uint32_t seed)
{
    random_stream r = random_open(seed, RANDOM_TEST, 0, 0);
    for (int i = 0; i < VOXELS; i++)
        mask[i] = random_chance(&r, share);
}

/* Both ways to a distance: the search around a voxel, and after it has had enough the map. */
static void test_distances(void **state)
{
    (void)state;
    ts_error e;
    uint8_t set[VOXELS];
    const int64_t shape[3] = {NX, NY, NZ};
    static const double spacings[2][3] = {{0.7, 1.3, 2.9}, {0.7, 2.9, 1.3}};
    static const double shares[] = {0.002, 0.05, 0.6};
    for (uint32_t k = 0; k < 12; k++) {
        distance_map map;
        const double *s = spacings[k / 6];
        random_mask(set, shares[k / 2 % 3], k + 1);
        set[VOXELS / 3] = 1;
        assert_int_equal(distance_open(set, shape, s, &map, &e), TS_OK);
        map.searches = k % 2 ? INT64_MAX : 0;
        for (int i = 0; i < VOXELS; i++) {
            double least = 1e30, got;
            for (int j = 0; j < VOXELS; j++) {
                const double dx = (i % NX - j % NX) * s[0];
                const double dy = (i / NX % NY - j / NX % NY) * s[1];
                const double dz = (i / NX / NY - j / NX / NY) * s[2];
                const double d = dx * dx + dy * dy + dz * dz;
                least = set[j] && d < least ? d : least;
            }
            assert_int_equal(distance_squared(&map, i, &got, &e), TS_OK);
            assert_true(fabs(got - least) < 1e-9);
        }
        assert_int_equal(map.in_planes == NULL, k % 2);
        distance_close(&map);
    }
}

/* HD95 is the distance at which the area reaches 95 %, exactly or beyond: of 80 surfels of equal
 * area the 76th, of 40 the 38th. Voxels of 2 x 1 x 1 mm have surfels of 3/8 mm2 at their
 * corners. */
static void test_area_at_95(void **state)
{
    (void)state;
    enum { LENGTH = 42 };
    static const struct {
        int voxels; /* apart; the last is moved by 1 mm: 4 of its 8 surfels are off */
        double expected;
    } cases[] = {{10, 0}, {9, 1}, {5, 1}};
    for (size_t k = 0; k < COUNT_OF(cases); k++) {
        uint8_t a[LENGTH * 4] = {0}, b[LENGTH * 4] = {0};
        const mask_pair m = {.a = a, .b = b, .shape = {LENGTH, 4, 1}, .spacing_mm = {2, 1, 1}};
        double hd95;
        ts_error e;
        for (int i = 0; i < cases[k].voxels; i++) {
            a[1 + 4 * i + LENGTH] = 1;
            b[1 + 4 * i + LENGTH * (i + 1 < cases[k].voxels ? 1 : 2)] = 1;
        }
        assert_int_equal(hd95_surfels(&m, &hd95, &e), TS_OK);
        assert_true(hd95 == cases[k].expected);
    }
}

/* By its closed form. */
static void test_dilation(void **state)
{
    (void)state;
    ts_error e;
    const int64_t shape[3] = {NX, NY, NZ};
    static const double shares[] = {0.02, 0.08, 0.3};
    for (uint32_t k = 0; k < 3; k++) {
        uint8_t mask[VOXELS], dilated[VOXELS];
        random_mask(mask, shares[k], k + 9);
        memcpy(dilated, mask, sizeof mask);
        assert_int_equal(mask_dilate(dilated, shape, &e), TS_OK);
        for (int i = 0; i < VOXELS; i++) {
            bool near = false;
            for (int j = 0; j < VOXELS; j++) {
                const int dx = abs(i % NX - j % NX), dy = abs(i / NX % NY - j / NX % NY);
                const int dz = abs(i / NX / NY - j / NX / NY);
                near = near || (mask[j] && dx <= 3 && dy <= 3 && dz <= 3 && dx + dy + dz <= 6);
            }
            assert_int_equal(dilated[i], near);
        }
    }
}

/* A truth whose first axis runs the other way on the same grid is compared voxel of the patient by
 * voxel of the patient. */
static void test_other_axes(void **state)
{
    (void)state;
    enum { N = 8, COUNT = N * N * N };
    const int64_t shape[3] = {N, N, N};
    const double spacing[3] = {2, 2, 2};
    const double lps[4][4] = {{-2, 0, 0, 0}, {0, -2, 0, 0}, {0, 0, 2, 0}, {0, 0, 0, 1}};
    const double rps[4][4] = {{2, 0, 0, -2 * (N - 1)}, {0, -2, 0, 0}, {0, 0, 2, 0}, {0, 0, 0, 1}};
    const volume_header h = volume_header_make(shape, spacing, lps);
    const volume_header other = volume_header_make(shape, spacing, rps);
    uint8_t labels[COUNT] = {0}, turned[COUNT] = {0};
    region_scores scores[REGIONS];
    char prediction[128], truth[128];
    ts_error e;
    for (int i = 0; i < COUNT; i++)
        if (i % N < 3)
            labels[i] = turned[i / N * N + N - 1 - i % N] = (uint8_t)(1 + i % 3);
    snprintf(prediction, sizeof prediction, "%s", path_of("p.nii"));
    snprintf(truth, sizeof truth, "%s", path_of("t.nii"));
    assert_int_equal(volume_write_labels(prediction, &h, labels, &e), TS_OK);
    assert_int_equal(volume_write_labels(truth, &other, turned, &e), TS_OK);
    const evaluate_pair pair = {(char[]){"x"}, prediction, truth};
    assert_int_equal(
        evaluate_pair_score(&pair, CONVENTION_LEGACY, LABELS_AUTO, LABELS_AUTO, NULL, scores, &e),
        TS_OK);
    for (int r = 0; r < REGIONS; r++)
        assert_true(scores[r].dice == 1 && scores[r].hd95 == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_made_lesions), cmocka_unit_test(test_synthetic_goldens),
        cmocka_unit_test(test_real_goldens), cmocka_unit_test(test_surfel_table),
        cmocka_unit_test(test_distances),    cmocka_unit_test(test_dilation),
        cmocka_unit_test(test_area_at_95),   cmocka_unit_test(test_other_axes),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
