/* evaluate, the panoptic convention: the golden scores that tools/oracle/panoptic.py took from
 * brats-evaluation, for synthetic cases, real truths with predictions by rule, and random boxes.
 * The rules stand here and there alike. */
#include "evaluate/scoring.h"
#include "shared.h"
#include "volume/volume.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

static json_t *goldens; /* the file's "cases" */
static json_t *figures; /* and the names of the figures */

static int load(void **state)
{
    (void)state;
    json_t *file = json_load_file("tests/golden/panoptic.json", 0, NULL);
    goldens = json_incref(json_object_get(file, "cases"));
    figures = json_incref(json_object_get(file, "figures"));
    json_decref(file);
    return !goldens || !figures;
}

static int unload(void **state)
{
    (void)state;
    json_decref(goldens);
    json_decref(figures);
    return 0;
}

static double number(const json_t *v)
{
    return json_is_null(v) ? NAN : json_is_string(v) ? HUGE_VAL : json_number_value(v);
}

/* Distances to 1e-4, the rest to 1e-6; NaN and infinity where the golden has them. */
static void check_case(const char *name, const uint8_t *prediction, const uint8_t *truth,
                       const int64_t shape[3], const double spacing_mm[3], pool *p)
{
    ts_error e;
    panoptic_scores scores[REGIONS_ALL];
    const json_t *golden = json_object_get(goldens, name);
    if (!golden)
        fail_msg("no golden '%s'", name);
    assert_int_equal(evaluate_case_panoptic(prediction, truth, shape, spacing_mm, p, scores, &e),
                     TS_OK);
    const evaluate_columns c = evaluate_columns_of(CONVENTION_PANOPTIC, true);
    assert_int_equal(c.regions, REGIONS_ALL);
    assert_int_equal(c.figures, json_array_size(figures));
    for (int r = 0; r < c.regions; r++) {
        double values[EVALUATE_FIGURES_MAX];
        const json_t *row = json_object_get(golden, c.region_names[r]);
        list_panoptic(&scores[r], values);
        for (int f = 0; f < c.figures; f++) {
            const char *figure = json_string_value(json_array_get(figures, (size_t)f));
            assert_string_equal(figure, c.figure_names[f]);
            const double want = number(json_array_get(row, (size_t)f)), got = values[f];
            const bool surface = strstr(figure, "hd95") || strstr(figure, "nsd");
            const bool same = isnan(want) || isinf(want)
                                  ? isnan(want) == isnan(got) && isinf(want) == isinf(got)
                                  : fabs(got - want) <= (surface ? 1e-4 : 1e-6);
            if (!same)
                fail_msg("%s %s: %s is %.10g instead of %.10g", name, c.region_names[r], figure,
                         got, want);
        }
    }
}

static uint8_t *read_labels(const char *path, volume_header *h)
{
    ts_error e;
    uint8_t *labels;
    if (volume_read_labels(path, h, &labels, &e) != TS_OK)
        fail_msg("%s", e.text);
    assert_int_equal(
        labels_map(labels, (size_t)voxel_count(h->shape), LABELS_AUTO, false, path, &e), TS_OK);
    return labels;
}

static void test_synthetic(void **state)
{
    (void)state;
    for (int i = 1; i <= 56; i++) {
        char below[96], name[32];
        volume_header h;
        snprintf(below, sizeof below, "metrics/synthetic/case%02d-seg.nii.gz", i);
        snprintf(name, sizeof name, "synthetic case%02d", i);
        const char *path = shared_path(below);
        if (!path)
            skip();
        uint8_t *truth = read_labels(path, &h);
        snprintf(below, sizeof below, "metrics/synthetic/case%02d-pred.nii.gz", i);
        uint8_t *prediction = read_labels(shared_path(below), &h);
        check_case(name, prediction, truth, h.shape, h.zooms, NULL);
        free(prediction);
        free(truth);
    }
}

/* ---- real truths ---------------------------------------------------------------------------- */

/* golden_real.json's rule: the truth moved by (3, -2, 1), with holes, and a cube of ED. */
static void make_moved(const uint8_t *truth, const int64_t shape[3], uint8_t *p)
{
    const int64_t nx = shape[0], ny = shape[1], nz = shape[2];
    int64_t low[3] = {nx, ny, nz}, i = 0;
    for (int64_t z = 0; z < nz; z++)
        for (int64_t y = 0; y < ny; y++)
            for (int64_t x = 0; x < nx; x++, i++) {
                const int64_t at[3] = {x, y, z};
                for (int k = 0; truth[i] && k < 3; k++)
                    low[k] = at[k] < low[k] ? at[k] : low[k];
                p[i] = x - 3 >= 0 && y + 2 < ny && z - 1 >= 0
                           ? truth[x - 3 + nx * (y + 2 + ny * (z - 1))]
                           : 0;
                if ((x * 7 + y * 13 + z * 17) % 11 == 0)
                    p[i] = 0;
            }
    for (int k = 0; k < 3; k++)
        low[k] = low[k] > 12 ? low[k] - 12 : 0;
    for (int64_t z = low[2]; z < low[2] + 6; z++)
        for (int64_t y = low[1]; y < low[1] + 6; y++)
            for (int64_t x = low[0]; x < low[0] + 6; x++)
                p[x + nx * (y + ny * z)] = 2;
}

/* The truth cut into slabs, with specks around; ED in every third cube of 6 voxels becomes RC. */
static void make_cut(uint8_t *truth, const int64_t shape[3], uint8_t *p)
{
    int64_t i = 0;
    for (int64_t z = 0; z < shape[2]; z++)
        for (int64_t y = 0; y < shape[1]; y++)
            for (int64_t x = 0; x < shape[0]; x++, i++) {
                if (truth[i] == 2 && (x / 6 + y / 6 + z / 6) % 3 == 0)
                    truth[i] = 4;
                p[i] = x % 9 == 0 ? 0 : truth[i];
                if ((x * 31 + y * 17 + z * 29) % 4099 == 0)
                    p[i] = (uint8_t)(1 + (x + y + z) % 4);
            }
}

static void test_real(void **state)
{
    (void)state;
    ts_error e;
    pool *p;
    const char *name;
    const json_t *golden;
    int found = 0, cuts = 0;
    assert_int_equal(pool_create(2, &p, &e), TS_OK);
    json_object_foreach(goldens, name, golden)
    {
        volume_header h;
        if (strncmp(name, "moved ", 6))
            continue;
        const char *path = shared_path(name + 6);
        if (!path)
            skip();
        uint8_t *truth = read_labels(path, &h);
        uint8_t *prediction = malloc((size_t)voxel_count(h.shape));
        char cut[256];
        make_moved(truth, h.shape, prediction);
        check_case(name, prediction, truth, h.shape, h.zooms, p);
        snprintf(cut, sizeof cut, "cut %s", name + 6);
        if (json_object_get(goldens, cut)) {
            make_cut(truth, h.shape, prediction);
            check_case(cut, prediction, truth, h.shape, h.zooms, p);
            cuts++;
        }
        free(prediction);
        free(truth);
        found++;
    }
    assert_int_equal(found, 9);
    assert_int_equal(cuts, 2);
    pool_destroy(p);
}

/* ---- boxes ---------------------------------------------------------------------------------- */

static int64_t below(uint64_t *draws, uint64_t n)
{
    *draws = *draws * 6364136223846793005u + 1442695040888963407u;
    return (int64_t)((*draws >> 33) % n);
}

static void make_boxes(uint64_t *draws, const int64_t shape[3], uint8_t *v)
{
    const int64_t count = 10 + below(draws, 40);
    memset(v, 0, (size_t)voxel_count(shape));
    for (int64_t b = 0; b < count; b++) {
        int64_t size[3], at[3];
        for (int k = 0; k < 3; k++)
            size[k] = 1 + below(draws, 3);
        for (int k = 0; k < 3; k++)
            at[k] = below(draws, (uint64_t)shape[k]);
        const uint8_t label = (uint8_t)(1 + below(draws, 4));
        for (int64_t z = at[2]; z < at[2] + size[2] && z < shape[2]; z++)
            for (int64_t y = at[1]; y < at[1] + size[1] && y < shape[1]; y++)
                for (int64_t x = at[0]; x < at[0] + size[0] && x < shape[0]; x++)
                    v[x + shape[0] * (y + shape[1] * z)] = label;
    }
}

static void test_boxes(void **state)
{
    (void)state;
    static const int64_t shape[3] = {20, 18, 16};
    static const double spacings[2][3] = {{0.75, 1.5, 2.5}, {1, 1, 1}};
    for (uint64_t seed = 1; seed <= 60; seed++) {
        uint8_t prediction[20 * 18 * 16], truth[20 * 18 * 16];
        char name[32];
        uint64_t draws = seed;
        make_boxes(&draws, shape, prediction);
        make_boxes(&draws, shape, truth);
        snprintf(name, sizeof name, "boxes %d", (int)seed);
        check_case(name, prediction, truth, shape, spacings[seed % 2], NULL);
    }
}

/* ---- parts ---------------------------------------------------------------------------------- */

/* Every assignment of up to 6 columns, one by one: none is cheaper. */
static double cheapest(const double *cost, int rows, int columns, int row, unsigned taken)
{
    double least = row == rows ? 0 : HUGE_VAL;
    for (int j = 0; row < rows && j < columns; j++)
        if (!(taken >> j & 1))
            least = fmin(least, cost[row * columns + j] +
                                    cheapest(cost, rows, columns, row + 1, taken | 1u << j));
    return least;
}

static void test_assignment(void **state)
{
    (void)state;
    ts_error e;
    random_stream r = random_open(3, RANDOM_TEST, 0, 0);
    for (int trial = 0; trial < 400; trial++) {
        double cost[36], sum = 0;
        int64_t column[6];
        unsigned taken = 0;
        const int columns = 1 + (int)random_below(&r, 6);
        const int rows = 1 + (int)random_below(&r, columns);
        for (int i = 0; i < rows * columns; i++)
            cost[i] = (double)random_below(&r, 9) / 8;
        assert_int_equal(assign_rows(cost, rows, columns, column, &e), TS_OK);
        for (int i = 0; i < rows; i++) {
            assert_false(taken >> column[i] & 1);
            taken |= 1u << column[i];
            sum += cost[i * columns + column[i]];
        }
        assert_true(fabs(sum - cheapest(cost, rows, columns, 0, 0)) < 1e-12);
    }
}

static void test_summary(void **state)
{
    (void)state;
    const evaluate_list list = {.count = 3};
    evaluate_results r = {.columns = evaluate_columns_of(CONVENTION_PANOPTIC, false),
                          .list = &list};
    const evaluate_columns c = r.columns;
    double all[3 * REGION_RC * EVALUATE_FIGURES_MAX] = {0}, mean, median;
    const size_t each = (size_t)(c.regions * c.figures);
    const struct {
        int figure;
        double values[3], mean, median;
    } cases[] = {
        {0, {0.5, NAN, 1}, 0.75, 0.75},      /* Dice: of those that have one */
        {2, {4, HUGE_VAL, 7}, 128, 7},       /* HD95: infinity counts as 373 */
        {11, {4, HUGE_VAL, 7}, HUGE_VAL, 7}, /* that of instances as itself */
        {0, {NAN, NAN, NAN}, NAN, NAN},
    };
    for (size_t k = 0; k < COUNT_OF(cases); k++) {
        for (size_t i = 0; i < 3; i++)
            all[i * each + (size_t)(2 * c.figures + cases[k].figure)] = cases[k].values[i];
        r.values = all;
        evaluate_summary(&r, 2, cases[k].figure, &mean, &median);
        assert_true(mean == cases[k].mean || (isnan(mean) && isnan(cases[k].mean)));
        assert_true(median == cases[k].median || (isnan(median) && isnan(cases[k].median)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_synthetic), cmocka_unit_test(test_real),
        cmocka_unit_test(test_boxes),     cmocka_unit_test(test_assignment),
        cmocka_unit_test(test_summary),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
