/* tune_rules on files whose best rules are known: every prediction has a stray component of 24
 * mm3, and half of them an ET of 32 mm3 where the truth has none; real ones are larger. */
#include "predict/predict.h"
#include "test_folder.h"
#include "tune/tune.h"
#include "volume/volume.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { SIDE = 14, VOXELS = SIDE * SIDE * SIDE, CASES = 6 };

static uint8_t *at(uint8_t *labels, int x, int y, int z)
{
    return &labels[(z * SIDE + y) * SIDE + x];
}

static char *write_labels(const char *kind, int i, const uint8_t *labels)
{
    const int64_t shape[3] = {SIDE, SIDE, SIDE};
    const double spacing[3] = {2, 2, 2};
    const double affine[4][4] = {{2, 0, 0, 0}, {0, 2, 0, 0}, {0, 0, 2, 0}, {0, 0, 0, 1}};
    const volume_header h = volume_header_make(shape, spacing, affine);
    ts_error e;
    char *path = string_format("%s/%s%d.nii", folder, kind, i);
    if (volume_write_labels(path, &h, labels, &e) != TS_OK)
        fail_msg("%s", e.text);
    return path;
}

static evaluate_pair make_pair(int i)
{
    uint8_t truth[VOXELS] = {0}, prediction[VOXELS];
    for (int z = 2; z < 8; z++)
        for (int y = 2; y < 8; y++)
            for (int x = 2; x < 8; x++)
                *at(truth, x, y, z) = i % 2 && x > 4 ? 3 : 1;
    memcpy(prediction, truth, sizeof truth);
    for (int k = 0; k < 3; k++) /* the stray component */
        *at(prediction, 11, 11, 9 + k) = 2;
    for (int k = 0; i % 2 == 0 && k < 4; k++) /* ET that is not there */
        *at(prediction, 4, 4, 3 + k) = 3;
    return (evaluate_pair){.id = string_format("%d", i),
                           .prediction = write_labels("p", i, prediction),
                           .truth = write_labels("t", i, truth)};
}

static void test_known_rules(void **state)
{
    ts_error e;
    tuning t, threaded;
    evaluate_pair pairs[CASES];
    const evaluate_pair *list[CASES];
    label_map maps[CASES] = {LABELS_AUTO};
    pool *p;
    (void)state;
    for (int i = 0; i < CASES; i++) {
        pairs[i] = make_pair(i);
        list[i] = &pairs[i];
    }
    assert_int_equal(
        tune_rules(&(tune_cases){.pairs = list, .labels = maps, .count = CASES}, NULL, &t, &e),
        TS_OK);
    assert_int_equal(t.rules.cases, CASES);
    assert_true(t.rules.component_mm3 == 25 && t.rules.et_mm3 == 50);
    assert_true(fabs(t.before[0] - 2 * 216.0 / (216 + 219)) < 1e-12);
    assert_true(fabs(t.before[1] - 1) < 1e-12 && fabs(t.before[2] - 0.5) < 1e-12);
    for (int r = 0; r < REGIONS; r++)
        assert_true(fabs(t.after[r] - 1) < 1e-12 && fabs(t.held_out[r] - 1) < 1e-12);
    assert_int_equal(pool_create(3, &p, &e), TS_OK);
    assert_int_equal(
        tune_rules(&(tune_cases){.pairs = list, .labels = maps, .count = CASES}, p, &threaded, &e),
        TS_OK);
    assert_memory_equal(&t, &threaded, sizeof t);
    /* Where they would not help, there are no rules: the predictions are the truths. */
    evaluate_pair same[2] = {pairs[0], pairs[1]};
    same[0].prediction = same[0].truth;
    same[1].prediction = same[1].truth;
    const evaluate_pair *two[] = {&same[0], &same[1]};
    assert_int_equal(tune_rules(&(tune_cases){.pairs = two, .labels = maps, .count = 2}, p, &t, &e),
                     TS_OK);
    assert_true(t.rules.component_mm3 == 0 && t.rules.et_mm3 == 0);
    same[1].prediction = "/nowhere/p.nii";
    assert_int_equal(tune_rules(&(tune_cases){.pairs = two, .labels = maps, .count = 2}, p, &t, &e),
                     TS_IO);
    assert_non_null(strstr(e.text, "/nowhere"));
    pool_destroy(p);
    for (int i = 0; i < CASES; i++) {
        unlink(pairs[i].prediction);
        unlink(pairs[i].truth);
        free(pairs[i].id);
        free(pairs[i].prediction);
        free(pairs[i].truth);
    }
}

static void test_thresholds(void **state)
{
    (void)state;
    assert_int_equal(predict_threshold_voxels(200, 1), 200);
    assert_int_equal(predict_threshold_voxels(25, 8), 4);
    assert_int_equal(predict_threshold_voxels(0, 8), 0);
    assert_int_equal(predict_threshold_voxels(25, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_rules),
        cmocka_unit_test(test_thresholds),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
