/* phantom: the signal equations against figures worked by hand, and of whole cases: what is
 * visible in which modality, zero outside, the same bits on any number of threads. */
#include "phantom/phantom.h"
#include "phantom/physics.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const int64_t small[3] = {80, 80, 52};

static void assert_close(double value, double expected, double tolerance)
{
    if (fabs(value - expected) > tolerance)
        fail_msg("%.12g is not %.12g within %g", value, expected, tolerance);
}

static size_t voxel_count(const int64_t shape[3])
{
    return (size_t)(shape[0] * shape[1] * shape[2]);
}

static phantom_case make(uint64_t seed, int64_t index, const int64_t shape[3], int threads)
{
    phantom_case c;
    pool *p;
    ts_error e;
    assert_int_equal(pool_create(threads, &p, &e), TS_OK);
    assert_int_equal(phantom_make(seed, index, shape, p, &c, &e), TS_OK);
    pool_destroy(p);
    return c;
}

static bool same_case(const phantom_case *a, const phantom_case *b)
{
    const size_t n = voxel_count(a->shape);
    bool same = !memcmp(a->labels, b->labels, n);
    for (int m = 0; m < MODALITIES; m++)
        same = same && !memcmp(a->images[m], b->images[m], n * sizeof(int16_t));
    return same;
}

/* T1 1000, T2 100, PD 1, TR 500, TE 20: (1 - 2 e^-0.49 + e^-0.5) e^-0.2. */
/* T1 1000, T2 100, PD 1, TR 500, TE 20: (1 - 2 e^-0.49 + e^-0.5) e^-0.2. */
static void test_spin_echo(void **state)
{
    (void)state;
    assert_close(signal_spin_echo(1000, 100, 1, 500, 20), 0.3121639187, 1e-9);
    assert_close(signal_spin_echo(1000, 100, 0.5, 500, 20), 0.3121639187 / 2, 1e-9);
    assert_close(signal_spin_echo(1000, 100, 1, 1e6, 0), 1, 1e-9);
}

/* T1 1500, T2 150, PD 0.8, TR 9000, TE 120, TI 2500:
 * 0.8 (1 - 2 e^-5/3 + 2 e^-5.96 - e^-6) e^-0.8. */
static void test_inversion_recovery(void **state)
{
    (void)state;
    assert_close(signal_inversion_recovery(1500, 150, 0.8, 9000, 120, 2500), 0.2246392715, 1e-9);
    /* right after the pulse the magnetisation stands on its head */
    assert_close(signal_inversion_recovery(1000, 100, 1, 1e6, 0, 0), -1, 1e-9);
}

/* Of CSF at TR 9000, TE 120: 4300 ln(2 / (1 + 2 e^(-8940/4300) - e^(-9000/4300))). */
static void test_null_of_csf(void **state)
{
    (void)state;
    const double ti = inversion_time_of_null(4300, 9000, 120);
    assert_close(ti, 2467.2707041, 1e-6);
    assert_close(signal_inversion_recovery(4300, 1800, 1, 9000, 120, ti), 0, 1e-12);
}

/* 0.3 mmol/l at r1 3.7, r2 5.2 per s: 1/(1/1.6 + 1.11) = 0.576369 s, 1/(1/0.15 + 1.56) s. */
static void test_gadolinium(void **state)
{
    (void)state;
    double t1 = 1600, t2 = 150;
    relaxation_with_gadolinium(0.3, &t1, &t2);
    assert_close(t1, 576.3688761, 1e-6);
    assert_close(t2, 121.5559157, 1e-6);
}

static void test_zero_outside_alone(void **state)
{
    (void)state;
    phantom_case c = make(1, 0, small, 2);
    size_t brain = 0;
    for (size_t i = 0; i < voxel_count(small); i++) {
        const bool inside = c.images[T1][i] != 0;
        brain += inside;
        for (int m = 0; m < MODALITIES; m++)
            assert_int_equal(c.images[m][i] != 0, inside);
        assert_true(inside || c.labels[i] == 0);
        assert_in_range(c.labels[i], 0, 3);
    }
    /* 27 mm3 a voxel: a brain of 1 to 2 litres */
    assert_in_range(brain * 27 / 1000, 1000, 2000);
    phantom_free(&c);
}

static void test_same_on_any_threads(void **state)
{
    (void)state;
    phantom_case one = make(3, 2, small, 1), three = make(3, 2, small, 3);
    assert_true(same_case(&one, &three));
    phantom_free(&one);
    phantom_free(&three);
}

static void test_every_case_differs(void **state)
{
    (void)state;
    phantom_case first = make(1, 0, small, 2), second = make(1, 1, small, 2);
    phantom_case other_seed = make(2, 0, small, 2);
    assert_false(same_case(&first, &second));
    assert_false(same_case(&first, &other_seed));
    phantom_free(&first);
    phantom_free(&second);
    phantom_free(&other_seed);
}

static void test_shapes(void **state)
{
    (void)state;
    const int64_t shapes[3][3] = {{64, 64, 64}, {16, 16, 16}, {60, 72, 31}};
    for (int i = 0; i < 3; i++) {
        phantom_case c = make(1, 0, shapes[i], 2);
        assert_close(c.spacing_mm, 240.0 / (double)shapes[i][0], 1e-12);
        phantom_free(&c);
    }
    const int64_t flat[3] = {64, 64, 8};
    phantom_case c;
    ts_error e;
    assert_int_equal(phantom_make(1, 0, flat, NULL, &c, &e), TS_BAD_INPUT);
    assert_non_null(strstr(e.text, "64,64,8"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spin_echo),          cmocka_unit_test(test_inversion_recovery),
        cmocka_unit_test(test_null_of_csf),        cmocka_unit_test(test_gadolinium),
        cmocka_unit_test(test_zero_outside_alone), cmocka_unit_test(test_same_on_any_threads),
        cmocka_unit_test(test_every_case_differs), cmocka_unit_test(test_shapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
