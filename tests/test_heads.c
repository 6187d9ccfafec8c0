/* heads: what surrounds the brain and what a scanner makes of it; the brains of patients that heads
 * are made around; the cohort that brain extraction is trained on. */
#include "dataset/dataset.h"
#include "phantom/head.h"
#include "phantom/headscan.h"
#include "test_folder.h"
#include "voxels/voxels.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static phantom_case make(int64_t index, const real_brain *brain, int threads)
{
    phantom_case c;
    pool *p;
    ts_error e;
    assert_int_equal(pool_create(threads, &p, &e), TS_OK);
    assert_int_equal(head_make(9, index, brain, p, &c, &e), TS_OK);
    pool_destroy(p);
    return c;
}

static void test_same_on_any_threads(void **state)
{
    (void)state;
    phantom_case a = make(0, NULL, 1), b = make(0, NULL, 3), other = make(2, NULL, 3);
    const size_t n = (size_t)voxel_count(a.shape);
    assert_memory_equal(a.shape, b.shape, sizeof a.shape);
    assert_memory_equal(a.labels, b.labels, n);
    for (int m = 0; m < MODALITIES; m++)
        assert_memory_equal(a.images[m], b.images[m], n * sizeof(int16_t));
    assert_memory_not_equal(a.shape, other.shape, sizeof a.shape);
    phantom_free(&a);
    phantom_free(&b);
    phantom_free(&other);
}

/* Straight out from the vertex: brain, then fluid, bone, skin and air, each at its place. */
static void test_layers(void **state)
{
    random_stream r = random_open(1, RANDOM_TEST, 0, 0);
    const head_anatomy a = head_draw(&r);
    bool seen[HEAD_TISSUES] = {false};
    (void)state;
    for (float depth = 5; depth > -40; depth -= 0.5f) {
        const float place[3] = {0.5f, 0, 69 - depth};
        head_point p = {.depth = depth};
        float sum = 0;
        p.share[TISSUE_GREY] = 1;
        head_at(&a, place, 1, &p);
        for (int i = 0; i < HEAD_TISSUES; i++) {
            assert_true(p.share[i] >= 0);
            sum += p.share[i];
            seen[i] |= p.share[i] > 0.5f;
        }
        assert_float_equal(sum, 1, 1e-5);
        if (depth > 0.5f)
            assert_float_equal(p.share[TISSUE_GREY], 1, 1e-6);
        if (depth < -0.5f)
            assert_float_equal(p.share[TISSUE_GREY], 0, 1e-6);
        if (seen[HEAD_BONE])
            assert_true(p.share[TISSUE_CSF] < 0.5f); /* no fluid outside of the bone */
    }
    assert_true(seen[HEAD_BONE] && seen[HEAD_FAT] && seen[HEAD_AIR]);
    assert_false(seen[HEAD_VITREOUS]);
}

/* Of a left eye the vitreous body, and below the brain a cord in fluid in bone. */
static void test_face_and_neck(void **state)
{
    random_stream r = random_open(1, RANDOM_TEST, 0, 0);
    head_anatomy a = head_draw(&r);
    for (int k = 0; k < 3; k++)
        a.sway[k].amplitude = 0;
    const float places[][3] = {{32, -74, -40}, {0, 47, -170}, {0, -150, -60}};
    const int tissue_of[] = {HEAD_VITREOUS, HEAD_NERVE, HEAD_AIR};
    (void)state;
    for (size_t k = 0; k < COUNT_OF(places); k++) {
        head_point p = {.depth = -40};
        head_at(&a, places[k], 1, &p);
        assert_true(p.share[tissue_of[k]] > 0.9f);
    }
}

static int64_t count_of(const uint8_t *labels, int64_t voxels)
{
    int64_t count = 0;
    for (int64_t i = 0; i < voxels; i++)
        count += labels[i];
    return count;
}

/* The brain lies within signal, no image is like another, and some of the head is not brain. */
static void test_head(void **state)
{
    (void)state;
    for (int64_t k = 1; k < 3; k++) {
        phantom_case c = make(k, NULL, 2);
        const int64_t voxels = voxel_count(c.shape);
        const double litres = (double)count_of(c.labels, voxels) * 8e-6;
        assert_true(litres > 0.3 && litres < 2.2);
        for (int m = 0; m < MODALITIES; m++) {
            int64_t outside = 0, same = 0, zero = 0;
            for (int64_t i = 0; i < voxels; i++) {
                assert_true(c.images[m][i] >= 0);
                outside += !c.labels[i] && c.images[m][i] > 20;
                same += c.images[m][i] == c.images[(m + 1) % MODALITIES][i] && c.labels[i];
                zero += c.labels[i] && !c.images[m][i];
            }
            assert_true((double)outside * 8e-6 > 0.3);
            assert_true(same < count_of(c.labels, voxels) / 10);
            assert_true(zero < count_of(c.labels, voxels) / 20);
        }
        phantom_free(&c);
    }
}

/* What a scanner does: slices average what they cover, and nothing shifts. */
static void test_slices(void **state)
{
    const int64_t shape[3] = {6, 5, 40};
    static float image[6 * 5 * 40];
    random_stream r = random_open(2, RANDOM_TEST, 0, 0);
    scanner s = {.axis = 2, .slice_voxels = 4, .gap = 0, .noise = 0};
    ts_error e;
    (void)state;
    for (int64_t i = 0; i < 6 * 5 * 40; i++)
        image[i] = (float)(i / 30);
    assert_int_equal(scanner_apply(&s, shape, 1, &r, image, &e), TS_OK);
    for (int64_t i = 0; i < 6 * 5 * 40; i++)
        if (i / 30 >= 2 && i / 30 < 38) /* a ramp stays one between the outer slices' centres */
            assert_float_equal(image[i], (float)(i / 30), 1e-3);
    for (int64_t i = 0; i < 6 * 5 * 40; i++)
        image[i] = i / 30 == 21 ? 8 : 0;
    assert_int_equal(scanner_apply(&s, shape, 1, &r, image, &e), TS_OK);
    double sum = 0, moment = 0;
    for (int64_t i = 0; i < 6 * 5 * 40; i++) {
        sum += image[i];
        moment += image[i] * (double)(i / 30);
    }
    assert_float_equal(sum / 30, 8, 1e-3);
    assert_float_equal(moment / sum, 21.5, 1e-3); /* the slice of 20 to 23 */
}

static void test_ghost_and_noise(void **state)
{
    const int64_t shape[3] = {64, 8, 8};
    static float image[64 * 8 * 8];
    random_stream r = random_open(2, RANDOM_TEST, 0, 0);
    scanner s = {.axis = 2, .slice_voxels = 1, .ghost = 0.1f, .ghost_shift = 24};
    ts_error e;
    (void)state;
    image[40] = 1;
    assert_int_equal(scanner_apply(&s, shape, 1, &r, image, &e), TS_OK);
    assert_float_equal(image[40], 1, 1e-6);
    assert_float_equal(image[16], 0.1, 1e-6);
    memset(image, 0, sizeof image);
    s.ghost = 0;
    s.noise = 0.5f;
    assert_int_equal(scanner_apply(&s, shape, 2, &r, image, &e), TS_OK);
    double sum = 0;
    for (int i = 0; i < 64 * 8 * 8; i++)
        sum += image[i];
    assert_float_equal(sum / (64 * 8 * 8), 1.2533, 0.05); /* Rayleigh: deviation sqrt(pi / 2) */
}

/* A patient's brain keeps its place, its size and its values. */
static void test_real_brain(void **state)
{
    const int64_t shape[3] = {80, 80, 52};
    char path[128];
    ts_error e;
    dataset d;
    real_brain b;
    (void)state;
    snprintf(path, sizeof path, "%s/brains", folder);
    assert_int_equal(phantom_write(path, 1, 3, shape, PHANTOM_BRATS2021, NULL, &e), TS_OK);
    assert_int_equal(dataset_open(path, LABELS_AUTO, &d, &e), TS_OK);
    assert_int_equal(real_brain_read(&d.cases[0], &b, &e), TS_OK);
    phantom_case c;
    assert_int_equal(phantom_make(3, 0, shape, NULL, &c, &e), TS_OK);
    double sum = 0, count = 0, least = 1e9, most = 0;
    for (int64_t i = 0; i < voxel_count(shape); i++) {
        const float at[3] = {(float)(((double)(i % 80) + 0.5 - 40) * 3),
                             (float)(((double)(i / 80 % 80) + 0.5 - 40) * 3 - 8),
                             (float)(((double)(i / 6400) + 0.5 - 26) * 3 - 2.5)};
        float depth, values[MODALITIES];
        real_brain_at(&b, at, &depth, values);
        assert_int_equal(depth > 0, c.images[T1][i] != 0);
        if (c.images[T1][i]) {
            const double ratio = c.images[T1][i] / (double)values[T1];
            least = fmin(least, ratio);
            most = fmax(most, ratio);
            sum += values[T1];
            count++;
        }
    }
    assert_true(most / least < 1.001); /* one factor for all */
    assert_true(fabs(sum / count - 1) < 0.3);
    phantom_case head = make(1, &b, 2);
    const double litres = (double)count_of(head.labels, voxel_count(head.shape)) * 8e-6;
    assert_true(litres > 0.3 && litres < 1.4 * count * 27e-6);
    phantom_free(&head);
    phantom_free(&c);
    real_brain_free(&b);
    dataset_close(&d);
}

static void test_brains_refused(void **state)
{
    char path[128], other[128];
    ts_error e;
    dataset d;
    real_brain b;
    (void)state;
    snprintf(path, sizeof path, "%s/heads", folder);
    snprintf(other, sizeof other, "%s/around", folder);
    assert_int_equal(phantom_write_heads(path, 1, 4, NULL, NULL, &e), TS_OK);
    assert_int_equal(dataset_open(path, LABELS_AUTO, &d, &e), TS_OK);
    assert_int_equal(d.count, 1);
    assert_int_equal(dataset_case_modalities(&d.cases[0]), ALL_MODALITIES);
    assert_int_equal(real_brain_read(&d.cases[0], &b, &e), TS_BAD_INPUT);
    assert_non_null(strstr(e.text, "must be skull-stripped"));
    assert_int_equal(phantom_write_heads(other, 2, 4, &d, NULL, &e), TS_BAD_INPUT);
    dataset_close(&d);
    assert_int_equal(phantom_write_heads(path, 1, 4, NULL, NULL, &e), TS_BAD_INPUT);
    assert_non_null(strstr(e.text, "not empty"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_on_any_threads),
        cmocka_unit_test(test_layers),
        cmocka_unit_test(test_face_and_neck),
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_slices),
        cmocka_unit_test(test_ghost_and_noise),
        cmocka_unit_test(test_real_brain),
        cmocka_unit_test(test_brains_refused),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
