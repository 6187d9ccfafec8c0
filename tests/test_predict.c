/* predict: windows and importance against nnU-Net's, post-processing. */
#include "predict/predict.h"
#include "predict/windows.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- windows ---------------------------------------------------------------------------- */

static void check_steps(char *words)
{
    char *rest = NULL;
    const int64_t size = atoll(strtok_r(words, " ", &rest));
    const int64_t patch = atoll(strtok_r(NULL, " ", &rest));
    const double step = atof(strtok_r(NULL, " ", &rest));
    int64_t index = 0;
    for (const char *word; (word = strtok_r(NULL, " \n", &rest)); index++)
        assert_int_equal(window_begin(size, patch, step, index), atoll(word));
    assert_int_equal(window_count(size, patch, step), index);
}

static void check_importance(char *words)
{
    char *rest = NULL;
    int64_t patch[3] = {0};
    float map[8 * 10 * 13];
    for (int i = 0; i < 3; i++)
        patch[i] = atoll(strtok_r(i ? NULL : words, " ", &rest));
    assert_int_equal(patch[0] * patch[1] * patch[2], COUNT_OF(map));
    window_importance(patch, map);
    for (size_t i = 0; i < COUNT_OF(map); i++) {
        const double want = atof(strtok_r(NULL, " \n", &rest));
        assert_true(map[i] > 0 && fabs(map[i] - want) <= 1e-6 * want);
    }
}

/* Every line of tools/oracle/windows.py. */
static void test_windows_against_nnunet(void **state)
{
    (void)state;
    uint8_t *bytes;
    size_t count;
    int steps = 0, maps = 0;
    ts_error e;
    char *rest = NULL;
    assert_int_equal(file_get("tests/golden/windows.txt", 1 << 20, &bytes, &count, &e), TS_OK);
    for (char *line = strtok_r((char *)bytes, "\n", &rest); line;
         line = strtok_r(NULL, "\n", &rest)) {
        char *words = strchr(line, ' ') + 1;
        const bool is_steps = !strncmp(line, "steps ", 6);
        (is_steps ? check_steps : check_importance)(words);
        steps += is_steps;
        maps += !is_steps;
    }
    assert_int_equal(steps, 44);
    assert_int_equal(maps, 1);
    free(bytes);
}

/* A volume smaller than the patch has one window with padding on both sides. */
static void test_small_volume_window(void **state)
{
    (void)state;
    assert_int_equal(window_count(40, 64, 0.5), 1);
    assert_int_equal(window_begin(40, 64, 0.5, 0), -12);
    assert_int_equal(window_begin(41, 64, 0.5, 0), -11);
}

/* ---- post-processing -------------------------------------------------------------------- */

static void test_postprocess(void **state)
{
    (void)state;
    enum { NX = 7, NY = 6, NZ = 5 };
    const int64_t shape[3] = {NX, NY, NZ};
    ts_error e;
    uint8_t labels[NX * NY * NZ] = {0}, work[NX * NY * NZ];
    labels[0] = 2; /* three voxels joined by corners alone */
    labels[(1 * NY + 1) * NX + 1] = 1;
    labels[(2 * NY + 2) * NX + 2] = 3;
    labels[NX - 1] = 3; /* alone, at the row's end; the next row's start is no neighbour */
    labels[NX] = 0;
    labels[(4 * NY + 5) * NX + 5] = 2; /* two, at the end of the volume */
    labels[(4 * NY + 5) * NX + 6] = 3;

    memcpy(work, labels, sizeof work);
    assert_int_equal(predict_postprocess(work, shape, 0, 0, &e), TS_OK);
    assert_memory_equal(work, labels, sizeof work);

    assert_int_equal(predict_postprocess(work, shape, 0, 2, &e), TS_OK);
    assert_int_equal(work[NX - 1], 0);
    assert_int_equal(work[(4 * NY + 5) * NX + 6], 3);
    assert_int_equal(predict_postprocess(work, shape, 0, 3, &e), TS_OK);
    assert_int_equal(work[(4 * NY + 5) * NX + 5], 0);
    assert_int_equal(work[0], 2);
    assert_int_equal(work[(2 * NY + 2) * NX + 2], 3);

    memcpy(work, labels, sizeof work);
    assert_int_equal(predict_postprocess(work, shape, 3, 0, &e), TS_OK); /* three ET: enough */
    assert_memory_equal(work, labels, sizeof work);
    assert_int_equal(predict_postprocess(work, shape, 3, 2, &e), TS_OK); /* two are left: NCR */
    assert_int_equal(work[(2 * NY + 2) * NX + 2], 1);
    assert_int_equal(work[(4 * NY + 5) * NX + 6], 1);
    assert_int_equal(work[NX - 1], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_windows_against_nnunet),
        cmocka_unit_test(test_small_volume_window),
        cmocka_unit_test(test_postprocess),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
