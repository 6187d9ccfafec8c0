/* train, the parts around the networks: the optimisers against PyTorch's (golden/sgd.txt and
 * adamw.txt, made by tools/oracle/optimiser.py), checkpoints that lie, and the rules of the run
 * folder. */
#include "train/checkpoint.h"
#include "train/optimiser.h"
#include "train/run_folder.h"
#include "train/train.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "test_folder.h"

/* ---- optimiser ---------------------------------------------------------------------------- */

enum { WEIGHTS = 7, STEPS = 12 };

/* The gradients of tools/oracle/optimiser.py: small integers over 8, every fourth step beyond the
 * clip. */
static float oracle_gradient(int step, int i)
{
    return (float)((step * 7 + i * 5) % 11 - 5) / 8 * (step % 4 == 3 ? 40 : 1);
}

static void compare_with_golden(const char *path, update_rule rule)
{
    float weights[WEIGHTS], first[WEIGHTS] = {0}, second[WEIGHTS] = {0};
    float gradient[WEIGHTS], golden[WEIGHTS];
    char line[512];
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof line, f)); /* the comment */
    for (int step = -1; step < STEPS; step++) {
        int number;
        assert_int_equal(fscanf(f, "%d", &number), 1);
        assert_int_equal(number, step + 1);
        for (int i = 0; i < WEIGHTS; i++)
            assert_int_equal(fscanf(f, "%f", &golden[i]), 1);
        if (step < 0) {
            memcpy(weights, golden, sizeof weights);
            continue;
        }
        for (int i = 0; i < WEIGHTS; i++)
            gradient[i] = oracle_gradient(step, i);
        rule.learning_rate = poly_learning_rate(0.01, step, STEPS);
        rule.step = step;
        const float factor = clip_factor(gradient_norm(gradient, WEIGHTS, NULL), 12);
        optimiser_step(&rule, factor, gradient, weights, first, second, WEIGHTS, NULL);
        for (int i = 0; i < WEIGHTS; i++)
            if (fabsf(weights[i] - golden[i]) > 1e-6f)
                fail_msg("step %d, weight %d: %.9g instead of %.9g", step, i, weights[i],
                         golden[i]);
    }
    fclose(f);
}

static void test_optimisers_are_pytorchs(void **state)
{
    (void)state;
    compare_with_golden(
        "tests/golden/sgd.txt",
        (update_rule){.kind = OPTIMISER_SGD, .momentum = 0.99, .weight_decay = 3e-5});
    compare_with_golden("tests/golden/adamw.txt",
                        (update_rule){.kind = OPTIMISER_ADAMW, .weight_decay = 0.01});
}

/* Any number of threads: the same bits. */
static void threads_agree(const update_rule *rule)
{
    enum { COUNT = 100003 };
    enum { GRADIENT, WEIGHT, FIRST, SECOND, ARRAYS };
    ts_error e;
    float *arrays[3][ARRAYS];
    double norms[3];
    for (int run = 0; run < 3; run++) {
        pool *p = NULL;
        random_stream r = random_open(5, RANDOM_TEST, 0, 0);
        if (run)
            assert_int_equal(pool_create(1 + run, &p, &e), TS_OK);
        for (int a = 0; a < ARRAYS; a++) {
            arrays[run][a] = memory_allocate(COUNT, sizeof(float), "test", &e);
            for (int i = 0; i < COUNT; i++)
                arrays[run][a][i] = (float)fabs(random_normal(&r));
        }
        norms[run] = gradient_norm(arrays[run][GRADIENT], COUNT, p);
        optimiser_step(rule, clip_factor(norms[run], 12), arrays[run][GRADIENT],
                       arrays[run][WEIGHT], arrays[run][FIRST], arrays[run][SECOND], COUNT, p);
        pool_destroy(p);
    }
    assert_true(fabs(norms[0] - sqrt(COUNT)) < 2);
    for (int run = 1; run < 3; run++) {
        assert_memory_equal(&norms[0], &norms[run], sizeof norms[0]);
        for (int a = 0; a < ARRAYS; a++)
            assert_memory_equal(arrays[0][a], arrays[run][a], COUNT * sizeof(float));
    }
    for (int i = 0; i < 3 * ARRAYS; i++)
        free(arrays[i / ARRAYS][i % ARRAYS]);
}

static void test_threads_agree(void **state)
{
    (void)state;
    threads_agree(&(update_rule){OPTIMISER_SGD, 0.01, 3e-5, .momentum = 0.99});
    threads_agree(&(update_rule){OPTIMISER_ADAMW, 0.01, 3e-5, .step = 5});
}

static void test_schedule_and_clip(void **state)
{
    (void)state;
    const float hole[2] = {1, NAN};
    assert_true(fabs(poly_learning_rate(0.01, 0, 100) - 0.01) < 1e-15);
    assert_true(fabs(poly_learning_rate(0.01, 50, 100) - 0.01 * pow(0.5, 0.9)) < 1e-15);
    assert_true(poly_learning_rate(0.01, 100, 100) == 0);
    assert_true(clip_factor(11, 12) == 1);
    assert_true(fabsf(clip_factor(24, 12) - 0.5f) < 1e-6f);
    assert_true(clip_factor(1e9, 0) == 1);
    assert_true(isnan(gradient_norm(hole, 2, NULL)));
}

/* ---- checkpoints -------------------------------------------------------------------------- */

static void test_checkpoint(void **state)
{
    (void)state;
    ts_error e;
    float a[5] = {1, 2, 3, 4, 0x1p-149f}, b[2] = {-0.0f, 7}, c[5], d[2];
    const checkpoint_part out[] = {{"student.weights", a, 5}, {"student.momentum", b, 2}};
    const checkpoint_part in[] = {{"student.weights", c, 5}, {"student.momentum", d, 2}};
    const checkpoint_part wrong[] = {{"student.weights", c, 5}, {"student.momentum", d, 1}};
    const checkpoint_part other[] = {{"teacher.weights", c, 5}, {"student.momentum", d, 2}};
    checkpoint_state s = {123456789, 98765, {0.1 + 0.2, -1}, {"0123456789abcdef", ""}}, t;
    assert_int_equal(checkpoint_write(path_of("c"), &s, out, 2, &e), TS_OK);
    assert_int_equal(checkpoint_read(path_of("c"), &t, in, 2, &e), TS_OK);
    assert_memory_equal(&s, &t, sizeof s);
    assert_memory_equal(a, c, sizeof a);
    assert_memory_equal(b, d, sizeof b);
    assert_int_equal(checkpoint_read(path_of("c"), &t, in, 1, &e), TS_BAD_INPUT);
    assert_int_equal(checkpoint_read(path_of("c"), &t, wrong, 2, &e), TS_BAD_INPUT);
    assert_non_null(strstr(e.text, "student.momentum"));
    assert_int_equal(checkpoint_read(path_of("c"), &t, other, 2, &e), TS_BAD_INPUT);
    assert_non_null(strstr(e.text, "teacher.weights"));
    uint8_t *bytes;
    size_t count;
    assert_int_equal(file_get(path_of("c"), 1 << 20, &bytes, &count, &e), TS_OK);
    assert_int_equal(file_put(path_of("cut"), bytes, count - 4, &e), TS_OK);
    free(bytes);
    assert_int_equal(checkpoint_read(path_of("cut"), &t, in, 2, &e), TS_BAD_INPUT);
    assert_non_null(strstr(e.text, "cut short"));
}

/* ---- the run folder ----------------------------------------------------------------------- */

static const char *ids[] = {"a", "b", "c", "d"};

static run_split make_split(int fold, size_t train)
{
    return (run_split){.fold = fold,
                       .folds = 5,
                       .train = ids,
                       .train_count = train,
                       .held_out = ids + train,
                       .held_out_count = 4 - train};
}

static ts_status open_run(const plan *p, const run_split *s, bool resume, ts_error *e)
{
    run_folder f;
    bool begun;
    ts_status status = run_folder_check(path_of("run"), resume, &begun, e);
    if (status == TS_OK)
        status = run_folder_open(&f, path_of("run"), begun, p, s, e);
    if (status == TS_OK)
        run_folder_close(&f);
    return status;
}

static void test_run_folder_rules(void **state)
{
    (void)state;
    ts_error e;
    plan p, back;
    int fold, folds;
    run_split s = make_split(1, 3), other_fold = make_split(2, 3), fewer = make_split(1, 2);
    plan_defaults(&p);
    assert_int_equal(open_run(&p, &s, true, &e), TS_BAD_INPUT);
    assert_non_null(strstr(e.text, "no run to resume"));
    assert_int_equal(open_run(&p, &s, false, &e), TS_OK);
    assert_int_equal(open_run(&p, &s, false, &e), TS_BAD_INPUT);
    assert_non_null(strstr(e.text, "--resume"));
    assert_int_equal(open_run(&p, &s, true, &e), TS_OK);
    assert_int_equal(train_read_config(path_of("run"), &back, &e), TS_OK);
    text was = {0}, is = {0};
    plan_print(&p, &was);
    plan_print(&back, &is);
    assert_string_equal(was.data, is.data);
    text_free(&was);
    text_free(&is);
    assert_int_equal(train_read_fold(path_of("run"), &fold, &folds, &e), TS_OK);
    assert_int_equal(fold, 1);
    assert_int_equal(folds, 5);
    p.threads = 7;
    p.checkpoint_steps = 3;
    assert_int_equal(open_run(&p, &s, true, &e), TS_OK);
    p.learning_rate = 0.02;
    assert_int_equal(open_run(&p, &s, true, &e), TS_BAD_INPUT);
    assert_non_null(strstr(e.text, "learning_rate = 0.002 "));
    p.learning_rate = 0.002;
    assert_int_equal(open_run(&p, &other_fold, true, &e), TS_BAD_INPUT);
    assert_non_null(strstr(e.text, "--fold 1/5"));
    assert_int_equal(open_run(&p, &fewer, true, &e), TS_BAD_INPUT);
    assert_non_null(strstr(e.text, "case 'c' is no longer"));
}

static char *metrics_after(int64_t step, const char *tail, ts_error *e)
{
    run_folder f = {.path = strdup(folder)};
    uint8_t *bytes;
    size_t count;
    if (tail) {
        FILE *add = fopen(path_of("metrics.csv"), "a");
        fputs(tail, add);
        fclose(add);
    }
    assert_int_equal(run_folder_metrics(&f, true, step, e), TS_OK);
    assert_int_equal(run_folder_sync(&f, e), TS_OK);
    run_folder_close(&f);
    assert_int_equal(file_get(path_of("metrics.csv"), 1 << 20, &bytes, &count, e), TS_OK);
    return (char *)bytes;
}

static int count_lines(const char *s)
{
    int lines = 0;
    for (; *s; s++)
        lines += *s == '\n';
    return lines;
}

/* Rows behind the checkpoint go, also one that a kill cut in two and what a power cut left of the
 * file's older blocks; those before it stay as they are. */
static void test_metrics_are_cut(void **state)
{
    (void)state;
    ts_error e;
    run_folder f = {.path = strdup(folder)};
    assert_int_equal(run_folder_metrics(&f, true, 0, &e), TS_OK);
    for (int i = 1; i <= 12; i++) {
        metrics_row row = {.step = i, .loss_teacher = NAN, .dice_student = {NAN, 0.5, 1}};
        assert_int_equal(run_folder_row(&f, &row, &e), TS_OK);
    }
    run_folder_close(&f);
    char *all = metrics_after(12, NULL, &e), *ten = metrics_after(10, "13,0.01", &e);
    assert_int_equal(count_lines(all), 13);
    assert_int_equal(count_lines(ten), 11);
    assert_memory_equal(all, ten, strlen(ten));
    assert_non_null(strstr(ten, "\n10,0,0,,0,0,0,0,0.0000,0.0000,,0.5,1,0,0,0\n"));
    char *cut = metrics_after(11, "11,0.0", &e), *again = metrics_after(11, "4,1\n5,1\n", &e);
    char *none = metrics_after(0, NULL, &e);
    assert_string_equal(cut, ten);
    assert_string_equal(again, ten);
    assert_int_equal(count_lines(none), 1);
    free(all);
    free(ten);
    free(cut);
    free(again);
    free(none);
    assert_int_equal(file_put(path_of("metrics.csv"), "step\n", 5, &e), TS_OK);
    f = (run_folder){.path = strdup(folder)};
    assert_int_equal(run_folder_metrics(&f, true, 3, &e), TS_BAD_INPUT);
    run_folder_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_optimisers_are_pytorchs), cmocka_unit_test(test_threads_agree),
        cmocka_unit_test(test_schedule_and_clip),       cmocka_unit_test(test_checkpoint),
        cmocka_unit_test(test_run_folder_rules),        cmocka_unit_test(test_metrics_are_cut),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
