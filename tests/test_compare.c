/* compare: two made dates of one head, the second moved: volumes of each, lesions that stay, grow,
 * go, come, merge and split. `test_compare --make DIR` writes them for compare.test.sh. */
#include "compare/compare.h"
#include "voxels/voxels.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "test_folder.h"

enum { N = 60 };

typedef struct {
    double at[3], radius; /* mm from the grid's middle */
} ball;

/* Of date 1 and 2: the same and larger; gone; new; two that merge; one that splits. Places are in
 * the head. */
static const ball lesions[2][6] = {
    {{{-30, 20, 5}, 8},
     {{30, -30, 10}, 6},
     {{-30, -25, -20}, 5},
     {{-14, -25, -20}, 5},
     {{20, 25, -15}, 9},
     {{0, 0, 0}, 0}},
    {{{-30, 20, 5}, 11},
     {{25, 5, 30}, 7},
     {{-22, -25, -20}, 10},
     {{0, 0, 0}, 0},
     {{14, 25, -15}, 4},
     {{27, 25, -15}, 4}},
};

/* The second date's world is turned about z and shifted; its grid lies askew to the head. */
static void motion_of(int date, double out[4][4])
{
    const double a = date ? 9 * M_PI / 180 : 0;
    const double m[4][4] = {{cos(a), -sin(a), 0, date ? 7 : 0},
                            {sin(a), cos(a), 0, date ? -6 : 0},
                            {0, 0, 1, date ? 4 : 0},
                            {0, 0, 0, 1}};
    memcpy(out, m, sizeof m);
}

/* A head of 2 mm voxels: an ellipsoid with blobs, and the lesions; 0 outside. */
static void make_date(int date, volume_header *h, float *image, uint8_t *labels)
{
    static const double blobs[5][5] = {/* x y z radius height */
                                       {14, 20, 16, 14, 1},
                                       {-26, 14, 20, 10, -0.6},
                                       {20, -30, -12, 12, 1.4},
                                       {-22, -24, 24, 15, 0.8},
                                       {10, 5, -30, 13, -0.5}};
    const int64_t shape[3] = {N, N + 6, N - 6};
    const double spacing[3] = {2, 2, 2};
    const double affine[4][4] = {{-2, 0, 0, 59}, {0, -2, 0, 65}, {0, 0, 2, -53}, {0, 0, 0, 1}};
    double motion[4][4], moved[4][4] = {{0}};
    motion_of(date, motion);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++)
            for (int k = 0; k < 4; k++)
                moved[i][j] += motion[i][k] * affine[k][j];
    *h = volume_header_make(shape, spacing, moved);
    for (int64_t i = 0; i < voxel_count(shape); i++) {
        const double at[3] = {59 - 2 * (double)(i % N), 65 - 2 * (double)(i / N % (N + 6)),
                              -53 + 2 * (double)(i / N / (N + 6))};
        double tissue = 1;
        const double inside = at[0] * at[0] / 2500 + at[1] * at[1] / 3200 + at[2] * at[2] / 2100;
        for (int b = 0; b < 5; b++) {
            double square = 0;
            for (int k = 0; k < 3; k++)
                square += (at[k] - blobs[b][k]) * (at[k] - blobs[b][k]);
            tissue += blobs[b][4] * exp(-square / (2 * blobs[b][3] * blobs[b][3]));
        }
        labels[i] = 0;
        for (int l = 0; l < 6; l++) {
            const ball *b = &lesions[date][l];
            double square = 0;
            for (int k = 0; k < 3; k++)
                square += (at[k] - b->at[k]) * (at[k] - b->at[k]);
            if (square < b->radius * b->radius)
                labels[i] = LABEL_ET;
        }
        image[i] = inside < 1 ? rintf((float)(300 * tissue + 100 + 200 * labels[i])) : 0;
    }
}

static int write_dates(const char *folder_of_all)
{
    static float image[N * (N + 6) * (N - 6)];
    static uint8_t labels[N * (N + 6) * (N - 6)];
    ts_error e;
    for (int date = 0; date < 2; date++) {
        volume_header h;
        char path[3][600];
        snprintf(path[0], sizeof path[0], "%s/date%d/images", folder_of_all, date + 1);
        snprintf(path[1], sizeof path[1], "%s/date%d/images/t1ce.nii.gz", folder_of_all, date + 1);
        snprintf(path[2], sizeof path[2], "%s/date%d/seg.nii.gz", folder_of_all, date + 1);
        make_date(date, &h, image, labels);
        if (directory_create(path[0], &e) != TS_OK ||
            volume_write_float(path[1], &h, 1, image, &e) != TS_OK ||
            volume_write_labels(path[2], &h, labels, &e) != TS_OK)
            return 1;
    }
    return 0;
}

static const compare_group *group_at(const comparison *c, int date, size_t lesion)
{
    return &c->groups[c->group_of[date][lesion]];
}

/* The lesion of a date that is nearest to a place of the head. */
static size_t lesion_at(const comparison *c, int date, const double at[3])
{
    double motion[4][4], least = INFINITY;
    size_t best = 0;
    motion_of(date, motion);
    for (size_t i = 0; i < c->date[date].count; i++) {
        double square = 0;
        for (int k = 0; k < 3; k++) {
            const double place =
                motion[k][0] * at[0] + motion[k][1] * at[1] + motion[k][2] * at[2] + motion[k][3];
            square += pow(c->date[date].lesions[i].centre_mm[k] - place, 2);
        }
        best = square < least ? i : best;
        least = fmin(square, least);
    }
    assert_true(least < 9);
    return best;
}

static void test_dates(void **state)
{
    (void)state;
    comparison c;
    pool *p;
    ts_error e = {0};
    char before[600], after[600];
    double motion[4][4];
    assert_int_equal(write_dates(folder), 0);
    snprintf(before, sizeof before, "%s/date1", folder);
    snprintf(after, sizeof after, "%s/date2/", folder);
    const compare_request r = {.before = before, .after = after};
    assert_int_equal(pool_create(2, &p, &e), TS_OK);
    if (compare_dates(&r, p, &c, &e) != TS_OK)
        fail_msg("%s", e.text);
    pool_destroy(p);
    motion_of(1, motion);
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 4; k++)
            assert_true(fabs(c.found.transform[i][k] - motion[i][k]) < (k < 3 ? 0.01 : 0.5));
    assert_int_equal(c.date[0].count, 5);
    assert_int_equal(c.date[1].count, 5);
    assert_int_equal(c.count, 5);
    const compare_group *same = group_at(&c, 0, lesion_at(&c, 0, lesions[0][0].at));
    assert_string_equal(compare_state(same), "the same");
    assert_ptr_equal(same, group_at(&c, 1, lesion_at(&c, 1, lesions[1][0].at)));
    assert_true(fabs(compare_percent(same->et_ml[0], same->et_ml[1]) - 160) < 8); /* (11/8)^3 */
    assert_true(!same->right);
    assert_string_equal(compare_state(group_at(&c, 0, lesion_at(&c, 0, lesions[0][1].at))), "gone");
    assert_string_equal(compare_state(group_at(&c, 1, lesion_at(&c, 1, lesions[1][1].at))), "new");
    const compare_group *merged = group_at(&c, 1, lesion_at(&c, 1, lesions[1][2].at));
    assert_string_equal(compare_state(merged), "merged");
    assert_ptr_equal(merged, group_at(&c, 0, lesion_at(&c, 0, lesions[0][2].at)));
    assert_ptr_equal(merged, group_at(&c, 0, lesion_at(&c, 0, lesions[0][3].at)));
    assert_string_equal(compare_state(group_at(&c, 0, lesion_at(&c, 0, lesions[0][4].at))),
                        "split");
    assert_true(isnan(compare_percent(0, 3)));
    comparison_free(&c);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_dates)};
    if (argc == 3 && !strcmp(argv[1], "--make"))
        return write_dates(argv[2]);
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
