/* train, one iteration: what docs/method.md, "One iteration", says of it, on tiny networks (base 4,
 * patch 16) and synthetic patches. The bits of weights are compared, not their closeness. */
#include "made_batches.h"
#include "train/barlow.h"
#include "train/train.h"

#include <malloc.h>
#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Both schedules; make_batch knows the run's step alone, and the second draws as the first. */
static trainer *two_stage(const plan *p, step_result *last)
{
    ts_error e;
    trainer *t;
    assert_int_equal(trainer_create(p, &t, &e), TS_OK);
    for (int64_t s = 0; s < train_steps(p); s++) {
        batch b = make_batch(method_schedule_step(p, s));
        if (trainer_step(t, &b, s, last, &e) != TS_OK)
            fail_msg("step %d: %s", (int)s, e.text);
        batch_free(&b);
    }
    return t;
}

static void test_weight_0_is_student_only(void **state)
{
    (void)state;
    step_result a, b, c;
    plan p = tiny_plan();
    trainer *twins = trained(&p, 4, &c);
    p.barlow_weight = 0;
    trainer *unweighted = trained(&p, 4, &a);
    p.method = METHOD_STUDENT_ONLY;
    trainer *alone = trained(&p, 4, &b);
    assert_true(same_weights(unweighted, alone, STUDENT));
    assert_memory_equal(&a.loss[STUDENT], &b.loss[STUDENT], sizeof(double));
    assert_false(same_weights(twins, alone, STUDENT));
    assert_true(isnan(a.barlow) && isnan(b.loss[TEACHER]) && c.barlow > 0);
    trainer_destroy(twins);
    trainer_destroy(unweighted);
    trainer_destroy(alone);
}

/* Without distillation the methods are their controls: any-subset is channel-dropout, and
 * two-stage's student, after its teacher's schedule, student-only's. */
static void test_unweighted_methods_are_their_controls(void **state)
{
    (void)state;
    step_result r;
    plan p = tiny_plan();
    p.method = METHOD_ANY_SUBSET;
    trainer *taught = trained(&p, 4, &r);
    p.barlow_weight = 0;
    trainer *unweighted = trained(&p, 4, &r);
    p.method = METHOD_CHANNEL_DROPOUT;
    trainer *dropout = trained(&p, 4, &r);
    assert_true(isnan(r.loss[TEACHER]) && isnan(r.norm[TEACHER]) && r.loss[STUDENT] > 0);
    assert_true(same_weights(unweighted, dropout, STUDENT));
    assert_false(same_weights(taught, dropout, STUDENT));
    trainer_destroy(taught);
    trainer_destroy(unweighted);
    trainer_destroy(dropout);

    p = tiny_plan();
    p.steps = 4;
    p.barlow_weight = p.two_stage_soft_weight = 0;
    p.method = METHOD_TEACHER;
    trainer *teacher = trained(&p, 4, &r);
    p.method = METHOD_STUDENT_ONLY;
    trainer *alone = trained(&p, 4, &r);
    p.method = METHOD_TWO_STAGE;
    assert_int_equal(train_steps(&p), 8);
    trainer *two = two_stage(&p, &r);
    assert_true(same_weights(two, teacher, TEACHER));
    assert_true(same_weights(two, alone, STUDENT));
    assert_true(isnan(r.loss[TEACHER]) && isnan(r.barlow) && isnan(r.soft));
    trainer_destroy(teacher);
    trainer_destroy(alone);
    trainer_destroy(two);
}

/* Each distillation loss changes the student, none the teacher, which two-stage has frozen. */
static void test_distillation_losses(void **state)
{
    (void)state;
    step_result r;
    plan p = tiny_plan();
    trainer *plain = trained(&p, 4, &r);
    assert_true(isnan(r.soft));
    p.soft_weight = 1;
    trainer *soft = trained(&p, 4, &r);
    assert_true(r.soft > 0 && r.barlow > 0);
    p.soft_weight = 0;
    p.ema_decay = 0.5;
    trainer *averaged = trained(&p, 4, &r);
    assert_false(same_weights(soft, plain, STUDENT));
    assert_false(same_weights(averaged, plain, STUDENT));
    assert_true(same_weights(soft, plain, TEACHER));
    assert_true(same_weights(averaged, plain, TEACHER));

    p = tiny_plan();
    p.method = METHOD_TWO_STAGE;
    p.steps = 4;
    trainer *two = two_stage(&p, &r);
    assert_true(r.soft > 0 && r.barlow > 0);
    p.barlow_weight = 0;
    trainer *softly = two_stage(&p, &r);
    assert_false(same_weights(two, softly, STUDENT));
    assert_true(same_weights(two, softly, TEACHER));
    trainer_destroy(plain);
    trainer_destroy(soft);
    trainer_destroy(averaged);
    trainer_destroy(two);
    trainer_destroy(softly);
}

/* ema_decay = 0 would be the teacher of the same step; the average of constant weights is itself,
 * and of a moving teacher the sum that its definition says. */
static void test_moving_average(void **state)
{
    (void)state;
    ts_error e;
    step_result r;
    checkpoint_part parts[TRAINER_PARTS];
    plan p = tiny_plan();
    p.ema_decay = 0.75;
    trainer *t;
    assert_int_equal(trainer_create(&p, &t, &e), TS_OK);
    const size_t count = trainer_state(t, parts);
    const float *average = NULL;
    for (size_t i = 0; i < count; i++)
        if (!strcmp(parts[i].name, "average.weights"))
            average = parts[i].values;
    assert_non_null(average);
    const float *weights = net_weights(trainer_net(t, TEACHER));
    enum { WATCHED = 200 };
    double expected[WATCHED];
    for (int i = 0; i < WATCHED; i++)
        expected[i] = weights[i];
    for (int s = 0; s < 3; s++) {
        run_steps(t, s, 1, &r);
        for (int i = 0; i < WATCHED; i++)
            expected[i] = 0.75 * expected[i] + 0.25 * weights[i];
    }
    for (int i = 0; i < WATCHED; i++)
        assert_true(fabs(average[i] - expected[i]) < 1e-6);
    assert_true(memcmp(average, weights, WATCHED * sizeof(float)));
    trainer_destroy(t);
}

/* Every one of the 15 subsets is drawn, none is empty, about as often as another; a draw depends on
 * seed, step and place alone. */
static void test_subsets(void **state)
{
    (void)state;
    int counts[16] = {0};
    plan p = tiny_plan();
    assert_int_equal(method_subset(&p, 3, 1, ALL_MODALITIES), p.student);
    p.method = METHOD_ANY_SUBSET;
    for (int64_t step = 0; step < 3000; step++)
        for (int64_t patch = 0; patch < 2; patch++)
            counts[method_subset(&p, step, patch, ALL_MODALITIES)]++;
    assert_int_equal(counts[0], 0);
    for (int i = 1; i < 16; i++) /* 400 each; five deviations of the binomial are 97 */
        assert_true(abs(counts[i] - 400) < 97);
    const modality_set once = method_subset(&p, 17, 1, ALL_MODALITIES);
    p.method = METHOD_CHANNEL_DROPOUT;
    assert_int_equal(method_subset(&p, 17, 1, ALL_MODALITIES), once);
    int differ = 0;
    p.seed = 2;
    for (int64_t step = 0; step < 20; step++) {
        const modality_set other = method_subset(&p, step, 0, ALL_MODALITIES);
        p.seed = 1;
        differ += method_subset(&p, step, 0, ALL_MODALITIES) != other;
        p.seed = 2;
    }
    assert_true(differ > 10);
}

static void paint(const batch *b, int64_t n, int m)
{
    for (int64_t v = 0; v < VOXELS; v++)
        b->images[(n * MODALITIES + m) * VOXELS + v] = 7;
}

/* The student sees the modalities of the subset and no others. */
static void test_lacking_modalities_are_unseen(void **state)
{
    (void)state;
    enum { COUNT = BATCH * 4 * VOXELS };
    plan p = tiny_plan();
    p.method = METHOD_ANY_SUBSET;
    trainer *t;
    ts_error e;
    float *before = memory_allocate(COUNT, sizeof(float), "test", &e);
    const float *logits;
    assert_int_equal(trainer_create(&p, &t, &e), TS_OK);
    for (int64_t step = 0; step < 12; step++) {
        batch b = make_batch(step);
        assert_int_equal(trainer_forward(t, STUDENT, &b, &logits, &e), TS_OK);
        memcpy(before, logits, COUNT * sizeof(float));
        for (int64_t n = 0; n < BATCH; n++)
            for (int m = 0; m < MODALITIES; m++)
                if (!(method_subset(&p, step, n, ALL_MODALITIES) >> m & 1))
                    paint(&b, n, m);
        assert_int_equal(trainer_forward(t, STUDENT, &b, &logits, &e), TS_OK);
        assert_memory_equal(before, logits, COUNT * sizeof(float));
        const modality_set seen = method_subset(&p, step, 1, ALL_MODALITIES);
        for (int m = 0; m < MODALITIES; m++) {
            if (!(seen >> m & 1))
                continue;
            paint(&b, 1, m);
            assert_int_equal(trainer_forward(t, STUDENT, &b, &logits, &e), TS_OK);
            assert_memory_equal(before, logits, COUNT / 2 * sizeof(float));
            assert_memory_not_equal(before + COUNT / 2, logits + COUNT / 2,
                                    COUNT / 2 * sizeof(float));
            memcpy(before, logits, COUNT * sizeof(float));
        }
        batch_free(&b);
    }
    free(before);
    trainer_destroy(t);
}

/* By default the student sends nothing back into the teacher; with teacher_gradient it does. */
static void test_teacher_gradient(void **state)
{
    (void)state;
    step_result r;
    plan p = tiny_plan();
    trainer *twins = trained(&p, 3, &r);
    p.teacher_gradient = true;
    trainer *taught = trained(&p, 3, &r);
    p.method = METHOD_TEACHER;
    trainer *alone = trained(&p, 3, &r);
    assert_true(same_weights(twins, alone, TEACHER));
    assert_false(same_weights(taught, alone, TEACHER));
    trainer_destroy(twins);
    trainer_destroy(taught);
    trainer_destroy(alone);
}

static void test_threads_agree(void **state)
{
    (void)state;
    step_result a, b;
    plan p = tiny_plan();
    strcpy(p.barlow_stage, "bottleneck+encoder1+decoder0");
    trainer *one = trained(&p, 3, &a);
    p.threads = 3;
    trainer *three = trained(&p, 3, &b);
    assert_true(same_weights(one, three, STUDENT));
    assert_true(same_weights(one, three, TEACHER));
    assert_memory_equal(&a.barlow, &b.barlow, sizeof a.barlow);
    trainer_destroy(one);
    trainer_destroy(three);
    p.method = METHOD_ANY_SUBSET;
    p.soft_weight = 1;
    p.ema_decay = 0.9;
    three = trained(&p, 3, &b);
    p.threads = 1;
    one = trained(&p, 3, &a);
    assert_true(same_weights(one, three, STUDENT));
    assert_memory_equal(&a.soft, &b.soft, sizeof a.soft);
    trainer_destroy(one);
    trainer_destroy(three);
}

static void test_state_is_complete(void **state)
{
    (void)state;
    plan p = tiny_plan();
    check_restored(&p);
    p.barlow_projector = 6;
    check_restored(&p);
    p.teacher_gradient = true;
    check_restored(&p);
    p = tiny_plan();
    p.method = METHOD_ANY_SUBSET;
    p.soft_weight = 1;
    p.ema_decay = 0.9;
    check_restored(&p);
    p = tiny_plan();
    p.method = METHOD_TWO_STAGE;
    p.steps = 4; /* stopped before its last step of the first stage; goes on into the second */
    check_restored(&p);
    p.steps = 2; /* stopped within the second */
    check_restored(&p);
}

static void test_warmup(void **state)
{
    (void)state;
    plan p = tiny_plan();
    p.barlow_weight = 2;
    assert_true(barlow_weight_at(&p, 0) == 2);
    p.barlow_warmup = 10;
    assert_true(barlow_weight_at(&p, 0) == 0);
    assert_true(barlow_weight_at(&p, 5) == 1);
    assert_true(barlow_weight_at(&p, 10) == 2);
    assert_true(barlow_weight_at(&p, 1000) == 2);
}

/* A loss that is not a number changes nothing: the error leaves the weights of the step before. */
/* Weights that are not numbers, in either network, stop the run whatever the loss: neither an
 * activation nor a softmax takes a NaN for a number. */
static void test_nan_weights_stop(void **state)
{
    (void)state;
    for (int loss = LOSS_CE; loss <= LOSS_REGIONS; loss++)
        for (int role = 0; role < ROLES; role++)
            for (int dtype = DTYPE_FP32; dtype <= DTYPE_BF16; dtype++) {
                ts_error e = {0};
                trainer *t;
                step_result r;
                plan p = tiny_plan();
                p.loss = loss;
                p.dtype = dtype;
                assert_int_equal(trainer_create(&p, &t, &e), TS_OK);
                net *n = trainer_net(t, role);
                net_weights(n)[net_weight_count(n) / 2] = NAN;
                net_weights_changed(n);
                batch b = make_batch(0);
                const ts_status status = trainer_step(t, &b, 0, &r, &e);
                if (status != TS_BAD_INPUT)
                    fail_msg("loss %d, role %d, dtype %d: status %d", loss, role, dtype, status);
                assert_non_null(strstr(e.text, "no longer a finite number"));
                batch_free(&b);
                trainer_destroy(t);
            }
}

static void test_nan_changes_nothing(void **state)
{
    (void)state;
    ts_error e;
    step_result r;
    plan p = tiny_plan();
    trainer *t = trained(&p, 1, &r), *same = trained(&p, 1, &r);
    batch b = make_batch(1);
    b.images[MODALITIES * VOXELS - 1] = NAN; /* FLAIR: both networks see it */
    assert_int_equal(trainer_step(t, &b, 1, &r, &e), TS_BAD_INPUT);
    assert_non_null(strstr(e.text, "step 2"));
    assert_true(same_weights(t, same, STUDENT) && same_weights(t, same, TEACHER));
    batch_free(&b);
    trainer_destroy(t);
    trainer_destroy(same);
}

/* AdamW's first step moves every weight by the rate, whatever its gradient's size, for each has
 * moments of its own (biases before a norm have no gradient but noise). */
static void test_first_step_of_adamw(void **state)
{
    (void)state;
    step_result r;
    plan p = tiny_plan();
    p.optimiser = OPTIMISER_ADAMW;
    p.weight_decay = 0;
    trainer *before = trained(&p, 0, &r), *after = trained(&p, 1, &r);
    for (int role = 0; role < ROLES; role++) {
        const int64_t count = net_weight_count(trainer_net(before, role));
        const float *from = net_weights(trainer_net(before, role));
        const float *to = net_weights(trainer_net(after, role));
        int64_t moved = 0;
        for (int64_t i = 0; i < count; i++)
            moved += fabs(fabsf(to[i] - from[i]) / p.learning_rate - 1) < 0.01;
        if (moved < count * 9 / 10)
            fail_msg("%lld of %lld weights of the %s", (long long)moved, (long long)count,
                     role_names[role]);
    }
    trainer_destroy(before);
    trainer_destroy(after);
}

/* Every loss, in either storage and by either optimiser, and both roles learn the synthetic
 * blobs. */
static void test_learns(void **state)
{
    (void)state;
    static const loss_kind kinds[] = {LOSS_CE, LOSS_CE_DICE, LOSS_REGIONS};
    for (size_t i = 0; i < 4 * COUNT_OF(kinds); i++) {
        step_result first, last;
        plan p = tiny_plan();
        p.loss = (int)kinds[i / 4];
        p.dtype = i % 2 ? DTYPE_BF16 : DTYPE_FP32;
        p.optimiser = i % 4 < 2 ? OPTIMISER_SGD : OPTIMISER_ADAMW;
        p.learning_rate = 0.01;
        trainer *t = trained(&p, 1, &first);
        run_steps(t, 1, 59, &last);
        for (int role = 0; role < ROLES; role++)
            if (!(last.loss[role] < 0.7 * first.loss[role]))
                fail_msg("loss %d of the %s went from %g to %g", (int)kinds[i / 4],
                         role_names[role], first.loss[role], last.loss[role]);
        assert_true(last.barlow < first.barlow);
        trainer_destroy(t);
    }
}

/* `plan` says what a trainer takes: all of malloc's, but for the batches, which the loader
 * holds. */
static void check_memory(const plan *p)
{
    ts_error e;
    trainer *t;
    train_memory m;
    assert_int_equal(train_plan_memory(p, &m, &e), TS_OK);
    const struct mallinfo2 before = mallinfo2();
    assert_int_equal(trainer_create(p, &t, &e), TS_OK);
    const struct mallinfo2 after = mallinfo2();
    const double taken =
        (double)(after.uordblks + after.hblkhd) - (double)(before.uordblks + before.hblkhd);
    const double said = (double)(train_memory_total(&m) - m.batches - m.loss);
    if (fabs(taken - said) > 0.02 * said)
        fail_msg("%.0f bytes taken, %.0f said", taken, said);
    trainer_destroy(t);
}

static void test_memory_is_as_planned(void **state)
{
    (void)state;
#ifdef __SANITIZE_ADDRESS__
    printf("skip: the sanitizer's malloc does not count\n");
    skip();
#endif
    plan p = tiny_plan();
    p.base = 8;
    p.batch = 1; /* no array is so large that it is laid on huge pages, which malloc counts whole */
    check_memory(&p);
    p.teacher_gradient = true;
    p.barlow_projector = 64;
    check_memory(&p);
    p.method = METHOD_STUDENT_ONLY;
    check_memory(&p);
    p.method = METHOD_TWO_STAGE;
    p.teacher_gradient = false;
    check_memory(&p);
    p.method = METHOD_ANY_SUBSET;
    p.soft_weight = 1;
    p.ema_decay = 0.9;
    check_memory(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weight_0_is_student_only),
        cmocka_unit_test(test_unweighted_methods_are_their_controls),
        cmocka_unit_test(test_distillation_losses),
        cmocka_unit_test(test_moving_average),
        cmocka_unit_test(test_subsets),
        cmocka_unit_test(test_lacking_modalities_are_unseen),
        cmocka_unit_test(test_teacher_gradient),
        cmocka_unit_test(test_threads_agree),
        cmocka_unit_test(test_state_is_complete),
        cmocka_unit_test(test_warmup),
        cmocka_unit_test(test_nan_changes_nothing),
        cmocka_unit_test(test_nan_weights_stop),
        cmocka_unit_test(test_first_step_of_adamw),
        cmocka_unit_test(test_learns),
        cmocka_unit_test(test_memory_is_as_planned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
