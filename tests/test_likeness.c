/* likeness: the numbers of an image where they can be told by hand, the Gaussians against their
 * definition, and slips that are noticed or not. */
#include "likeness/likeness.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SIDE = 21, VOXELS = SIDE * SIDE * SIDE, CASES = 24 };

static preprocessed made_case(const float *images, modality_set present)
{
    preprocessed c = {.id = "a", .present = present, .images = images};
    for (int axis = 0; axis < 3; axis++) {
        c.geometry.shape[axis] = SIDE;
        c.geometry.header.zooms[axis] = 1 + axis;
    }
    return c;
}

/* A cube of brain with one voxel of outside around it; its value is its depth in voxels. */
static void test_depth_and_quantiles(void **state)
{
    ts_error e;
    likeness_features f;
    float *images = memory_allocate(MODALITIES * VOXELS, sizeof *images, "test", &e);
    int64_t counts[SIDE] = {0};
    (void)state;
    for (int v = 0; v < VOXELS; v++) {
        const int at[3] = {v % SIDE, v / SIDE % SIDE, v / SIDE / SIDE};
        int depth = SIDE;
        for (int axis = 0; axis < 3; axis++) {
            depth = at[axis] < depth ? at[axis] : depth;
            depth = SIDE - 1 - at[axis] < depth ? SIDE - 1 - at[axis] : depth;
        }
        images[T2 * VOXELS + v] = (float)depth;
        counts[depth]++;
    }
    const preprocessed c = made_case(images, 1u << T2);
    assert_int_equal(likeness_measure(&c, 2, &f, &e), TS_OK);
    assert_int_equal(f.present, 1u << T2);
    assert_true(f.zoom_mm == 3 && fabs(f.brain_ml - 19 * 19 * 19 * 8 / 1000.0) < 1e-9);
    /* depths of 1 and 2 voxels are up to 5 mm, 3 to 5 up to 10, 6 to 9 up to 18, 10 up to 30 */
    const int ends[] = {2, 5, 9, 10};
    for (int bin = 0, depth = 1; bin < 4; bin++) {
        double sum = 0, n = 0;
        for (; depth <= ends[bin]; depth++) {
            sum += (double)counts[depth] * depth;
            n += (double)counts[depth];
        }
        assert_true(fabs(f.single[T2][9 + bin] - sum / n) < 1e-4);
    }
    assert_true(f.single[T2][13] == 0);
    assert_true(f.single[T2][0] == 1 && f.single[T2][4] == 2 && f.single[T2][8] == 8);
    free(images);
}

/* Flat but for one bright voxel: fine structure is 0 but there and around it. */
static void test_fine_structure(void **state)
{
    ts_error e;
    likeness_features f;
    float *images = memory_allocate(MODALITIES * VOXELS, sizeof *images, "test", &e);
    (void)state;
    for (int v = 0; v < VOXELS; v++)
        images[v] = v == VOXELS / 2 ? 28 : 1;
    const preprocessed c = made_case(images, 1u << T1);
    assert_int_equal(likeness_measure(&c, 1, &f, &e), TS_OK);
    /* 26 at the voxel, -1 at its 26 neighbours, 0 at the rest of 19^3 */
    const double n = 19 * 19 * 19;
    const double second = (26 * 26 + 26) / n, third = (26.0 * 26 * 26 - 26) / n;
    for (int i = 14; i < 18; i++)
        assert_true(f.single[T1][i] == 0);
    assert_true(fabs(f.single[T1][18] - third / pow(second, 1.5)) < 1e-3);
    free(images);
}

/* b = 3 - 2a: the correlation is -1, and each is darkest where the other is brightest. */
static void test_pair(void **state)
{
    ts_error e;
    likeness_features f;
    float *images = memory_allocate(MODALITIES * VOXELS, sizeof *images, "test", &e);
    random_stream r = random_open(3, RANDOM_TEST, 0, 0);
    (void)state;
    for (int v = 0; v < VOXELS; v++) {
        images[T1 * VOXELS + v] = (float)random_uniform(&r, 0.01, 1);
        images[FLAIR * VOXELS + v] = 3 - 2 * images[T1 * VOXELS + v];
    }
    const preprocessed c = made_case(images, 1u << T1 | 1u << FLAIR);
    assert_int_equal(likeness_measure(&c, 1, &f, &e), TS_OK);
    const double *p = f.pair[T1][FLAIR], *q = f.pair[FLAIR][T1];
    const double expected[] = {-1, 3 - 2 * 0.985, 3 - 2 * 0.035, 0.025, 0.975};
    for (int i = 0; i < LIKENESS_PAIR; i++)
        assert_true(fabs(p[i] - expected[i]) < 0.02);
    const int turned[] = {0, 3, 4, 1, 2};
    for (int i = 0; i < LIKENESS_PAIR; i++)
        assert_true(q[i] == p[turned[i]]);
    free(images);
}

/* Cases whose numbers scatter by 1 about means that lie `apart` from each other, those of pairs
 * `pairs_apart`. */
static void draw_cases(likeness_features *cases, double apart, double pairs_apart)
{
    for (int c = 0; c < CASES; c++) {
        random_stream r = random_open(5, RANDOM_TEST, (uint32_t)c, 1);
        likeness_features *f = &cases[c];
        *f =
            (likeness_features){.present = ALL_MODALITIES, .zoom_mm = 1, .brain_ml = 1200 + 20 * c};
        for (int m = 0; m < MODALITIES; m++)
            for (int i = 0; i < LIKENESS_SINGLE; i++)
                f->single[m][i] = random_normal(&r) + (i == m ? apart : 0);
        for (int a = 0; a < MODALITIES; a++)
            for (int b = 0; b < MODALITIES; b++)
                for (int i = 0; a != b && i < LIKENESS_PAIR; i++)
                    f->pair[a][b][i] = random_normal(&r) + (i == a ? pairs_apart : 0);
    }
}

static void test_slips_are_noticed(void **state)
{
    ts_error e;
    likeness_features cases[CASES];
    likeness_rates far, near;
    (void)state;
    draw_cases(cases, 8, 0);
    assert_int_equal(likeness_rate_slips(cases, CASES, &far, &e), TS_OK);
    draw_cases(cases, 0, 0);
    assert_int_equal(likeness_rate_slips(cases, CASES, &near, &e), TS_OK);
    for (int s = 0; s < (int)ALL_MODALITIES; s++) {
        const likeness_rate *r = &far.subsets[s];
        const int given = modality_count(r->given);
        assert_int_equal(r->cases, CASES);
        /* pairs of those given, and each of those with each that is not */
        assert_int_equal(r->slips, CASES * (given * (given - 1) / 2 + given * (4 - given)));
        assert_int_equal(r->alarms, 0);
        assert_int_equal(r->noticed, r->slips);
        /* without a difference a wrong name is as likely as the right one */
        assert_true(near.subsets[s].noticed < 0.8 * (double)near.subsets[s].slips);
    }
    assert_int_equal(far.alone[T2][FLAIR], CASES);
    assert_int_equal(far.alone[T2][T2], 0);
    assert_int_equal(far.images, 4 * CASES);
    assert_int_equal(far.strange, 0);
    /* images alike, pairs not: an exchange is noticed, an image alone cannot be told */
    draw_cases(cases, 0, 8);
    assert_int_equal(likeness_rate_slips(cases, CASES, &near, &e), TS_OK);
    assert_int_equal(near.swapped[T2][FLAIR], CASES);
    assert_int_equal(near.subsets[ALL_MODALITIES - 1].noticed,
                     near.subsets[ALL_MODALITIES - 1].slips);
    assert_true(near.alone[T2][FLAIR] < CASES * 3 / 4);
    assert_int_equal(likeness_rate_slips(cases, LIKENESS_CASES_MIN, &far, &e), TS_BAD_INPUT);
}

static void test_verdict(void **state)
{
    ts_error e;
    likeness l;
    likeness_verdict v;
    likeness_features cases[CASES];
    string_list said = {0};
    (void)state;
    draw_cases(cases, 8, 0);
    assert_int_equal(likeness_fit(cases, CASES, &l, &e), TS_OK);
    likeness_features odd = cases[0];
    memcpy(odd.single[FLAIR], cases[0].single[T2], sizeof odd.single[FLAIR]);
    memcpy(odd.single[T2], cases[0].single[FLAIR], sizeof odd.single[T2]);
    for (int i = 0; i < LIKENESS_SINGLE; i++)
        odd.single[T1][i] += 20;
    odd.zoom_mm = 5;
    odd.brain_ml = 3000;
    likeness_judge(&l, &odd, &v);
    assert_true(v.misnamed && v.looks_like[T2] == FLAIR && v.looks_like[FLAIR] == T2);
    assert_true(v.looks_like[T1CE] == T1CE && v.strange[T1] && !v.strange[T2] && !v.strange[T1CE]);
    assert_true(v.coarse && v.large && !v.small);
    assert_int_equal(likeness_sentences(&l, &odd, &v, "x", &said, &e), TS_OK);
    assert_int_equal(said.count, 5);
    assert_non_null(strstr(said.items[1], "given as t2 looks like a flair"));
    string_list_free(&said);
    likeness_judge(&l, &cases[3], &v);
    assert_false(v.misnamed || v.coarse || v.small || v.large || v.strange[FLAIR]);
    assert_int_equal(likeness_sentences(&l, &cases[3], &v, "x", &said, &e), TS_OK);
    assert_int_equal(said.count, 0);
    /* a modality that some training case lacks is not judged */
    cases[5].present = ALL_MODALITIES & ~(1u << T1);
    assert_int_equal(likeness_fit(cases, CASES, &l, &e), TS_OK);
    likeness_judge(&l, &odd, &v);
    assert_true(v.looks_like[T1] == T1 && !v.strange[T1] && v.looks_like[FLAIR] == T2);
    assert_int_equal(likeness_fit(cases, LIKENESS_CASES_MIN - 1, &l, &e), TS_OK);
    assert_int_equal(l.cases, 0);
    likeness_judge(&l, &odd, &v);
    assert_false(v.misnamed || v.coarse);
}

/* precision is the inverse of the covariance: nine tenths of the scatter off the diagonal. */
static void test_precision(void **state)
{
    ts_error e;
    likeness l;
    likeness_features cases[CASES];
    double scatter[LIKENESS_SINGLE][LIKENESS_SINGLE] = {{0}};
    (void)state;
    draw_cases(cases, 3, 0);
    assert_int_equal(likeness_fit(cases, CASES, &l, &e), TS_OK);
    for (int c = 0; c < CASES; c++)
        for (int m = 0; m < MODALITIES; m++)
            for (int i = 0; i < LIKENESS_SINGLE; i++)
                for (int j = 0; j < LIKENESS_SINGLE; j++)
                    scatter[i][j] += (cases[c].single[m][i] - l.mean[m][i]) *
                                     (cases[c].single[m][j] - l.mean[m][j]) / (4 * (CASES - 1));
    for (int i = 0; i < LIKENESS_SINGLE; i++)
        for (int j = 0; j < LIKENESS_SINGLE; j++) {
            double product = 0;
            for (int k = 0; k < LIKENESS_SINGLE; k++)
                product +=
                    l.precision[i][k] * (k == j ? scatter[k][j] + 1e-4 : 0.9 * scatter[k][j]);
            assert_true(fabs(product - (i == j)) < 1e-9);
        }
}

static void test_json(void **state)
{
    ts_error e;
    likeness l, back;
    likeness_features cases[CASES];
    (void)state;
    draw_cases(cases, 3, 0);
    cases[2].present = 7;
    assert_int_equal(likeness_fit(cases, CASES, &l, &e), TS_OK);
    char *json = likeness_print(&l);
    assert_non_null(json);
    assert_int_equal(likeness_parse(json, "m", &back, &e), TS_OK);
    assert_int_equal(back.cases, CASES);
    assert_int_equal(back.known, 7);
    assert_true(fabs(back.precision[3][4] - l.precision[3][4]) < 1e-5 * fabs(l.precision[3][3]));
    assert_true(fabs(back.brain_ml[1] - l.brain_ml[1]) < 1e-2);
    char *again = likeness_print(&back);
    assert_string_equal(again, json);
    json[strlen(json) - 3] = '\0';
    assert_int_equal(likeness_parse(json, "m", &back, &e), TS_BAD_INPUT);
    assert_int_equal(
        likeness_parse("{\"cases\":24,\"known\":\"t1\",\"numbers\":[1,2]}", "m", &back, &e),
        TS_BAD_INPUT);
    assert_non_null(strstr(e.text, "'m'"));
    free(json);
    free(again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_depth_and_quantiles),
        cmocka_unit_test(test_fine_structure),
        cmocka_unit_test(test_pair),
        cmocka_unit_test(test_slips_are_noticed),
        cmocka_unit_test(test_verdict),
        cmocka_unit_test(test_precision),
        cmocka_unit_test(test_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
