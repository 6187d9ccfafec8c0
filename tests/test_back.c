/* The way back from the reference's grid to an image's own: grids, thick slices, moved images, and
 * the round trip of a real case. `test_back --make DIR` writes labels on an oblique grid, with the
 * places that they must have in the world, for native.test.sh. */
#include "align/align.h"
#include "predict/predict.h"
#include "shared.h"
#include "voxels/voxels.h"

#include <setjmp.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const double identity[4][4] = {{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}, {0, 0, 0, 1}};

static pool *threads;

static int start_threads(void **state)
{
    (void)state;
    ts_error e;
    return pool_create(2, &threads, &e) == TS_OK ? 0 : -1;
}

static int end_threads(void **state)
{
    (void)state;
    pool_destroy(threads);
    return 0;
}

/* A turn by `degrees` about an axis that leans, and a shift. */
static void make_motion(double degrees, const double shift[3], double out[4][4])
{
    const double axis[3] = {0.36, -0.48, 0.8}, a = degrees * M_PI / 180;
    memcpy(out, identity, sizeof identity);
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 3; j++) {
            const int k = 3 - i - j;
            const double cross = i == j ? 0 : ((j - i + 3) % 3 == 1 ? -axis[k] : axis[k]);
            out[i][j] = cos(a) * (i == j) + sin(a) * cross + (1 - cos(a)) * axis[i] * axis[j];
        }
        out[i][3] = shift[i];
    }
}

/* Probabilities of `classes` on a grid: that of class 1 by a function of the place in the world,
 * background the rest. */
static float *fill(const volume_header *h, int classes, double (*one)(const double at[3]))
{
    const int64_t *n = h->shape, voxels = voxel_count(n);
    float *p = calloc((size_t)(voxels * classes), sizeof *p);
    assert_non_null(p);
    for (int64_t i = 0; i < voxels; i++) {
        const double voxel[3] = {(double)(i % n[0]), (double)(i / n[0] % n[1]),
                                 (double)(i / n[0] / n[1])};
        double at[3];
        volume_affine_apply(h->affine, voxel, at);
        p[voxels + i] = (float)one(at);
        p[i] = 1 - p[voxels + i];
    }
    return p;
}

static uint8_t *bring_back(const volume_header *from, const float *p, int classes,
                           const double transform[4][4], const volume_header *to, pool *with)
{
    uint8_t *labels = malloc((size_t)voxel_count(to->shape));
    const align_classes c = {from, p, classes};
    ts_error e = {0};
    assert_non_null(labels);
    if (align_back(&c, transform, to, with, labels, &e) != TS_OK)
        fail_msg("%s", e.text);
    return labels;
}

static volume_header lps_grid(int64_t nx, int64_t ny, int64_t nz, double mm)
{
    const int64_t shape[3] = {nx, ny, nz};
    const double spacing[3] = {mm, mm, mm};
    const double affine[4][4] = {{-mm, 0, 0, (double)nx * mm / 2},
                                 {0, -mm, 0, (double)ny * mm / 2},
                                 {0, 0, mm, -(double)nz * mm / 2},
                                 {0, 0, 0, 1}};
    return volume_header_make(shape, spacing, affine);
}

/* ---- grids ----------------------------------------------------------------------------------- */

/* Random probabilities: at the identity the greatest wins, also on the same grid along other
 * axes, where every voxel keeps its place in the world. */
static void test_same_grid(void **state)
{
    (void)state;
    const volume_header h = lps_grid(9, 7, 5, 1);
    const int64_t turned_shape[3] = {5, 9, 7};
    const double spacing[3] = {1, 1, 1};
    const int64_t voxels = voxel_count(h.shape);
    float *p = malloc((size_t)voxels * 4 * sizeof *p);
    uint8_t *wanted = malloc((size_t)voxels);
    double affine[4][4];
    random_stream r = random_open(5, RANDOM_TEST, 0, 0);
    for (int64_t i = 0; i < voxels; i++) {
        wanted[i] = 0;
        for (int k = 0; k < 4; k++) {
            p[k * voxels + i] = (float)random_uniform(&r, 0, 1) * (k ? 1 : 0.4f);
            wanted[i] = p[k * voxels + i] > p[wanted[i] * voxels + i] ? (uint8_t)k : wanted[i];
        }
    }
    uint8_t *same = bring_back(&h, p, 4, identity, &h, threads);
    assert_memory_equal(same, wanted, (size_t)voxels);
    /* axis 0 of the other runs along z downwards, 1 along x backwards, 2 along y */
    memcpy(affine, identity, sizeof affine);
    for (int k = 0; k < 3; k++) {
        affine[k][0] = -h.affine[k][2];
        affine[k][1] = -h.affine[k][0];
        affine[k][2] = h.affine[k][1];
        affine[k][3] = h.affine[k][3] + 4 * h.affine[k][2] + 8 * h.affine[k][0];
    }
    const volume_header turned = volume_header_make(turned_shape, spacing, affine);
    uint8_t *other = bring_back(&h, p, 4, identity, &turned, threads);
    for (int64_t z = 0; z < 5; z++)
        for (int64_t y = 0; y < 7; y++)
            for (int64_t x = 0; x < 9; x++)
                assert_int_equal(other[(y * 9 + 8 - x) * 5 + 4 - z], wanted[(z * 7 + y) * 9 + x]);
    free(other);
    free(same);
    free(wanted);
    free(p);
}

/* A layer of the world from z = -1.5 mm up. */
static double layer_top;
static double in_layer(const double at[3])
{
    return at[2] > -1.5 && at[2] < layer_top;
}

/* A slice of 5 mm that covers 2 mm of a layer is background, though the layer lies in its middle;
 * one that covers 3 mm is not. And what lies beyond the reference's grid is background. */
static void test_thick_slices(void **state)
{
    (void)state;
    const volume_header h = lps_grid(12, 12, 40, 1);
    const int64_t shape[3] = {12, 12, 9};
    const double spacing[3] = {1, 1, 5};
    double affine[4][4];
    memcpy(affine, h.affine, sizeof affine);
    affine[2][2] = 5;
    affine[2][3] = -20; /* slice 4 has its middle at 0 */
    const volume_header thick = volume_header_make(shape, spacing, affine);
    for (int tall = 0; tall < 2; tall++) {
        layer_top = tall ? 1.5 : 0.5;
        float *p = fill(&h, 2, in_layer);
        uint8_t *labels = bring_back(&h, p, 2, identity, &thick, threads);
        for (int64_t z = 0; z < 9; z++)
            assert_int_equal(labels[(z * 12 + 5) * 12 + 6], tall && z == 4);
        free(labels);
        free(p);
    }
}

/* The gantry was tilted: a slice's voxels are as thick along its normal, not along the slanting
 * axis. Of a thin wall that stands upright (its normal is x) the two see different shares. */
static double in_wall(const double at[3])
{
    return at[0] > 0 && at[0] < 1.4;
}

static void test_tilted_slices(void **state)
{
    (void)state;
    const volume_header h = lps_grid(40, 20, 40, 0.5);
    const int64_t shape[3] = {20, 10, 4};
    const double spacing[3] = {1, 1, 4};
    const double affine[4][4] = {{-1, 0, 3, 5.4}, {0, -1, 0, 5}, {0, 0, 4, -6}, {0, 0, 0, 1}};
    const volume_header tilted = volume_header_make(shape, spacing, affine);
    float *p = fill(&h, 2, in_wall);
    uint8_t *labels = bring_back(&h, p, 2, identity, &tilted, threads);
    for (int64_t z = 1; z < 3; z++)
        for (int64_t x = 0; x < 20; x++) {
            const double middle = 5.4 - (double)x + 3 * (double)z;
            assert_int_equal(labels[(z * 10 + 5) * 20 + x], fabs(middle - 0.4) < 0.1);
        }
    free(labels);
    free(p);
}

static double everywhere(const double at[3])
{
    (void)at;
    return 1;
}

/* A voxel that lies outside of the reference's grid for the most part is background. */
static void test_beyond_the_grid(void **state)
{
    (void)state;
    const volume_header h = lps_grid(4, 4, 4, 1);
    volume_header to = lps_grid(6, 4, 4, 1);
    float *p = fill(&h, 2, everywhere);
    to.affine[0][3] = h.affine[0][3] + 0.7;
    uint8_t *labels = bring_back(&h, p, 2, identity, &to, threads);
    for (int64_t x = 0; x < 6; x++)
        assert_int_equal(labels[(2 * 4 + 2) * 6 + x], x >= 1 && x <= 4);
    free(labels);
    free(p);
}

/* ---- a ball that was moved ------------------------------------------------------------------- */

static const double ball_at[3] = {6, -9, 4}, ball_mm = 13;

static double in_ball(const double at[3])
{
    double square = 0;
    for (int k = 0; k < 3; k++)
        square += (at[k] - ball_at[k]) * (at[k] - ball_at[k]);
    return 1 / (1 + exp(3 * (sqrt(square) - ball_mm)));
}

static volume_header oblique_grid(void)
{
    const int64_t shape[3] = {70, 64, 14};
    const double spacing[3] = {0.9, 0.9, 5.5}, shift[3] = {-4, -35, -48};
    double affine[4][4];
    make_motion(21, shift, affine);
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++)
            affine[k][i] *= spacing[i];
    return volume_header_make(shape, spacing, affine);
}

/* The ball's middle and volume on an oblique grid of thick slices are those of the world, after the
 * transform; and the bits are the same with any number of threads. */
static void test_ball(void **state)
{
    (void)state;
    const volume_header h = lps_grid(80, 84, 76, 1), to = oblique_grid();
    const double shift[3] = {7, 5, -6};
    double motion[4][4], wanted[3], middle[3] = {0};
    int64_t count = 0;
    make_motion(-14, shift, motion);
    float *p = fill(&h, 2, in_ball);
    uint8_t *labels = bring_back(&h, p, 2, motion, &to, threads);
    uint8_t *alone = bring_back(&h, p, 2, motion, &to, NULL);
    assert_memory_equal(labels, alone, (size_t)voxel_count(to.shape));
    for (int64_t i = 0; i < voxel_count(to.shape); i++) {
        const double voxel[3] = {(double)(i % 70), (double)(i / 70 % 64), (double)(i / 70 / 64)};
        double at[3];
        volume_affine_apply(to.affine, voxel, at);
        for (int k = 0; labels[i] && k < 3; k++)
            middle[k] += at[k];
        count += labels[i];
    }
    volume_affine_apply(motion, ball_at, wanted);
    printf("middle off by %.3f %.3f %.3f mm\n", middle[0] / (double)count - wanted[0],
           middle[1] / (double)count - wanted[1], middle[2] / (double)count - wanted[2]);
    const double share = (double)count * 0.9 * 0.9 * 5.5 / (4.0 / 3 * M_PI * pow(ball_mm, 3));
    printf("volume of the ball on slices of 5.5 mm: %.4f of its own\n", share);
    for (int k = 0; k < 3; k++)
        assert_true(fabs(middle[k] / (double)count - wanted[k]) < 0.15);
    assert_true(fabs(share - 1) < 0.02);
    free(alone);
    free(labels);
    free(p);
}

/* Rules after the argmax: a removed voxel, and ET that became NCR everywhere. */
static void test_follow_labels(void **state)
{
    (void)state;
    enum { V = 3 };
    float p[LABELS * V] = {0.1f, 0.2f, 0.7f, /* background */
                           0.1f, 0.1f, 0.1f, /* NCR */
                           0.6f, 0.2f, 0.1f, /* ED */
                           0.2f, 0.5f, 0.1f /* ET */};
    const uint8_t labels[V] = {LABEL_BACKGROUND, LABEL_NCR, LABEL_BACKGROUND};
    const float wanted[LABELS * V] = {1, 0.2f, 0.7f, 0, 0.6f, 0.2f, 0, 0.2f, 0.1f, 0, 0, 0};
    predict_follow_labels(p, labels, V);
    for (int i = 0; i < LABELS * V; i++)
        assert_true(fabsf(p[i] - wanted[i]) < 1e-6f);
}

/* ---- a real case ----------------------------------------------------------------------------- */

/* A grid of 1 x 1 x 4 mm that lies askew over a volume's. */
static volume_header askew_grid(const volume_header *like)
{
    const int64_t shape[3] = {230, 236, 44};
    const double spacing[3] = {1, 1, 4}, shift[3] = {9, -14, -6};
    double turn[4][4], affine[4][4];
    make_motion(7, shift, turn);
    volume_affine_multiply(turn, like->affine, affine);
    for (int k = 0; k < 3; k++)
        affine[k][2] *= 4;
    return volume_header_make(shape, spacing, affine);
}

/* Truths on a grid in the way that has nothing to do with align_back: of 16 places along a slice's
 * axis, the label that is met most often. transform: world of `from` to world of `to`. */
static uint8_t *vote(const volume_header *from, const uint8_t *labels, const double transform[4][4],
                     const volume_header *to)
{
    const int64_t *n = to->shape, *m = from->shape;
    uint8_t *out = malloc((size_t)voxel_count(n));
    double back[4][4], to_voxel[4][4], place[4][4];
    volume_affine_invert(transform, back);
    volume_affine_invert(from->affine, to_voxel);
    volume_affine_multiply(to_voxel, back, place);
    volume_affine_multiply(place, to->affine, place);
    for (int64_t i = 0; i < voxel_count(n); i++) {
        int met[LABELS] = {0}, best = 0;
        for (int s = 0; s < 16; s++) {
            const double voxel[3] = {(double)(i % n[0]), (double)(i / n[0] % n[1]),
                                     (double)(i / n[0] / n[1]) + (s + 0.5) / 16 - 0.5};
            double at[3];
            volume_affine_apply(place, voxel, at);
            const int64_t x = llround(at[0]), y = llround(at[1]), z = llround(at[2]);
            const bool in = x >= 0 && y >= 0 && z >= 0 && x < m[0] && y < m[1] && z < m[2];
            met[in ? labels[(z * m[1] + y) * m[0] + x] : 0]++;
        }
        for (int k = 1; k < LABELS; k++)
            best = met[k] > met[best] ? k : best;
        out[i] = (uint8_t)best;
    }
    return out;
}

static void dice(const uint8_t *a, const uint8_t *b, int64_t voxels, double out[REGIONS])
{
    for (int r = 0; r < REGIONS; r++) {
        int64_t both = 0, sum = 0;
        for (int64_t i = 0; i < voxels; i++) {
            both += region_holds(r, a[i]) && region_holds(r, b[i]);
            sum += region_holds(r, a[i]) + region_holds(r, b[i]);
        }
        out[r] = sum ? 2 * (double)both / (double)sum : 1;
    }
}

/* What a model says of the two images on the grid, and its Dice. */
static void segment(predictor *p, const volume *t1ce, const float *flair, uint8_t *labels,
                    float *probabilities)
{
    const float *images[MODALITIES] = {[T1CE] = t1ce->data, [FLAIR] = flair};
    predict_outcome outcome;
    ts_error e = {0};
    if (predict_images(p, &t1ce->header, images, labels, probabilities, &outcome, &e) != TS_OK)
        fail_msg("%s", e.text);
    predict_follow_labels(probabilities, labels, (size_t)voxel_count(t1ce->header.shape));
    predict_outcome_free(&outcome);
}

static void read_real(const char *name, volume *t1ce, volume *flair, uint8_t **truth)
{
    char path[3][128];
    volume_header h;
    ts_error e = {0};
    static const char *const endings[3] = {"t1ce", "flair", "seg"};
    for (int i = 0; i < 3; i++)
        snprintf(path[i], sizeof path[i], "brats/%s/%s_%s.nii.gz", name, name, endings[i]);
    assert_int_equal(volume_read(shared_path(path[0]), t1ce, &e), TS_OK);
    assert_int_equal(volume_read(shared_path(path[1]), flair, &e), TS_OK);
    assert_int_equal(volume_read_labels(shared_path(path[2]), &h, truth, &e), TS_OK);
    assert_int_equal(labels_map(*truth, (size_t)voxel_count(h.shape), LABELS_AUTO, true, name, &e),
                     TS_OK);
}

/* A model's result, and what of it is left after FLAIR was moved by a known transform and cut into
 * slices of 4 mm: brought to T1CE, segmented there, and the probabilities back on FLAIR's own grid.
 * Dice against the truth on the same grid as each. */
static void round_trip(const char *name, predictor *p)
{
    const double shift[3] = {6, -15, 8};
    double motion[4][4], back[4][4], unmoved[REGIONS], moved[REGIONS];
    volume t1ce, flair, cut = {.channels = 1};
    uint8_t *truth;
    ts_error e;
    read_real(name, &t1ce, &flair, &truth);
    const int64_t voxels = voxel_count(t1ce.header.shape);
    uint8_t *labels = malloc((size_t)voxels);
    float *probabilities = malloc((size_t)voxels * LABELS * sizeof *probabilities);
    segment(p, &t1ce, flair.data, labels, probabilities);
    dice(labels, truth, voxels, unmoved);
    make_motion(-12, shift, motion);
    volume_affine_invert(motion, back);
    cut.header = askew_grid(&flair.header);
    const int64_t slices = voxel_count(cut.header.shape);
    cut.data = malloc((size_t)slices * sizeof *cut.data);
    assert_int_equal(align_resample(&flair, back, &cut.header, threads, cut.data, &e), TS_OK);
    assert_int_equal(align_resample(&cut, motion, &t1ce.header, threads, flair.data, &e), TS_OK);
    segment(p, &t1ce, flair.data, labels, probabilities);
    uint8_t *native = bring_back(&t1ce.header, probabilities, LABELS, motion, &cut.header, threads);
    uint8_t *wanted = vote(&t1ce.header, truth, motion, &cut.header);
    dice(native, wanted, slices, moved);
    printf("%s: Dice WT %.4f TC %.4f ET %.4f; moved, in slices of 4 mm and back %.4f %.4f %.4f\n",
           name, unmoved[0], unmoved[1], unmoved[2], moved[0], moved[1], moved[2]);
    for (int r = 0; r < REGIONS; r++)
        assert_true(moved[r] > unmoved[r] - 0.02);
    free(wanted);
    free(native);
    free(probabilities);
    free(labels);
    free(truth);
    volume_free(&cut);
    volume_free(&flair);
    volume_free(&t1ce);
}

static void test_round_trip(void **state)
{
    (void)state;
    static const char *const names[] = {"Brats18_CBICA_AQN_1", "BraTS2021_01659"};
    model *models;
    size_t count;
    predictor *p;
    ts_error e = {0};
    if (!shared_path("brats/BraTS2021_01659"))
        skip();
    if (models_open("models/flair-t1ce.safetensors", &models, &count, &e) != TS_OK)
        fail_msg("%s", e.text);
    plan settings = predict_defaults(&models[0]);
    settings.threads = 2;
    settings.window_step = 1;
    assert_int_equal(predictor_create(models, count, &settings, &p, &e), TS_OK);
    models_free(models, count);
    for (size_t i = 0; i < COUNT_OF(names); i++)
        round_trip(names[i], p);
    predictor_destroy(p);
}

/* ---- for other programs ---------------------------------------------------------------------- */

/* image.nii.gz on an oblique grid, native.nii.gz with the ball's labels on it, and the ball's middle
 * and radius in the world as printed words. */
static int make_files(const char *folder)
{
    const volume_header h = lps_grid(80, 84, 76, 1), to = oblique_grid();
    const double shift[3] = {7, 5, -6};
    double motion[4][4], middle[3];
    char path[512];
    volume image;
    volume_header written;
    ts_error e;
    make_motion(-14, shift, motion);
    float *p = fill(&h, 2, in_ball);
    float *grey = calloc((size_t)voxel_count(to.shape), sizeof *grey);
    for (int64_t i = 0; i < voxel_count(to.shape); i++)
        grey[i] = (float)(i % 97);
    snprintf(path, sizeof path, "%s/image.nii.gz", folder);
    if (volume_write_float(path, &to, 1, grey, &e) != TS_OK ||
        volume_read(path, &image, &e) != TS_OK)
        return 1;
    written = image.header;
    uint8_t *labels = bring_back(&h, p, 2, motion, &written, NULL);
    snprintf(path, sizeof path, "%s/native.nii.gz", folder);
    if (volume_write_labels(path, &written, labels, &e) != TS_OK)
        return 1;
    volume_affine_apply(motion, ball_at, middle);
    printf("%.9g %.9g %.9g %.9g\n", middle[0], middle[1], middle[2], ball_mm);
    volume_free(&image);
    free(labels);
    free(grey);
    free(p);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_grid),     cmocka_unit_test(test_thick_slices),
        cmocka_unit_test(test_tilted_slices), cmocka_unit_test(test_ball),
        cmocka_unit_test(test_follow_labels), cmocka_unit_test(test_beyond_the_grid),
        cmocka_unit_test(test_round_trip),
    };
    if (argc == 3 && !strcmp(argv[1], "--make"))
        return make_files(argv[2]);
    return cmocka_run_group_tests(tests, start_threads, end_threads);
}
