/* brain: the rules that make a mask of probabilities, what is noticed and refused, and that an image
 * goes through the network and back to its own grid, whatever its axes. */
#include "test_folder.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "brain/brain.h"
#include "made_model.h"
#include "voxels/voxels.h"

enum { N = 40 };
static float image[N * N * N], probability[N * N * N];
static uint8_t mask[N * N * N];

static size_t at(int x, int y, int z)
{
    return (size_t)((z * N + y) * N + x);
}

static volume_header grid_of(double mm)
{
    const int64_t shape[3] = {N, N, N};
    const double spacing[3] = {mm, mm, mm};
    const double affine[4][4] = {{-mm, 0, 0, 0}, {0, -mm, 0, 0}, {0, 0, mm, 0}, {0, 0, 0, 1}};
    return volume_header_make(shape, spacing, affine);
}

static void block(float *values, int from, int to, float value)
{
    for (int z = from; z < to; z++)
        for (int y = from; y < to; y++)
            for (int x = from; x < to; x++)
                values[at(x, y, z)] = value;
}

/* 0.35 counts as brain; the largest component stays, its hole is filled. */
static void test_rules(void **state)
{
    const volume_header grid = grid_of(4);
    ts_error e;
    (void)state;
    memset(probability, 0, sizeof probability);
    block(probability, 10, 20, 0.36f);
    block(probability, 13, 16, 0.2f); /* a hole */
    block(probability, 2, 6, 1);      /* more probable, and smaller */
    block(probability, 24, 36, 0.34f);
    assert_int_equal(brain_from_probability(&grid, probability, mask, &e), TS_OK);
    for (int z = 0; z < N; z++)
        for (int y = 0; y < N; y++)
            for (int x = 0; x < N; x++)
                assert_int_equal(mask[at(x, y, z)],
                                 x >= 10 && x < 20 && y >= 10 && y < 20 && z >= 10 && z < 20);
    memset(probability, 0, sizeof probability);
    assert_int_equal(brain_from_probability(&grid, probability, mask, &e), TS_BAD_INPUT);
    assert_non_null(strstr(e.text, "no brain was found"));
}

static void test_stripped(void **state)
{
    const volume_header grid = grid_of(4); /* 160 mm: 4.1 litres */
    bool stripped;
    ts_error e;
    (void)state;
    memset(image, 0, sizeof image);
    block(image, 8, 34, 5); /* 1.1 litres */
    block(image, 20, 22, 0);
    assert_int_equal(brain_if_stripped(&grid, image, mask, &stripped, &e), TS_OK);
    assert_true(stripped);
    assert_int_equal(mask[at(20, 20, 20)], 1); /* a ventricle of exactly 0 */
    assert_int_equal(mask[at(7, 20, 20)], 0);
    block(image, 0, N, 5);
    assert_int_equal(brain_if_stripped(&grid, image, mask, &stripped, &e), TS_OK);
    assert_false(stripped);
}

static void test_volume_doubt(void **state)
{
    (void)state;
    assert_null(brain_volume_doubt(700));
    assert_null(brain_volume_doubt(2000));
    char *small = brain_volume_doubt(699), *large = brain_volume_doubt(2001);
    assert_non_null(strstr(small, "699 ml"));
    assert_non_null(strstr(large, "2001 ml"));
    free(small);
    free(large);
}

static const char *make_finder(brain_finder **f)
{
    ts_error e;
    model m = made_model(1u << T1, LOSS_CE, 3);
    const char *path = path_of("any.safetensors");
    m.plan.method = METHOD_ANY_IMAGE;
    m.plan.student = 1u << T1 | 1u << FLAIR;
    m.plan.spacing_mm = 4;
    assert_int_equal(model_write(path, &m, &e), TS_OK);
    assert_int_equal(brain_open(path, 2, f, &e), TS_OK);
    model_free(&m);
    return path;
}

static void noise(float *values, double level)
{
    random_stream r = random_open(5, RANDOM_TEST, 0, 0);
    for (size_t i = 0; i < N * N * N; i++)
        values[i] = (float)(level + random_uniform(&r, 0, 100));
}

/* The same image along other axes gives the same probabilities there, a brighter one the same. */
static void test_probability(void **state)
{
    static float turned[N * N * N], other[N * N * N];
    volume_header grid = grid_of(4);
    brain_finder *f;
    ts_error e;
    double least = 1, most = 0;
    (void)state;
    make_finder(&f);
    noise(image, 10);
    assert_int_equal(brain_probability(f, &grid, image, "a", probability, &e), TS_OK);
    for (size_t i = 0; i < N * N * N; i++) {
        least = fmin(least, probability[i]);
        most = fmax(most, probability[i]);
        turned[i] = 7 * image[N * N * N - 1 - i];
    }
    assert_true(least >= 0 && most <= 1 && most - least > 0.01);
    for (int k = 0; k < 3; k++) {
        grid.affine[k][3] = grid.affine[k][k] * (N - 1);
        grid.affine[k][k] = -grid.affine[k][k];
    }
    assert_int_equal(brain_probability(f, &grid, turned, "b", other, &e), TS_OK);
    for (size_t i = 0; i < N * N * N; i++)
        assert_float_equal(other[i], probability[N * N * N - 1 - i], 2e-3);
    brain_close(f);
}

/* Two images vote by their mean. */
static void test_vote(void **state)
{
    static float second[N * N * N], one[N * N * N], two[N * N * N];
    const volume_header grid = grid_of(4);
    const float *images[] = {image, second};
    const char *names[] = {"a", "b"};
    brain_finder *f;
    brain_found found;
    ts_error e;
    (void)state;
    make_finder(&f);
    noise(image, 10);
    for (size_t i = 0; i < N * N * N; i++)
        second[i] = 300 - image[(i * 7) % (N * N * N)];
    assert_int_equal(brain_probability(f, &grid, image, "a", one, &e), TS_OK);
    assert_int_equal(brain_probability(f, &grid, second, "b", two, &e), TS_OK);
    const ts_status status = brain_find(f, &grid, images, names, 2, mask, probability, &found, &e);
    assert_true(status == TS_OK || strstr(e.text, "no brain was found"));
    for (size_t i = 0; i < N * N * N; i++)
        assert_float_equal(probability[i], (one[i] + two[i]) / 2, 1e-6);
    memset(second, 0, sizeof second);
    block(second, 8, 34, 5);
    assert_int_equal(brain_find(f, &grid, images, names, 2, mask, NULL, &found, &e), TS_OK);
    assert_true(found.stripped);
    assert_int_equal(found.which, 1);
    assert_float_equal(found.millilitres, 26 * 26 * 26 * 0.064, 1e-6);
    brain_close(f);
}

/* Of a mask that goes on into the neck the network looks again, at the upper 150 mm. */
static void test_neck(void **state)
{
    volume_header grid = grid_of(4);
    const float *images[] = {image};
    const char *names[] = {"tall"};
    net_parameter *parameters;
    brain_finder *f;
    brain_found found;
    size_t count;
    int64_t weights;
    ts_error e;
    model m = made_model(1u << T1, LOSS_CE, 3);
    (void)state;
    m.plan.method = METHOD_ANY_IMAGE;
    m.plan.spacing_mm = 4;
    assert_int_equal(net_layout(&m.config, &parameters, &count, &weights, &e), TS_OK);
    for (size_t k = 0; k < count; k++)
        if (!strcmp(parameters[k].name, "head.0.bias"))
            m.weights[parameters[k].offset + 1] += 30; /* all is brain */
    assert_int_equal(model_write(path_of("all.safetensors"), &m, &e), TS_OK);
    assert_int_equal(brain_open(path_of("all.safetensors"), 1, &f, &e), TS_OK);
    noise(image, 10);
    for (int turn = 0; turn < 2; turn++) {
        grid.affine[2][2] = turn ? -5 : 5; /* 200 mm */
        grid.zooms[2] = 5;
        assert_int_equal(brain_find(f, &grid, images, names, 1, mask, NULL, &found, &e), TS_OK);
        for (int z = 0; z < N; z++) /* the top and 30 slices below it */
            assert_int_equal(mask[at(20, 20, z)], turn ? z <= 30 : z >= 9);
    }
    free(parameters);
    model_free(&m);
    brain_close(f);
}

static void test_refusals(void **state)
{
    volume_header grid = grid_of(4);
    brain_finder *f;
    ts_error e;
    (void)state;
    make_finder(&f);
    noise(image, 10);
    grid.shape[2] = 3;
    assert_int_equal(brain_probability(f, &grid, image, "few", probability, &e), TS_BAD_INPUT);
    assert_non_null(strstr(e.text, "'few' has 3 slices"));
    grid.shape[2] = 7;
    grid.zooms[2] = 10;
    assert_int_equal(brain_probability(f, &grid, image, "seven", probability, &e), TS_BAD_INPUT);
    assert_non_null(strstr(e.text, "'seven' has 7 slices"));
    grid = grid_of(1.4);
    assert_int_equal(brain_probability(f, &grid, image, "small", probability, &e), TS_BAD_INPUT);
    assert_non_null(strstr(e.text, "56 mm"));
    grid = grid_of(4);
    image[77] = NAN;
    assert_int_equal(brain_probability(f, &grid, image, "nan", probability, &e), TS_BAD_INPUT);
    assert_non_null(strstr(e.text, "'nan' holds NaN"));
    for (size_t i = 0; i < N * N * N; i++)
        image[i] = 3;
    assert_int_equal(brain_probability(f, &grid, image, "flat", probability, &e), TS_BAD_INPUT);
    assert_non_null(strstr(e.text, "flat"));
    brain_close(f);
    model m = made_model(1u << T1, LOSS_CE, 3);
    assert_int_equal(model_write(path_of("t1.safetensors"), &m, &e), TS_OK);
    model_free(&m);
    assert_int_equal(brain_open(path_of("t1.safetensors"), 1, &f, &e), TS_BAD_INPUT);
    assert_non_null(strstr(e.text, "not a model that finds brains"));
    assert_null(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),        cmocka_unit_test(test_stripped),
        cmocka_unit_test(test_volume_doubt), cmocka_unit_test(test_probability),
        cmocka_unit_test(test_vote),         cmocka_unit_test(test_neck),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
