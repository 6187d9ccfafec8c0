/* align: known rigid transforms recovered, on real scans and on made ones; grids and resampling.
 * `test_align --make DIR` writes a synthetic patient for prepare.test.sh. */
#include "align/align.h"
#include "phantom/phantom.h"
#include "shared.h"

#include <setjmp.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

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

/* Turns by degrees about x, then y, then z through the middle of a volume, then shifts by mm. */
static void make_motion(const volume_header *h, const double degrees[3], const double mm[3],
                        double out[4][4])
{
    double middle[3], moved[3];
    for (int k = 0; k < 3; k++)
        middle[k] = (double)(h->shape[k] - 1) / 2;
    volume_affine_apply(h->affine, middle, middle);
    memset(out, 0, 16 * sizeof(double));
    for (int k = 0; k < 4; k++)
        out[k][k] = 1;
    for (int axis = 0; axis < 3; axis++) {
        const double a = degrees[axis] * M_PI / 180;
        const int u = (axis + 1) % 3, v = (axis + 2) % 3;
        double turn[4][4] = {{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}, {0, 0, 0, 1}};
        turn[u][u] = turn[v][v] = cos(a);
        turn[u][v] = -sin(a);
        turn[v][u] = sin(a);
        volume_affine_multiply(turn, out, out);
    }
    volume_affine_apply(out, middle, moved);
    for (int k = 0; k < 3; k++)
        out[k][3] += middle[k] - moved[k] + mm[k];
}

/* Mean distance in mm, over the centre and the corners of the box of what is not 0, of where two
 * transforms put a place of the fixed image; and the angle between them. */
static double distance_mm(const volume *fixed, const double a[4][4], const double b[4][4],
                          double *degrees)
{
    int64_t low[3] = {INT32_MAX, INT32_MAX, INT32_MAX}, high[3] = {0}, i = 0;
    double sum = 0, back[4][4], between[4][4];
    const int64_t *n = fixed->header.shape;
    for (int64_t z = 0; z < n[2]; z++)
        for (int64_t y = 0; y < n[1]; y++)
            for (int64_t x = 0; x < n[0]; x++, i++) {
                const int64_t at[3] = {x, y, z};
                for (int k = 0; k < 3 && fixed->data[i] != 0; k++) {
                    low[k] = at[k] < low[k] ? at[k] : low[k];
                    high[k] = at[k] > high[k] ? at[k] : high[k];
                }
            }
    for (int place = 0; place < 9; place++) {
        double at[3], p[3], q[3], square = 0;
        for (int k = 0; k < 3; k++)
            at[k] = place == 8 ? (double)(low[k] + high[k]) / 2
                               : (double)(place >> k & 1 ? high[k] : low[k]);
        volume_affine_apply(fixed->header.affine, at, at);
        volume_affine_apply(a, at, p);
        volume_affine_apply(b, at, q);
        for (int k = 0; k < 3; k++)
            square += (p[k] - q[k]) * (p[k] - q[k]);
        sum += sqrt(square) / 9;
    }
    volume_affine_invert(a, back);
    volume_affine_multiply(back, b, between);
    const double cosine = (between[0][0] + between[1][1] + between[2][2] - 1) / 2;
    *degrees = acos(fmin(cosine, 1)) * 180 / M_PI;
    return sum;
}

/* Registers and demands 0.5 mm and 0.5 degrees. */
static void recover(const char *name, const volume *fixed, const volume *moving,
                    const double truth[4][4])
{
    alignment found;
    double degrees;
    ts_error e;
    assert_int_equal(align_rigid(fixed, moving, threads, &found, &e), TS_OK);
    const double mm = distance_mm(fixed, truth, found.transform, &degrees);
    printf("%s: off by %.3f mm, %.3f degrees (turned %.1f degrees, shifted %.1f mm; normalised "
           "mutual information %.3f -> %.3f)\n",
           name, mm, degrees, found.angle_degrees, found.shift_mm, found.before.nmi,
           found.after.nmi);
    printf("    the other direction ends %.2f mm apart\n", found.disagreement_mm);
    assert_true(mm < 0.5 && degrees < 0.5);
    assert_true(found.disagreement_mm < ALIGN_DOUBTFUL_MM);
    assert_true(found.after.nmi > found.before.nmi && found.after.mi > found.before.mi);
}

/* Moves an image by its header alone: no voxel changes. */
static void move_header(volume *v, const double motion[4][4])
{
    volume_affine_multiply(motion, v->header.affine, v->header.affine);
}

/* An acquisition of its own: an image moved, then cut in slices of 1 x 1 x 4 mm on a grid that lies
 * askew. */
static void acquire(volume *v, const double motion[4][4])
{
    const int64_t shape[3] = {230, 236, 44};
    const double spacing[3] = {1, 1, 4}, turn[3] = {4, -3, 6}, shift[3] = {3, 5, -2};
    double back[4][4], askew[4][4], affine[4][4];
    volume out = {.channels = 1};
    ts_error e;
    make_motion(&v->header, turn, shift, askew);
    volume_affine_multiply(askew, v->header.affine, affine);
    for (int k = 0; k < 3; k++)
        affine[k][2] *= 4;
    out.header = volume_header_make(shape, spacing, affine);
    out.data = malloc((size_t)(shape[0] * shape[1] * shape[2]) * sizeof *out.data);
    volume_affine_invert(motion, back);
    assert_int_equal(align_resample(v, back, &out.header, threads, out.data, &e), TS_OK);
    volume_free(v);
    *v = out;
}

/* A real case whose T1 and FLAIR are moved, as far as the documentation promises. */
static void test_real_case(void **state)
{
    (void)state;
    const char *path = shared_path("brats/Brats18_CBICA_AQN_1/Brats18_CBICA_AQN_1_t1ce.nii.gz");
    const double turn[2][3] = {{9, -8, 8}, {-5, 6, -12}},
                 shift[2][3] = {{-12, 11, 11}, {6, -15, 8}};
    static const char *const names[2] = {"t1", "flair"};
    double motion[4][4];
    volume fixed;
    ts_error e;
    if (!path)
        skip();
    assert_int_equal(volume_read(path, &fixed, &e), TS_OK);
    for (int i = 0; i < 2; i++) {
        volume moving;
        char name[128];
        snprintf(name, sizeof name, "brats/Brats18_CBICA_AQN_1/Brats18_CBICA_AQN_1_%s.nii.gz",
                 names[i]);
        assert_int_equal(volume_read(shared_path(name), &moving, &e), TS_OK);
        make_motion(&moving.header, turn[i], shift[i], motion);
        (i ? acquire : move_header)(&moving, motion);
        recover(i ? "flair, in slices of 4 mm" : "t1, moved by its header", &fixed, &moving,
                motion);
        volume_free(&moving);
    }
    volume_free(&fixed);
}

/* A real head with its skull, in slices of 5.5 mm, T2 and T1CE of two sessions: registered as it is,
 * and again after T2 was moved. Where it truly lies nobody knows; both must say the same. */
static void test_raw_head(void **state)
{
    (void)state;
    const char *path = shared_path("heads/TCGA-FG-6692/TCGA-FG-6692_t1ce.nii.gz");
    const double turn[3] = {12, -9, 14}, shift[3] = {-21, 15, 18};
    double motion[4][4], wanted[4][4];
    volume fixed, moving;
    alignment found;
    ts_error e;
    if (!path)
        skip();
    assert_int_equal(volume_read(path, &fixed, &e), TS_OK);
    path = shared_path("heads/TCGA-FG-6692/TCGA-FG-6692_t2.nii.gz");
    assert_int_equal(volume_read(path, &moving, &e), TS_OK);
    assert_int_equal(align_rigid(&fixed, &moving, threads, &found, &e), TS_OK);
    make_motion(&moving.header, turn, shift, motion);
    volume_affine_multiply(motion, found.transform, wanted);
    move_header(&moving, motion);
    recover("t2 of a raw head", &fixed, &moving, wanted);
    volume_free(&moving);
    volume_free(&fixed);
}

/* ---- made images ----------------------------------------------------------------------------- */

enum { N = 40 };

/* An ellipsoid of 3 mm voxels with blobs; two contrasts of one anatomy; 0 outside, or (head)
 * never. */
static volume made(int contrast, bool head)
{
    const int64_t shape[3] = {N, N + 4, N - 6};
    const double spacing[3] = {3, 3, 3};
    const double affine[4][4] = {{-3, 0, 0, 58}, {0, -3, 0, 62}, {0, 0, 3, -50}, {0, 0, 0, 1}};
    static const double blobs[4][5] = {/* x y z radius height */
                                       {14, 20, 16, 4, 1},
                                       {26, 14, 20, 5, -0.6},
                                       {20, 30, 12, 3, 1.4},
                                       {22, 24, 24, 4, 0.8}};
    volume v = {.channels = 1, .header = volume_header_make(shape, spacing, affine)};
    v.data = malloc((size_t)(shape[0] * shape[1] * shape[2]) * sizeof *v.data);
    assert_non_null(v.data);
    for (int64_t z = 0, i = 0; z < shape[2]; z++)
        for (int64_t y = 0; y < shape[1]; y++)
            for (int64_t x = 0; x < shape[0]; x++, i++) {
                const double at[3] = {(double)x, (double)y, (double)z};
                double tissue = 1, inside = 0;
                for (int k = 0; k < 3; k++) {
                    const double r = (at[k] - (double)shape[k] / 2) / ((double)shape[k] * 0.36);
                    inside += r * r;
                }
                for (int b = 0; b < 4; b++) {
                    double square = 0;
                    for (int k = 0; k < 3; k++)
                        square += (at[k] - blobs[b][k]) * (at[k] - blobs[b][k]);
                    tissue += blobs[b][4] * exp(-square / (2 * blobs[b][3] * blobs[b][3]));
                }
                const double value =
                    contrast ? 900 / (1 + tissue * tissue) + 100 : 300 * tissue + 100;
                v.data[i] = inside < 1 ? rintf((float)value) : head ? 20 : 0;
            }
    return v;
}

static void test_made_case(void **state)
{
    (void)state;
    const double turn[3] = {8, 10, -8}, shift[3] = {12, -11, 11};
    double motion[4][4];
    volume fixed = made(0, false), moving = made(1, false);
    make_motion(&moving.header, turn, shift, motion);
    move_header(&moving, motion);
    recover("made", &fixed, &moving, motion);
    volume_free(&moving);
    volume_free(&fixed);
}

/* Noise has no right position: the two directions end apart. */
static void test_failure_shows(void **state)
{
    (void)state;
    volume fixed = made(0, true), moving = made(1, true);
    alignment found;
    ts_error e;
    random_stream r = random_open(2, RANDOM_TEST, 0, 0);
    for (int64_t i = 0; i < fixed.header.shape[0] * fixed.header.shape[1] * fixed.header.shape[2];
         i++) {
        fixed.data[i] = (float)random_uniform(&r, 1, 100);
        moving.data[i] = (float)random_uniform(&r, 1, 100);
    }
    assert_int_equal(align_rigid(&fixed, &moving, threads, &found, &e), TS_OK);
    printf("noise: the other direction ends %.1f mm apart\n", found.disagreement_mm);
    assert_true(found.disagreement_mm > ALIGN_DOUBTFUL_MM);
    volume_free(&moving);
    volume_free(&fixed);
}

static void test_same_bits(void **state)
{
    (void)state;
    const double turn[3] = {3, 0, 2}, shift[3] = {2, 1, 0};
    double motion[4][4];
    volume fixed = made(0, false), moving = made(1, false);
    alignment a, b;
    pool *three;
    ts_error e;
    make_motion(&moving.header, turn, shift, motion);
    move_header(&moving, motion);
    assert_int_equal(pool_create(3, &three, &e), TS_OK);
    assert_int_equal(align_rigid(&fixed, &moving, NULL, &a, &e), TS_OK);
    assert_int_equal(align_rigid(&fixed, &moving, three, &b, &e), TS_OK);
    assert_memory_equal(&a, &b, sizeof a);
    pool_destroy(three);
    volume_free(&moving);
    volume_free(&fixed);
}

/* The grid's outer edges are the image's, whatever way its axes run; 3 mm become 1. */
static void test_grid(void **state)
{
    (void)state;
    const int64_t shape[3] = {10, 8, 6};
    const double spacing[3] = {2, 3, 1.5};
    const double affine[4][4] = {{0, 3, 0, -7}, {2, 0, 0, 5}, {0, 0, -1.5, 11}, {0, 0, 0, 1}};
    const volume_header from = volume_header_make(shape, spacing, affine),
                        to = align_grid(&from, 1);
    const int64_t wanted[3] = {24, 20, 9}; /* L, P, S: the file's axes 1, 0, 2 */
    for (int k = 0; k < 3; k++) {
        assert_int_equal(to.shape[k], wanted[k]);
        for (int i = 0; i < 3; i++)
            assert_true(fabs(to.affine[k][i] - (k == i ? (k < 2 ? -1 : 1) : 0)) < 1e-9);
    }
    const double first[3] = {-0.5, -0.5, -0.5};
    double corner[3];
    volume_affine_apply(to.affine, first, corner);
    assert_true(fabs(corner[0] - (-7 + 7.5 * 3)) < 1e-9); /* leftmost edge of axis 1 */
    assert_true(fabs(corner[1] - (5 + 9.5 * 2)) <
                1e-9); /* the rearmost edge is the last of axis 0 */
    assert_true(fabs(corner[2] - (11 - 5.5 * 1.5)) < 1e-9);
}

/* At the identity voxels stay as they are; a shift by whole voxels moves them; background stays
 * 0. */
static void test_resample(void **state)
{
    (void)state;
    static const double identity[4][4] = {{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}, {0, 0, 0, 1}};
    double shift[4][4];
    volume v = made(0, false);
    const int64_t *n = v.header.shape, voxels = n[0] * n[1] * n[2];
    float *out = malloc((size_t)voxels * sizeof *out);
    ts_error e;
    assert_int_equal(align_resample(&v, identity, &v.header, threads, out, &e), TS_OK);
    assert_memory_equal(out, v.data, (size_t)voxels * sizeof *out);
    memcpy(shift, identity, sizeof shift);
    shift[2][3] = 6; /* two slices up */
    assert_int_equal(align_resample(&v, shift, &v.header, threads, out, &e), TS_OK);
    assert_memory_equal(out, v.data + 2 * n[0] * n[1],
                        (size_t)(voxels - 2 * n[0] * n[1]) * sizeof *out);
    shift[2][3] = 1; /* a third of a slice: 0 where most of what is read is 0 */
    assert_int_equal(align_resample(&v, shift, &v.header, threads, out, &e), TS_OK);
    for (int64_t i = 0; i < voxels - n[0] * n[1]; i++)
        assert_true((out[i] == 0) == (v.data[i] == 0));
    free(out);
    volume_free(&v);
}

/* ---- upright --------------------------------------------------------------------------------- */

/* How far the axes of two grids are turned from each other, in degrees. */
static double turned_by(const double a[4][4], const double b[4][4])
{
    double trace = 0;
    for (int axis = 0; axis < 3; axis++) {
        double dot = 0, aa = 0, bb = 0;
        for (int k = 0; k < 3; k++) {
            dot += a[k][axis] * b[k][axis];
            aa += a[k][axis] * a[k][axis];
            bb += b[k][axis] * b[k][axis];
        }
        trace += dot / sqrt(aa * bb);
    }
    return acos(fmin((trace - 1) / 2, 1)) * 180 / M_PI;
}

/* An image as a scanner with a straight grid sees it after the head was turned and shifted: by 18
 * degrees. Brought upright, its axes must be those of `brain` again to within `most` degrees. */
static void stand_up(const volume *brain, double most)
{
    const double turn[3] = {15, 6, -9}, shift[3] = {14, -20, 30};
    double motion[4][4], back[4][4], there[4][4], straight[4][4];
    const double(*a)[4] = brain->header.affine;
    align_pose pose;
    volume_header grid;
    ts_error e = {0};
    int64_t wide[3];
    memcpy(straight, a, sizeof straight);
    for (int k = 0; k < 3; k++) {
        wide[k] = brain->header.shape[k] + 24;
        straight[k][3] += shift[k] - 12 * (a[k][0] + a[k][1] + a[k][2]);
    }
    make_motion(&brain->header, turn, shift, motion);
    volume tilted = {.channels = 1,
                     .header = volume_header_make(wide, brain->header.zooms, straight)};
    tilted.data = malloc((size_t)(wide[0] * wide[1] * wide[2]) * sizeof *tilted.data);
    volume_affine_invert(motion, back);
    assert_int_equal(align_resample(brain, back, &tilted.header, threads, tilted.data, &e), TS_OK);
    assert_int_equal(align_upright(&tilted, 1, threads, &pose, &grid, &e), TS_OK);
    volume_affine_multiply(back, grid.affine, there);
    const double left = turned_by(there, align_grid(&brain->header, 1).affine);
    printf("tilted: by %.1f degrees, left %.1f, normalised mutual information %.3f\n",
           pose.tilt_degrees, left, pose.nmi);
    assert_true(pose.known && pose.turned && left < most);
    assert_int_equal(grid.shape[0], 240);
    assert_int_equal(grid.shape[2], 155);
    volume_free(&tilted);
}

/* A brain that stands upright is left; a tilted one is brought back; noise is no brain. Phantoms
 * stand 8 degrees from the atlas. */
static void test_upright(void **state)
{
    (void)state;
    const int64_t shape[3] = {80, 80, 52}, voxels = shape[0] * shape[1] * shape[2];
    phantom_case c;
    align_pose pose;
    volume_header grid;
    ts_error e = {0};
    if (phantom_make(4, 0, shape, threads, &c, &e) != TS_OK)
        fail_msg("%s", e.text);
    const double spacing[3] = {c.spacing_mm, c.spacing_mm, c.spacing_mm};
    volume brain = {.channels = 1, .header = volume_header_make(shape, spacing, c.affine)};
    brain.data = malloc((size_t)voxels * sizeof *brain.data);
    for (int64_t i = 0; i < voxels; i++)
        brain.data[i] = c.images[T1CE][i];
    const volume_header plain = align_grid(&brain.header, 1);
    assert_int_equal(align_upright(&brain, 1, threads, &pose, &grid, &e), TS_OK);
    assert_true(pose.known && !pose.turned);
    assert_memory_equal(grid.affine, plain.affine, sizeof grid.affine);
    stand_up(&brain, 12);
    random_stream r = random_open(1, RANDOM_TEST, 0, 0);
    for (int64_t i = 0; i < voxels; i++)
        brain.data[i] = (float)random_uniform(&r, 1, 2);
    assert_int_equal(align_upright(&brain, 1, threads, &pose, &grid, &e), TS_OK);
    printf("noise: normalised mutual information %.3f\n", pose.nmi);
    assert_true(!pose.known && !pose.turned);
    volume_free(&brain);
    phantom_free(&c);
    const char *path = shared_path("brats-2mm/Brats18_CBICA_AQN_1/Brats18_CBICA_AQN_1_t1ce.nii.gz");
    if (!path)
        return;
    assert_int_equal(volume_read(path, &brain, &e), TS_OK);
    stand_up(&brain, 4);
    volume_free(&brain);
}

/* A phantom's T1CE whose head nods by 24 degrees beside the scanner's grid. */
static int make_tilted(const char *path)
{
    const int64_t shape[3] = {80, 80, 52};
    const double turn[3] = {-24, 0, 0}, none[3] = {0};
    double motion[4][4], back[4][4];
    phantom_case c;
    ts_error e;
    if (phantom_make(4, 0, shape, NULL, &c, &e) != TS_OK)
        return 1;
    const double spacing[3] = {c.spacing_mm, c.spacing_mm, c.spacing_mm};
    volume v = {.channels = 1, .header = volume_header_make(shape, spacing, c.affine)};
    const size_t voxels = (size_t)(shape[0] * shape[1] * shape[2]);
    float *out = malloc(voxels * sizeof *out);
    v.data = malloc(voxels * sizeof *v.data);
    for (size_t i = 0; i < voxels; i++)
        v.data[i] = c.images[T1CE][i];
    make_motion(&v.header, turn, none, motion);
    volume_affine_invert(motion, back);
    ts_status status = align_resample(&v, back, &v.header, NULL, out, &e);
    if (status == TS_OK)
        status = volume_write_float(path, &v.header, 1, out, &e);
    free(out);
    volume_free(&v);
    phantom_free(&c);
    return status != TS_OK;
}

/* t1ce, t2 (moved), flair (turned) and head (not skull-stripped) in a folder; tilted, a phantom. */
static int make_patient(const char *folder)
{
    static const struct {
        const char *name;
        int contrast;
        bool head;
        double turn[3], shift[3];
    } images[] = {{"t1ce", 0, false, {0}, {0}},
                  {"t2", 1, false, {0, 0, 6}, {5, -4, 3}},
                  {"flair", 1, false, {-5, 2, 0}, {0, 8, 0}},
                  {"head", 0, true, {0}, {0}}};
    for (size_t i = 0; i < COUNT_OF(images); i++) {
        double motion[4][4];
        char path[512];
        ts_error e;
        volume v = made(images[i].contrast, images[i].head);
        make_motion(&v.header, images[i].turn, images[i].shift, motion);
        move_header(&v, motion);
        snprintf(path, sizeof path, "%s/%s.nii.gz", folder, images[i].name);
        if (volume_write_float(path, &v.header, 1, v.data, &e) != TS_OK)
            return 1;
        volume_free(&v);
    }
    char path[512];
    snprintf(path, sizeof path, "%s/tilted.nii.gz", folder);
    return make_tilted(path);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_real_case), cmocka_unit_test(test_made_case),
        cmocka_unit_test(test_same_bits), cmocka_unit_test(test_failure_shows),
        cmocka_unit_test(test_grid),      cmocka_unit_test(test_resample),
        cmocka_unit_test(test_upright),   cmocka_unit_test(test_raw_head),
    };
    if (argc == 3 && !strcmp(argv[1], "--make"))
        return make_patient(argv[2]);
    return cmocka_run_group_tests(tests, start_threads, end_threads);
}
