/* sample: each augmentation against nnU-Net's own code (tools/oracle/augment.py), and what it
 * promises. */
#include "sample/transform.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { GOLDEN_D = 9, GOLDEN_H = 11, GOLDEN_W = 10, GOLDEN = GOLDEN_D * GOLDEN_H * GOLDEN_W };
enum { WARPED = 7 * 9 * 6 };
static const int64_t golden_shape[3] = {GOLDEN_D, GOLDEN_H, GOLDEN_W};

/* The arrays of tools/oracle/augment.py, in its order. */
static struct {
    float image[GOLDEN], blurred[GOLDEN], contrast_up[GOLDEN], contrast_down[GOLDEN];
    float low_resolution[GOLDEN], gamma[GOLDEN], gamma_inverted[GOLDEN], labels[GOLDEN];
    float warped[WARPED], warped_labels[WARPED];
} golden;

static int read_golden(void **state)
{
    (void)state;
    FILE *f = fopen("tests/golden/augment.bin", "rb");
    const bool good = f && fread(&golden, sizeof golden, 1, f) == 1 && fgetc(f) == EOF;
    if (f)
        fclose(f);
    return good ? 0 : -1;
}

static void assert_near(const float *got, const float *want, size_t count, float tolerance)
{
    for (size_t i = 0; i < count; i++)
        if (!(fabsf(got[i] - want[i]) <= tolerance))
            fail_msg("voxel %zu is %.7g, not %.7g", i, (double)got[i], (double)want[i]);
}

static void test_intensities_against_nnunet(void **state)
{
    (void)state;
    static float x[GOLDEN], scratch[2 * GOLDEN];
    const double sigma[3] = {0.6, 0.8, 1.0};
    memcpy(x, golden.image, sizeof x);
    augment_blur(x, golden_shape, sigma, scratch);
    assert_near(x, golden.blurred, GOLDEN, 1e-6f);
    memcpy(x, golden.image, sizeof x);
    augment_contrast(x, GOLDEN, 1.2);
    assert_near(x, golden.contrast_up, GOLDEN, 1e-6f);
    memcpy(x, golden.image, sizeof x);
    augment_contrast(x, GOLDEN, 0.8);
    assert_near(x, golden.contrast_down, GOLDEN, 1e-6f);
    memcpy(x, golden.image, sizeof x);
    augment_low_resolution(x, golden_shape, 0.6, scratch);
    assert_near(x, golden.low_resolution, GOLDEN, 2e-6f);
    memcpy(x, golden.image, sizeof x);
    augment_gamma(x, GOLDEN, 0.8, false);
    assert_near(x, golden.gamma, GOLDEN, 5e-6f);
    memcpy(x, golden.image, sizeof x);
    augment_gamma(x, GOLDEN, 1.3, true);
    assert_near(x, golden.gamma_inverted, GOLDEN, 5e-6f);
}

/* The golden warp turned by 0.3, -0.4, 0.5 about d, h, w and scaled by 1.3. */
static void test_warp_against_nnunet(void **state)
{
    (void)state;
    static float images[MODALITIES * GOLDEN], warped[MODALITIES * WARPED];
    static uint8_t labels[GOLDEN], warped_labels[WARPED], brain[WARPED];
    const int64_t patch[3] = {7, 9, 6}, begin[3] = {1, 1, 2};
    const double angle[3] = {0.3, -0.4, 0.5};
    double matrix[3][3];
    preprocessed c = {.present = 1u << T2, .images = images, .labels = labels};
    for (int i = 0; i < 3; i++)
        c.geometry.shape[i] = golden_shape[2 - i];
    memcpy(images + T2 * GOLDEN, golden.image, sizeof golden.image);
    for (size_t i = 0; i < GOLDEN; i++)
        labels[i] = (uint8_t)golden.labels[i];
    draw_matrix(angle, 1.3, matrix);
    patch_warp(&c, patch, begin, matrix, warped, warped_labels, brain);
    assert_near(warped + T2 * WARPED, golden.warped, WARPED, 1e-5f);
    for (size_t i = 0; i < WARPED; i++)
        assert_int_equal(warped_labels[i], (int)golden.warped_labels[i]);
}

/* Moments of a million draws: mean 0, the given deviation, a normal's kurtosis, no correlation of
 * neighbours or of the two halves of a block. */
static void test_noise(void **state)
{
    (void)state;
    enum { N = 1 << 20 };
    random_stream r = random_open(3, RANDOM_NOISE, 1, 2);
    float *x = calloc(N, sizeof *x);
    double sum = 0, squares = 0, fourth = 0, neighbour = 0, half = 0;
    int64_t beyond = 0;
    assert_non_null(x);
    augment_noise(x, N, 0.5, &r);
    for (size_t i = 0; i < N; i++) {
        const double v = x[i] / 0.5;
        sum += v;
        squares += v * v;
        fourth += v * v * v * v;
        beyond += fabs(v) > 1.959964;
        neighbour += i ? v * x[i - 1] / 0.5 : 0;
        half += i >= 256 ? v * x[i - 256] / 0.5 : 0;
    }
    assert_true(fabs(sum / N) < 0.005);
    assert_true(fabs(squares / N - 1) < 0.007);
    assert_true(fabs(fourth / N - 3) < 0.05);
    assert_true(fabs((double)beyond / N - 0.05) < 0.0011);
    assert_true(fabs(neighbour / N) < 0.005);
    assert_true(fabs(half / N) < 0.005);
    free(x);
}

/* What the transforms promise of themselves: constants stay, mean and deviation are kept by gamma,
 * the range by contrast, the brain's outside is cleared. */
static void test_promises(void **state)
{
    (void)state;
    static float x[GOLDEN], y[GOLDEN], scratch[2 * GOLDEN];
    const double sigma[3] = {1, 1, 1};
    for (size_t i = 0; i < GOLDEN; i++)
        x[i] = 3;
    augment_blur(x, golden_shape, sigma, scratch);
    augment_low_resolution(x, golden_shape, 0.55, scratch);
    augment_contrast(x, GOLDEN, 1.25);
    augment_gamma(x, GOLDEN, 1.5, false);
    augment_gamma(x, GOLDEN, 0.7, true);
    for (size_t i = 0; i < GOLDEN; i++)
        assert_true(fabsf(x[i] - 3) < 1e-5f);
    augment_brightness(x, GOLDEN, 0.8);
    assert_true(fabsf(x[0] - 2.4f) < 1e-5f);
    memcpy(x, golden.image, sizeof x);
    memcpy(y, x, sizeof y);
    augment_gamma(y, GOLDEN, 1.4, false);
    double moments[2][2] = {{0}};
    for (size_t i = 0; i < GOLDEN; i++) {
        const double values[2] = {x[i], y[i]};
        for (int j = 0; j < 2; j++) {
            moments[j][0] += values[j] / GOLDEN;
            moments[j][1] += values[j] * values[j] / GOLDEN;
        }
        assert_true(i == 0 || (x[i] > x[i - 1]) == (y[i] > y[i - 1])); /* order is kept */
    }
    assert_true(fabs(moments[0][0] - moments[1][0]) < 1e-6);
    assert_true(fabs(moments[0][1] - moments[1][1]) < 1e-5);
}

static void test_mirror(void **state)
{
    (void)state;
    enum { D = 3, H = 4, W = 5, COUNT = D * H * W };
    const int64_t shape[3] = {D, H, W};
    for (int set = 0; set < 8; set++) {
        const bool mirror[3] = {set & 1, set & 2, set & 4};
        float x[COUNT];
        uint8_t labels[COUNT];
        for (int i = 0; i < COUNT; i++) {
            x[i] = (float)i;
            labels[i] = (uint8_t)i;
        }
        mirror_patch(x, shape, mirror, sizeof *x);
        mirror_patch(labels, shape, mirror, 1);
        for (int i = 0; i < COUNT; i++) {
            const int z = i / (H * W), y = i / W % H, w = i % W;
            const int from = ((mirror[0] ? D - 1 - z : z) * H + (mirror[1] ? H - 1 - y : y)) * W +
                             (mirror[2] ? W - 1 - w : w);
            assert_true(x[i] == (float)from);
            assert_int_equal(labels[i], from);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_intensities_against_nnunet),
        cmocka_unit_test(test_warp_against_nnunet),
        cmocka_unit_test(test_noise),
        cmocka_unit_test(test_promises),
        cmocka_unit_test(test_mirror),
    };
    return cmocka_run_group_tests(tests, read_golden, NULL);
}
