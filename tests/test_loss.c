/* loss: values and gradients against PyTorch's autograd (golden/loss.txt, made by
 * tools/oracle/loss.py), the same bits on any number of threads, and the small rules of deep
 * supervision. */
#include "engine/engine.h"
#include "loss/loss.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N = 2, V = 45, C = 6, W = 5 };

static const double lambda = 0.0051, weight = 0.75;

/* The oracle's numbers that every program can make. */
static float made(int64_t i, int64_t salt)
{
    return (float)((i * 7919 + salt * 104729 + i * i * 31) % 4001 - 2000) / 1000;
}

static void make_labels(uint8_t labels[N * V])
{
    for (int i = 0; i < N * V; i++) {
        const int k = (i * i + 3 * i) % 11 % 5;
        labels[i] = (uint8_t)(k > 3 ? 3 : k);
    }
}

/* The numbers behind `name` in the golden file; free(). */
static double *golden(const char *name, int count)
{
    char word[64];
    int there;
    FILE *f = fopen("tests/golden/loss.txt", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%*[^\n]"), 0); /* the comment */
    double *values = malloc((size_t)count * sizeof *values);
    while (fscanf(f, "%63s %d", word, &there) == 2) {
        const bool found = !strcmp(word, name);
        if (found)
            assert_int_equal(there, count);
        for (int i = 0; i < there; i++)
            assert_int_equal(found ? fscanf(f, "%lf", &values[i]) : fscanf(f, "%*f") + 1, 1);
        if (found) {
            fclose(f);
            return values;
        }
    }
    fail_msg("the golden file lacks %s", name);
    return NULL;
}

static void check(const char *name, const float *got, int count, double tolerance)
{
    double *expected = golden(name, count);
    for (int i = 0; i < count; i++)
        if (!(fabs(got[i] - expected[i]) <= tolerance))
            fail_msg("%s[%d] is %.9g instead of %.9g", name, i, got[i], expected[i]);
    free(expected);
}

static engine *engine_of(int threads, compute_dtype dtype, const char *target)
{
    ts_error error;
    engine *e;
    assert_int_equal(engine_create(threads, dtype, target, &e, &error), TS_OK);
    return e;
}

static void check_loss(const char *name, double got)
{
    const float narrow = (float)got;
    check(name, &narrow, 1, 2e-6);
}

static void check_segmentation(engine *e)
{
    static const char *const names[] = {"ce", "ce+dice", "regions"};
    uint8_t labels[N * V];
    make_labels(labels);
    for (int kind = LOSS_CE; kind <= LOSS_REGIONS; kind++) {
        char name[32];
        const int classes = loss_classes((loss_kind)kind), count = N * classes * V;
        float logits[N * 4 * V];
        for (int i = 0; i < count; i++)
            logits[i] = made(i, classes) * 3;
        const double loss = loss_segmentation((loss_kind)kind, logits, labels, N, V, weight, e);
        snprintf(name, sizeof name, "%s.loss", names[kind]);
        check_loss(name, loss);
        snprintf(name, sizeof name, "%s.gradient", names[kind]);
        check(name, logits, count, 2e-7);
    }
}

/* With each target's loops; 45 voxels are not whole vectors of any. */
static void test_segmentation(void **state)
{
    (void)state;
    for (int target = 0; engine_target_name(target); target++)
        for (int dtype = DTYPE_FP32; dtype <= DTYPE_BF16; dtype++) {
            if (!engine_target_available(engine_target_name(target)))
                continue;
            engine *e = engine_of(1, (compute_dtype)dtype, engine_target_name(target));
            check_segmentation(e);
            engine_destroy(e);
        }
}

/* Logits as large as a diverging network's give finite numbers; NaN stays to be seen. */
static void test_segmentation_extremes(void **state)
{
    const uint8_t labels[4] = {0, 1, 2, 3};
    (void)state;
    engine *e = engine_of(1, DTYPE_FP32, NULL);
    for (int kind = LOSS_CE; kind <= LOSS_REGIONS; kind++) {
        float logits[16];
        for (int i = 0; i < 16; i++)
            logits[i] = i % 3 ? 3e4f : -3e4f;
        assert_true(isfinite(loss_segmentation((loss_kind)kind, logits, labels, 1, 4, 1, e)));
        for (int i = 0; i < 4 * loss_classes((loss_kind)kind); i++)
            assert_true(isfinite(logits[i]));
        logits[5] = NAN;
        assert_true(isnan(loss_segmentation((loss_kind)kind, logits, labels, 1, 4, 1, e)));
    }
    engine_destroy(e);
}

/* A region that is empty in truth and prediction adds no loss, by the smoothing above and below. */
static void test_dice_of_nothing(void **state)
{
    const uint8_t labels[8] = {0};
    (void)state;
    engine *e = engine_of(1, DTYPE_FP32, NULL);
    for (int kind = LOSS_CE_DICE; kind <= LOSS_REGIONS; kind++) {
        float logits[32];
        for (int i = 0; i < 32; i++)
            logits[i] = kind == LOSS_CE_DICE && i < 8 ? 50 : -50;
        assert_true(fabs(loss_segmentation((loss_kind)kind, logits, labels, 1, 8, 1, e)) < 1e-5);
    }
    engine_destroy(e);
}

/* Softened labels against PyTorch's divergences; the gradient also against central differences of
 * the loss itself. */
static void test_soft(void **state)
{
    static const struct {
        loss_kind kind;
        const char *name;
    } kinds[] = {{LOSS_CE, "ce"}, {LOSS_REGIONS, "regions"}};
    const double temperature = 3;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        const int count = N * loss_classes(kinds[i].kind) * V;
        float teacher[N * 4 * V], student[N * 4 * V], soft[N * 4 * V], gradient[N * 4 * V];
        char name[32];
        for (int j = 0; j < count; j++) {
            teacher[j] = made(j, 21) * 3;
            student[j] = made(j, 22) * 3;
        }
        loss_soften(kinds[i].kind, teacher, N, V, temperature, soft, NULL);
        memcpy(gradient, soft, sizeof soft);
        const double loss =
            loss_soft(kinds[i].kind, student, gradient, N, V, temperature, weight, NULL);
        snprintf(name, sizeof name, "soft.%s.loss", kinds[i].name);
        check_loss(name, loss);
        snprintf(name, sizeof name, "soft.%s.gradient", kinds[i].name);
        check(name, gradient, count, 2e-7);
        for (int j = 0; j < count; j += 17) {
            double sides[2];
            for (int side = 0; side < 2; side++) {
                float moved[N * 4 * V], scratch[N * 4 * V];
                memcpy(moved, student, sizeof moved);
                memcpy(scratch, soft, sizeof scratch);
                moved[j] +=
                    side ? 0.125f : -0.125f; /* exact steps; error O(step^2) of third order */
                sides[side] =
                    loss_soft(kinds[i].kind, moved, scratch, N, V, temperature, weight, NULL);
            }
            const double slope = weight * (sides[1] - sides[0]) / 0.25;
            if (fabs(slope - gradient[j]) > 1e-3 * fabs(slope) + 2e-6)
                fail_msg("%s: slope %g, gradient %g at %d", kinds[i].name, slope, gradient[j], j);
        }
    }
}

/* A student with the teacher's logits has loss and gradient 0, however extreme the logits. */
static void test_soft_of_equals(void **state)
{
    (void)state;
    for (int kind = LOSS_CE; kind <= LOSS_REGIONS; kind++) {
        float logits[16], soft[16];
        for (int i = 0; i < 16; i++)
            logits[i] = i % 3 ? 3e4f : -3e4f;
        loss_soften((loss_kind)kind, logits, 1, 4, 2, soft, NULL);
        assert_true(fabs(loss_soft((loss_kind)kind, logits, soft, 1, 4, 2, 1, NULL)) < 1e-6);
        for (int i = 0; i < 4 * loss_classes((loss_kind)kind); i++)
            assert_true(fabsf(soft[i]) < 1e-6f);
        logits[5] = 0;
        loss_soften((loss_kind)kind, logits, 1, 4, 2, soft, NULL);
        logits[5] = NAN;
        assert_true(isnan(loss_soft((loss_kind)kind, logits, soft, 1, 4, 2, 1, NULL)));
    }
}

static void make_features(float *teacher, float *student)
{
    for (int i = 0; i < N * C * V; i++) {
        teacher[i] = made(i, 11);
        student[i] = 0.5f * teacher[i] + made(i, 12);
    }
}

static barlow_pair pair_of(const float *teacher, const float *student, int64_t voxels)
{
    return (barlow_pair){.teacher = teacher,
                         .student = student,
                         .n = N,
                         .channels = C,
                         .voxels = voxels,
                         .lambda = lambda,
                         .weight = weight};
}

static void test_barlow(void **state)
{
    ts_error e;
    double loss, again;
    float teacher[N * C * V], student[N * C * V], dt[N * C * V], ds[N * C * V], only[N * C * V];
    (void)state;
    make_features(teacher, student);
    barlow_pair b = pair_of(teacher, student, V);
    b.teacher_gradient = dt;
    b.student_gradient = ds;
    assert_int_equal(loss_barlow(&b, NULL, &loss, &e), TS_OK);
    check_loss("barlow.loss", loss);
    check("barlow.teacher", dt, N * C * V, 2e-7);
    check("barlow.student", ds, N * C * V, 2e-7);
    b.teacher_gradient = NULL;
    b.student_gradient = only;
    assert_int_equal(loss_barlow(&b, NULL, &again, &e), TS_OK);
    assert_memory_equal(ds, only, sizeof ds);
}

static void test_projector(void **state)
{
    ts_error e;
    double loss;
    float teacher[N * C * V], student[N * C * V], dt[N * C * V], ds[N * C * V];
    float weights[W * (C + W)], dw[W * (C + W)];
    (void)state;
    make_features(teacher, student);
    assert_int_equal(loss_projector_weights(C, W), COUNT_OF(weights));
    for (int i = 0; i < (int)COUNT_OF(weights); i++)
        weights[i] = made(i, 13);
    barlow_pair b = pair_of(teacher, student, V);
    b.teacher_gradient = dt;
    b.student_gradient = ds;
    b.width = W;
    b.projector = weights;
    b.projector_gradient = dw;
    assert_int_equal(loss_barlow(&b, NULL, &loss, &e), TS_OK);
    check_loss("projected.loss", loss);
    check("projected.teacher", dt, N * C * V, 5e-7);
    check("projected.student", ds, N * C * V, 5e-7);
    check("projected.weights", dw, (int)COUNT_OF(weights), 2e-6);
}

/* Equal features correlate fully with themselves: only the off-diagonal part is left. */
static void test_barlow_of_equals(void **state)
{
    ts_error e;
    double loss;
    float x[N * C * V], gradient[N * C * V];
    (void)state;
    make_features(x, gradient);
    barlow_pair b = pair_of(x, x, V);
    b.lambda = 0;
    b.student_gradient = gradient;
    assert_int_equal(loss_barlow(&b, NULL, &loss, &e), TS_OK);
    assert_true(loss < 1e-9);
}

static void check_threads_agree(const char *target)
{
    enum { VOXELS = 5000, COUNT = N * C * VOXELS };
    ts_error e;
    float *x[3][4];
    double losses[3][3];
    uint8_t *labels = malloc(N * VOXELS);
    for (int i = 0; i < N * VOXELS; i++)
        labels[i] = (uint8_t)(i % 4);
    for (int run = 0; run < 3; run++) {
        engine *with = engine_of(run + 1, DTYPE_FP32, target);
        pool *p = engine_pool(with);
        for (int a = 0; a < 4; a++) {
            x[run][a] = memory_allocate(COUNT, sizeof(float), "test", &e);
            for (int i = 0; i < COUNT; i++)
                x[run][a][i] = made(i, a);
        }
        barlow_pair b = pair_of(x[run][0], x[run][1], VOXELS);
        b.teacher_gradient = x[run][2];
        b.student_gradient = x[run][3];
        assert_int_equal(loss_barlow(&b, p, &losses[run][0], &e), TS_OK);
        loss_soften(LOSS_CE, x[run][1], N, VOXELS, 2, x[run][2], p);
        losses[run][2] = loss_soft(LOSS_CE, x[run][0], x[run][2], N, VOXELS, 2, 1, p);
        losses[run][1] = loss_segmentation(LOSS_CE_DICE, x[run][0], labels, N, VOXELS, 1, with);
        engine_destroy(with);
    }
    for (int run = 1; run < 3; run++) {
        assert_memory_equal(losses[0], losses[run], sizeof losses[0]);
        for (int a = 0; a < 4; a++)
            assert_memory_equal(x[0][a], x[run][a], COUNT * sizeof(float));
    }
    for (int i = 0; i < 12; i++)
        free(x[i / 4][i % 4]);
    free(labels);
}

static void test_threads_agree(void **state)
{
    (void)state;
    for (int target = 0; engine_target_name(target); target++)
        if (engine_target_available(engine_target_name(target)))
            check_threads_agree(engine_target_name(target));
}

static void test_deep_supervision(void **state)
{
    double w[3];
    const uint8_t labels[2 * 4 * 2 * 4] = {
        0, 1, 2, 3, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 1, 9, 3, 9, 9, 9,
        9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 2, 9, 0, 9, 9, 9, 9, 9, 9, 9, 9, 9,
        9, 9, 9, 9, 3, 9, 1, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9,
    };
    const uint8_t expected[2 * 2 * 1 * 2] = {0, 2, 1, 3, 2, 0, 3, 1};
    uint8_t halved[sizeof expected];
    const int64_t shape[3] = {4, 2, 4};
    (void)state;
    loss_halve_labels(labels, 2, shape, halved);
    assert_memory_equal(halved, expected, sizeof expected);
    loss_head_weights(1, w);
    assert_true(w[0] == 1);
    loss_head_weights(3, w);
    assert_true(fabs(w[0] - 4.0 / 7) < 1e-15 && fabs(w[1] - 2.0 / 7) < 1e-15 &&
                fabs(w[2] - 1.0 / 7) < 1e-15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_segmentation),    cmocka_unit_test(test_segmentation_extremes),
        cmocka_unit_test(test_dice_of_nothing), cmocka_unit_test(test_soft),
        cmocka_unit_test(test_soft_of_equals),  cmocka_unit_test(test_barlow),
        cmocka_unit_test(test_projector),       cmocka_unit_test(test_barlow_of_equals),
        cmocka_unit_test(test_threads_agree),   cmocka_unit_test(test_deep_supervision),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
