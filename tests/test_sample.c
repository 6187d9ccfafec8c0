/* sample: draws, patches, batches and the loader. The transforms: test_augment.c. */
#include "sample/transform.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A synthetic case: an ellipsoid brain of noise about a gradient, a tumour of three nested
 * balls. */
static void make_case(preprocessed *c, uint32_t number, int64_t nx, int64_t ny, int64_t nz,
                      modality_set present, bool tumour)
{
    random_stream r = random_open(7, RANDOM_TEST, number, 0);
    const size_t voxels = (size_t)(nx * ny * nz);
    float *images = calloc(voxels * MODALITIES, sizeof *images);
    uint8_t *labels = calloc(voxels, 1);
    int32_t *lists = calloc(voxels * 4, sizeof *lists);
    assert_true(images && labels && lists);
    *c = (preprocessed){.id = "made", .present = present, .images = images, .labels = labels};
    const int64_t shape[3] = {nx, ny, nz};
    memcpy(c->geometry.shape, shape, sizeof shape);
    for (int64_t i = 0; i < (int64_t)voxels; i++) {
        const double at[3] = {(double)(i % nx) + 0.5, (double)(i / nx % ny) + 0.5,
                              (double)(i / nx / ny) + 0.5};
        double brain = 0, ball = 0;
        for (int a = 0; a < 3; a++) {
            const double half = 0.5 * (double)shape[a];
            brain += pow((at[a] - half) / half, 2);
            ball += pow((at[a] - 0.9 * half) / (0.45 * half), 2);
        }
        for (int m = 0; m < MODALITIES; m++)
            if (brain < 1 && present & 1u << m)
                images[(size_t)m * voxels + (size_t)i] =
                    (float)(random_normal(&r) + 0.02 * at[0] - 0.01 * at[2] + 0.3 * m);
        labels[i] = !tumour || ball >= 1 ? 0 : ball < 0.2 ? 1 : ball < 0.5 ? 3 : 2;
        const int k = labels[i];
        if (k)
            lists[(size_t)k * voxels + (size_t)c->foreground_count[k]++] = (int32_t)i;
    }
    for (int k = 1; k < 4; k++)
        c->foreground[k] = lists + (size_t)k * voxels;
    c->heap = lists;
}

static void free_case(preprocessed *c)
{
    free((void *)(uintptr_t)c->images);
    free((void *)(uintptr_t)c->labels);
    free(c->heap);
}

static plan small_plan(void)
{
    plan p;
    plan_defaults(&p);
    p.patch[0] = 12;
    p.patch[1] = 10;
    p.patch[2] = 14;
    p.batch = 3;
    return p;
}

static size_t voxels_of(const plan *p)
{
    return (size_t)(p->patch[0] * p->patch[1] * p->patch[2]);
}

static batch make_batch(const plan *p)
{
    const size_t voxels = (size_t)p->batch * voxels_of(p);
    const batch b = {.images = malloc(voxels * MODALITIES * sizeof(float)),
                     .labels = malloc(voxels)};
    assert_true(b.images && b.labels);
    memset(b.images, 0xff, voxels * MODALITIES * sizeof(float));
    memset(b.labels, 0xff, voxels);
    return b;
}

static void free_batch(batch *b)
{
    free(b->images);
    free(b->labels);
}

static void sample_ok(const plan *p, const preprocessed *cases, size_t count, int64_t step,
                      batch *b)
{
    ts_error e = {0};
    if (sample_batch(p, cases, count, step, b, &e) != TS_OK)
        fail_msg("%s", e.text);
}

static void assert_same_batch(const plan *p, const batch *a, const batch *b)
{
    const size_t voxels = (size_t)p->batch * voxels_of(p);
    assert_memory_equal(a->images, b->images, voxels * MODALITIES * sizeof(float));
    assert_memory_equal(a->labels, b->labels, voxels);
}

/* Three cases: two of different size, one without a tumour and lacking T2. */
static void make_cases(preprocessed cases[3])
{
    make_case(&cases[0], 1, 30, 26, 22, ALL_MODALITIES, true);
    make_case(&cases[1], 2, 9, 31, 18, ALL_MODALITIES, true); /* smaller than the patch along x */
    make_case(&cases[2], 3, 20, 20, 20, ALL_MODALITIES & ~(1u << T2), false);
}

/* ---- draws ------------------------------------------------------------------------------ */

static void test_forced_share(void **state)
{
    (void)state;
    assert_int_equal(draw_forced_patches(1, 0.33), 1);
    assert_int_equal(draw_forced_patches(2, 0.33), 1);
    assert_int_equal(draw_forced_patches(3, 0.33), 1);
    assert_int_equal(draw_forced_patches(5, 0.33), 2);
    assert_int_equal(draw_forced_patches(6, 0.33), 2);
    assert_int_equal(draw_forced_patches(6, 0), 0);
    assert_int_equal(draw_forced_patches(6, 1), 6);
}

/* Places are drawn from one end of the case to the other, both included. */
static void test_places_reach_the_ends(void **state)
{
    (void)state;
    preprocessed c;
    plan p = small_plan();
    int64_t least[3] = {100, 100, 100}, most[3] = {-100, -100, -100};
    p.foreground = 0;
    make_case(&c, 1, 18, 15, 16, ALL_MODALITIES, true);
    for (int64_t step = 0; step < 500; step++) {
        patch_draw d;
        draw_patch(&p, &c, 1, step, 0, &d);
        for (int a = 0; a < 3; a++) {
            least[a] = d.begin[a] < least[a] ? d.begin[a] : least[a];
            most[a] = d.begin[a] > most[a] ? d.begin[a] : most[a];
        }
    }
    for (int a = 0; a < 3; a++) {
        assert_int_equal(least[a], 0);
        assert_int_equal(most[a], c.geometry.shape[2 - a] - p.patch[a]);
    }
    free_case(&c);
}

/* The last patch of a batch is centred on a voxel of a random class: each of the three classes is
 * at its centre about as often, and the patch stays within the case. */
static void test_foreground_centre(void **state)
{
    (void)state;
    preprocessed c;
    plan p = small_plan();
    int64_t middle[4] = {0}, uniform_middle[4] = {0};
    make_case(&c, 1, 40, 44, 36, ALL_MODALITIES, true);
    for (int64_t step = 0; step < 3000; step++)
        for (int64_t i = 0; i < p.batch; i++) {
            patch_draw d;
            draw_patch(&p, &c, 1, step, i, &d);
            int64_t place = 0;
            for (int a = 0; a < 3; a++) {
                assert_in_range(d.begin[a], 0, c.geometry.shape[2 - a] - p.patch[a]);
                place = place * c.geometry.shape[2 - a] + d.begin[a] + p.patch[a] / 2;
            }
            (i == p.batch - 1 ? middle : uniform_middle)[c.labels[place]]++;
        }
    for (int k = 1; k < 4; k++)
        assert_in_range(middle[k], 900, 1100); /* 1000 +- 4 sigma, edges included */
    assert_in_range(uniform_middle[0], 4000, 6000);
    free_case(&c);
}

/* A tumour in a corner: the patch ends at the case's edge. */
static void test_foreground_corner(void **state)
{
    (void)state;
    preprocessed c;
    const plan p = small_plan();
    patch_draw d;
    make_case(&c, 1, 20, 20, 20, ALL_MODALITIES, true);
    const int32_t corners[2] = {0, 20 * 20 * 20 - 1};
    for (int i = 0; i < 2; i++) {
        c.foreground[3] = corners + i;
        c.foreground_count[1] = c.foreground_count[2] = 0;
        c.foreground_count[3] = 1;
        draw_patch(&p, &c, 1, 5, p.batch - 1, &d);
        for (int a = 0; a < 3; a++)
            assert_int_equal(d.begin[a], i ? 20 - p.patch[a] : 0);
    }
    free_case(&c);
}

/* Over 40,000 patches every augmentation comes as often as its probability says (5 sigma), and
 * within its range. */
static void test_probabilities(void **state)
{
    (void)state;
    enum { N = 40000 };
    preprocessed c;
    plan p = small_plan();
    double warp = 0, noise = 0, blur = 0, bright = 0, contrast = 0, zoom = 0, inverted = 0;
    double gamma = 0, gamma_above = 0, mirror[3] = {0}, variance = 0;
    make_case(&c, 1, 20, 20, 20, ALL_MODALITIES, true);
    for (int64_t step = 0; step < N; step++) {
        patch_draw d;
        draw_patch(&p, &c, 1, step, 0, &d);
        warp += d.warp;
        noise += d.noise_deviation > 0;
        variance += d.noise_deviation * d.noise_deviation;
        blur += d.blur_sigma[FLAIR][0] > 0;
        bright += d.brightness[T1] != 1;
        contrast += d.contrast[T1CE] != 1;
        zoom += d.zoom[T2] != 1;
        inverted += d.gamma_inverted[T1] != 1;
        gamma += d.gamma[FLAIR] != 1;
        gamma_above += d.gamma[FLAIR] > 1;
        for (int a = 0; a < 3; a++)
            mirror[a] += d.mirror[a];
        for (int m = 0; m < MODALITIES; m++) {
            assert_true(d.blur_sigma[m][1] == 0 ||
                        (d.blur_sigma[m][1] >= 0.5 && d.blur_sigma[m][1] < 1));
            assert_true(d.brightness[m] >= 0.75 && d.brightness[m] < 1.25);
            assert_true(d.contrast[m] >= 0.75 && d.contrast[m] < 1.25);
            assert_true(d.zoom[m] >= 0.5 && d.zoom[m] <= 1);
            assert_true(d.gamma[m] >= 0.7 && d.gamma[m] < 1.5);
        }
        assert_true(d.noise_deviation * d.noise_deviation < 0.1);
    }
    const struct {
        const char *what;
        double count, probability;
    } shares[] = {
        {"rotation or scaling", warp, 1 - 0.8 * 0.8},
        {"noise", noise, 0.1},
        {"blur of a channel", blur, 0.2 * 0.5},
        {"brightness", bright, 0.15},
        {"contrast", contrast, 0.15},
        {"low resolution of a channel", zoom, 0.25 * 0.5},
        {"gamma, inverted", inverted, 0.1},
        {"gamma", gamma, 0.3},
        {"gamma above 1", gamma_above, 0.15},
        {"mirroring d", mirror[0], 0.5},
        {"mirroring h", mirror[1], 0.5},
        {"mirroring w", mirror[2], 0.5},
    };
    for (size_t i = 0; i < COUNT_OF(shares); i++) {
        const double q = shares[i].probability, sigma = sqrt(q * (1 - q) / N);
        if (fabs(shares[i].count / N - q) > 5 * sigma)
            fail_msg("%s: %.4f of the patches, not %.4f", shares[i].what, shares[i].count / N, q);
    }
    assert_true(fabs(variance / noise - 0.05) < 0.003); /* uniform variance of 0 to 0.1 */
    free_case(&c);
}

/* Columns of the matrix are orthogonal and of one length, the scale; angles reach 30 degrees. */
static void test_matrix(void **state)
{
    (void)state;
    preprocessed c;
    plan p = small_plan();
    double low = 9, high = 0;
    make_case(&c, 1, 20, 20, 20, ALL_MODALITIES, true);
    for (int64_t step = 0; step < 4000; step++) {
        patch_draw d;
        double product[3][3] = {{0}};
        draw_patch(&p, &c, 1, step, 0, &d);
        for (int i = 0; i < 3; i++)
            for (int j = 0; j < 3; j++)
                for (int k = 0; k < 3; k++)
                    product[i][j] += d.matrix[k][i] * d.matrix[k][j];
        const double scale = sqrt(product[0][0]);
        for (int i = 0; i < 3; i++)
            for (int j = 0; j < 3; j++)
                assert_true(fabs(product[i][j] - (i == j ? scale * scale : 0)) < 1e-12);
        low = fmin(low, scale);
        high = fmax(high, scale);
    }
    assert_true(low >= 0.7 && low < 0.72 && high <= 1.4 && high > 1.38);
    free_case(&c);
}

/* ---- patches ---------------------------------------------------------------------------- */

/* augment=off: the patch is the case's own voxels, zero beyond its edge. */
static void test_identity(void **state)
{
    (void)state;
    preprocessed cases[3];
    plan p = small_plan();
    make_cases(cases);
    p.augment = false;
    batch b = make_batch(&p);
    for (int64_t step = 0; step < 50; step++) {
        sample_ok(&p, cases, 3, step, &b);
        for (int64_t n = 0; n < p.batch; n++) {
            patch_draw d;
            draw_patch(&p, cases, 3, step, n, &d);
            const preprocessed *c = &cases[d.source];
            const int64_t *s = c->geometry.shape;
            for (int64_t i = 0; i < (int64_t)voxels_of(&p); i++) {
                const int64_t z = i / (p.patch[1] * p.patch[2]) + d.begin[0];
                const int64_t y = i / p.patch[2] % p.patch[1] + d.begin[1];
                const int64_t x = i % p.patch[2] + d.begin[2];
                const bool in = z >= 0 && z < s[2] && y >= 0 && y < s[1] && x >= 0 && x < s[0];
                const int64_t at = (z * s[1] + y) * s[0] + x;
                const size_t to = (size_t)n * voxels_of(&p) + (size_t)i;
                assert_int_equal(b.labels[to], in ? c->labels[at] : 0);
                for (int64_t m = 0; m < MODALITIES; m++) {
                    const float want = in ? c->images[m * s[0] * s[1] * s[2] + at] : 0;
                    assert_true(
                        b.images[(size_t)(n * MODALITIES + m) * voxels_of(&p) + (size_t)i] == want);
                }
            }
        }
    }
    free_batch(&b);
    for (int i = 0; i < 3; i++)
        free_case(&cases[i]);
}

/* The identity matrix gives the crop's bits; a quarter turn gives the turned crop. */
static void test_warp_exact(void **state)
{
    (void)state;
    enum { N = 11, VOXELS = N * N * N };
    static float crop[MODALITIES * VOXELS], warped[MODALITIES * VOXELS];
    static uint8_t crop_labels[VOXELS], labels[VOXELS], crop_brain[VOXELS], brain[VOXELS];
    const int64_t patch[3] = {N, N, N}, begin[3] = {-3, 4, 12}; /* beyond two edges */
    const double identity[3][3] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}};
    const double quarter[3][3] = {{1, 0, 0}, {0, 0, -1}, {0, 1, 0}}; /* about d */
    preprocessed c;
    make_case(&c, 5, 20, 21, 22, ALL_MODALITIES & ~(1u << T1), true);
    patch_crop(&c, patch, begin, crop, crop_labels, crop_brain);
    patch_warp(&c, patch, begin, identity, warped, labels, brain);
    assert_memory_equal(crop, warped, sizeof crop);
    assert_memory_equal(crop_labels, labels, sizeof labels);
    assert_memory_equal(crop_brain, brain, sizeof brain);
    patch_warp(&c, patch, begin, quarter, warped, labels, brain);
    for (int z = 0; z < N; z++)
        for (int y = 0; y < N; y++)
            for (int x = 0; x < N; x++) {
                const int to = (z * N + y) * N + x, from = (z * N + N - 1 - x) * N + y;
                assert_int_equal(labels[to], crop_labels[from]);
                assert_int_equal(brain[to], crop_brain[from]);
                for (int m = 0; m < MODALITIES; m++)
                    assert_true(fabsf(warped[m * VOXELS + to] - crop[m * VOXELS + from]) < 1e-5f);
            }
    free_case(&c);
}

/* With mirroring alone drawn, a batch is the plain batch mirrored, labels and images alike. */
static void test_mirrored_batch(void **state)
{
    (void)state;
    preprocessed cases[3];
    plan p = small_plan();
    make_cases(cases);
    p.p_rotation = p.p_scaling = p.p_noise = p.p_blur = p.p_brightness = p.p_contrast = 0;
    p.p_low_resolution = p.p_gamma = p.p_gamma_inverted = 0;
    plan plain = p;
    plain.augment = false;
    batch a = make_batch(&p), b = make_batch(&p);
    for (int64_t step = 0; step < 10; step++) {
        sample_ok(&p, cases, 3, step, &a);
        sample_ok(&plain, cases, 3, step, &b);
        for (int64_t n = 0; n < p.batch; n++) {
            patch_draw d;
            draw_patch(&p, cases, 3, step, n, &d);
            mirror_patch(b.labels + (size_t)n * voxels_of(&p), p.patch, d.mirror, 1);
            for (int64_t m = 0; m < MODALITIES; m++)
                mirror_patch(b.images + (size_t)(n * MODALITIES + m) * voxels_of(&p), p.patch,
                             d.mirror, sizeof(float));
        }
        assert_same_batch(&p, &a, &b);
    }
    free_batch(&a);
    free_batch(&b);
    for (int i = 0; i < 3; i++)
        free_case(&cases[i]);
}

/* ---- batches and the loader ------------------------------------------------------------- */

/* A step's batch is the same whatever was made before it; seed and step change it. */
static void test_batch_is_a_function(void **state)
{
    (void)state;
    preprocessed cases[3];
    plan p = small_plan();
    make_cases(cases);
    batch a = make_batch(&p), b = make_batch(&p);
    sample_ok(&p, cases, 3, 41, &a);
    sample_ok(&p, cases, 3, 7, &b);
    const size_t bytes = (size_t)p.batch * voxels_of(&p) * MODALITIES * sizeof(float);
    assert_true(memcmp(a.images, b.images, bytes) != 0);
    sample_ok(&p, cases, 3, 41, &b);
    assert_same_batch(&p, &a, &b);
    p.seed = 2;
    sample_ok(&p, cases, 3, 41, &b);
    assert_true(memcmp(a.images, b.images, bytes) != 0);
    free_batch(&a);
    free_batch(&b);
    for (int i = 0; i < 3; i++)
        free_case(&cases[i]);
}

/* Under every intensity augmentation at once: what is 0 in the plain patch, outside of the brain or
 * in an absent modality, is 0, what is not changes and is finite. */
static void test_zeros_stay(void **state)
{
    (void)state;
    preprocessed cases[3];
    plan p = small_plan();
    make_cases(cases);
    /* half of this brain was not imaged by T2: each modality has zeros of its own */
    float *t2 = (float *)(uintptr_t)cases[0].images + T2 * 30 * 26 * 22;
    memset(t2, 0, 30 * 26 * 11 * sizeof *t2);
    p.p_rotation = p.p_scaling = 0;
    p.mirror_augment = false;
    p.p_noise = p.p_blur = p.p_brightness = p.p_contrast = p.p_low_resolution = 1;
    p.p_gamma = p.p_gamma_inverted = 1;
    plan plain = p;
    plain.augment = false;
    batch a = make_batch(&p), b = make_batch(&p);
    const size_t count = (size_t)p.batch * MODALITIES * voxels_of(&p);
    size_t zeros = 0, same = 0;
    for (int64_t step = 0; step < 40; step++) {
        sample_ok(&p, cases, 3, step, &a);
        sample_ok(&plain, cases, 3, step, &b);
        for (size_t i = 0; i < count; i++) {
            assert_true(isfinite(a.images[i]));
            if (b.images[i] == 0)
                assert_true(a.images[i] == 0);
            zeros += b.images[i] == 0;
            same += b.images[i] != 0 && a.images[i] == b.images[i];
        }
        assert_memory_equal(a.labels, b.labels, (size_t)p.batch * voxels_of(&p));
    }
    assert_true(zeros > count && zeros < 20 * count && same < 100);
    free_batch(&a);
    free_batch(&b);
    for (int i = 0; i < 3; i++)
        free_case(&cases[i]);
}

/* The patches of a batch are drawn apart. */
static void test_patches_differ(void **state)
{
    (void)state;
    preprocessed c;
    const plan p = small_plan();
    patch_draw a, b;
    make_case(&c, 1, 40, 40, 40, ALL_MODALITIES, false);
    int same = 0;
    for (int64_t step = 0; step < 100; step++) {
        draw_patch(&p, &c, 1, step, 0, &a);
        draw_patch(&p, &c, 1, step, 1, &b);
        same += !memcmp(a.begin, b.begin, sizeof a.begin);
        assert_true(a.noise_deviation == 0 || a.noise_deviation != b.noise_deviation);
    }
    assert_in_range(same, 0, 3);
    free_case(&c);
}

static void test_loader(void **state)
{
    (void)state;
    preprocessed cases[3];
    const plan p = small_plan();
    make_cases(cases);
    batch want = make_batch(&p);
    for (int threads = 1; threads <= 4; threads++)
        for (int ahead = 1; ahead <= 5; ahead += 2) {
            loader *l;
            ts_error e = {0};
            assert_int_equal(loader_create(&p, cases, 3, 1000, threads, ahead, &l, &e), TS_OK);
            for (int64_t step = 1000; step < 1020; step++) {
                const batch *got;
                double waited = -1;
                assert_int_equal(loader_next(l, &got, &waited, &e), TS_OK);
                sample_ok(&p, cases, 3, step, &want);
                assert_int_equal(got->step, step);
                assert_true(waited >= 0);
                assert_same_batch(&p, got, &want);
            }
            loader_destroy(l);
        }
    free_batch(&want);
    for (int i = 0; i < 3; i++)
        free_case(&cases[i]);
}

/* A case without truth: loader_next says so, and the loader still ends cleanly. */
static void test_loader_error(void **state)
{
    (void)state;
    preprocessed c;
    const plan p = small_plan();
    loader *l;
    const batch *got;
    ts_error e = {0};
    make_case(&c, 1, 20, 20, 20, ALL_MODALITIES, true);
    preprocessed blind = c;
    blind.labels = NULL;
    assert_int_equal(loader_create(&p, &blind, 1, 0, 2, 2, &l, &e), TS_OK);
    assert_int_equal(loader_next(l, &got, NULL, &e), TS_BAD_INPUT);
    assert_non_null(strstr(e.text, "no truth"));
    loader_destroy(l);
    assert_int_equal(loader_create(&p, NULL, 0, 0, 1, 1, &l, &e), TS_OK);
    assert_int_equal(loader_next(l, &got, NULL, &e), TS_BAD_INPUT);
    loader_destroy(l);
    free_case(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forced_share),      cmocka_unit_test(test_foreground_centre),
        cmocka_unit_test(test_probabilities),     cmocka_unit_test(test_matrix),
        cmocka_unit_test(test_identity),          cmocka_unit_test(test_warp_exact),
        cmocka_unit_test(test_mirrored_batch),    cmocka_unit_test(test_batch_is_a_function),
        cmocka_unit_test(test_zeros_stay),        cmocka_unit_test(test_patches_differ),
        cmocka_unit_test(test_foreground_corner), cmocka_unit_test(test_loader),
        cmocka_unit_test(test_loader_error),      cmocka_unit_test(test_places_reach_the_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
