/* Cases that lack modalities: which steps are theirs, what they train, and that the teacher rests
 * meanwhile (docs/method.md, "Cases that lack modalities"). */
#include "made_batches.h"
#include "sample/transform.h"

/* Noise of 20 x 22 x 24 voxels. */
static void make_case(preprocessed *c, modality_set present)
{
    enum { COUNT = 20 * 22 * 24 };
    ts_error e;
    float *images = memory_allocate(COUNT * MODALITIES, sizeof *images, "test", &e);
    *c = (preprocessed){.present = present, .images = images};
    c->labels = memory_allocate(COUNT, 1, "test", &e);
    c->geometry.shape[0] = 20;
    c->geometry.shape[1] = 22;
    c->geometry.shape[2] = 24;
    for (int64_t i = 0; i < COUNT * MODALITIES; i++)
        images[i] = present >> i / COUNT & 1 ? (float)(i % 7) - 3 : 0;
}

static void free_case(preprocessed *c)
{
    free((void *)(uintptr_t)c->images);
    free((void *)(uintptr_t)c->labels);
}

/* Every batch is of one kind, told by its `present`; cases that lack modalities get partial_share of
 * the steps, but no more than their share of the cases, and within a kind every case is equally
 * likely. */
static void test_kinds(void **state)
{
    (void)state;
    enum { CASES = 5, STEPS = 600 };
    preprocessed cases[CASES];
    ts_error e;
    plan p = tiny_plan();
    p.augment = false;
    batch b = make_batch(0);
    for (uint32_t i = 0; i < CASES; i++) /* two with all four, three without */
        make_case(&cases[i], i % 2 ? ALL_MODALITIES : 1u << FLAIR);
    cases[4].present = 1u << FLAIR | 1u << T1;
    static const struct {
        double set, effective;
    } shares[] = {{0.25, 0.25}, {0.5, 0.5}, {0.9, 0.6}, {0, 0}};
    for (size_t k = 0; k < COUNT_OF(shares); k++) {
        int steps = 0, drawn[CASES] = {0};
        p.partial_share = shares[k].set;
        for (int64_t step = 0; step < STEPS; step++) {
            bool partial = false;
            for (int64_t n = 0; n < p.batch; n++) {
                patch_draw d;
                draw_patch(&p, cases, CASES, step, n, &d);
                const bool lacks = cases[d.source].present != ALL_MODALITIES;
                assert_true(n == 0 || lacks == partial);
                partial = lacks;
                drawn[d.source]++;
            }
            steps += partial;
        }
        /* five deviations of the binomial */
        assert_true(fabs(steps - STEPS * shares[k].effective) <=
                    5 * sqrt(STEPS * shares[k].effective * (1 - shares[k].effective)));
        if (shares[k].effective > 0)
            for (int i = 0; i < CASES; i += 2) /* of 450 or more patches a third each */
                assert_true(fabs(drawn[i] - (double)steps * p.batch / 3) < 5 * sqrt(450));
    }
    p.partial_share = 0.5;
    bool both[2] = {false};
    for (int64_t step = 0; step < 10; step++) {
        assert_int_equal(sample_batch(&p, cases, CASES, step, &b, &e), TS_OK);
        for (int64_t n = 0; n < p.batch; n++) {
            patch_draw d;
            draw_patch(&p, cases, CASES, step, n, &d);
            assert_int_equal(batch_present(&b, n), cases[d.source].present);
            both[batch_present(&b, n) == ALL_MODALITIES] = true;
        }
    }
    assert_true(both[0] && both[1]);
    for (int i = 0; i < CASES; i++)
        free_case(&cases[i]);
    batch_free(&b);
}

/* Of one kind alone the draws do not depend on the setting; and the cases with all four are drawn in
 * the same way whether the others are left out by partial_share=0 or not there. */
static void test_one_kind(void **state)
{
    (void)state;
    preprocessed mixed[4], whole[2];
    plan p = tiny_plan(), q = tiny_plan();
    for (uint32_t i = 0; i < 4; i++)
        make_case(&mixed[i], i % 2 ? ALL_MODALITIES : 1u << T2);
    whole[0] = mixed[1];
    whole[1] = mixed[3];
    p.partial_share = 0;
    q.partial_share = 1;
    for (int64_t step = 0; step < 50; step++) {
        patch_draw a, b;
        draw_patch(&p, mixed, 4, step, 1, &a);
        draw_patch(&q, whole, 2, step, 1, &b);
        assert_int_equal(a.source, 2 * b.source + 1);
        assert_memory_equal(a.begin, b.begin, sizeof a.begin);
        draw_patch(&p, whole, 2, step, 1, &a);
        assert_int_equal(a.source, b.source);
    }
    for (int i = 0; i < 4; i++)
        free_case(&mixed[i]);
}

/* Of a case that lacks modalities one of the subsets of what it has, all of them equally likely. */
static void test_subsets_of_what_is_there(void **state)
{
    (void)state;
    int counts[16] = {0};
    plan p = tiny_plan();
    p.method = METHOD_ANY_SUBSET;
    const modality_set present = 1u << T1CE | 1u << FLAIR;
    for (int64_t step = 0; step < 900; step++) {
        counts[method_subset(&p, step, 0, present)]++;
        assert_int_equal(method_subset(&p, step, 0, 1u << T2), 1u << T2);
    }
    const int of[] = {counts[1u << T1CE], counts[1u << FLAIR], counts[present]};
    assert_int_equal(of[0] + of[1] + of[2], 900);
    for (int i = 0; i < 3; i++) /* 300 each; five deviations are 71 */
        assert_true(abs(of[i] - 300) < 71);
}

/* A step whose patches lack modalities trains the student and leaves the teacher as it is. */
static void test_teacher_rests(void **state)
{
    (void)state;
    ts_error e;
    step_result r;
    trainer *t;
    plan p = tiny_plan();
    p.method = METHOD_ANY_SUBSET;
    p.soft_weight = 1;
    assert_int_equal(trainer_create(&p, &t, &e), TS_OK);
    batch b = make_batch(0);
    take_away(&b);
    const size_t count = (size_t)net_weight_count(trainer_net(t, TEACHER));
    float *before[ROLES];
    for (int role = 0; role < ROLES; role++) {
        before[role] = memory_allocate(count, sizeof(float), "test", &e);
        memcpy(before[role], net_weights(trainer_net(t, role)), count * sizeof(float));
    }
    assert_int_equal(trainer_step(t, &b, 0, &r, &e), TS_OK);
    assert_true(r.loss[STUDENT] > 0 && isnan(r.loss[TEACHER]) && isnan(r.norm[TEACHER]));
    assert_true(isnan(r.barlow) && isnan(r.soft));
    const float *teacher = net_weights(trainer_net(t, TEACHER));
    assert_memory_equal(before[TEACHER], teacher, count * sizeof(float));
    assert_memory_not_equal(before[STUDENT], net_weights(trainer_net(t, STUDENT)),
                            count * sizeof(float));
    assert_int_equal(trainer_complete_steps(t), 0);
    batch_free(&b);
    /* its first update is AdamW's first: by the learning rate of that step, whatever the gradient */
    b = make_batch(1);
    assert_int_equal(trainer_step(t, &b, 1, &r, &e), TS_OK);
    double most = 0;
    for (size_t i = 0; i < count; i++)
        most = fmax(most, fabs((double)teacher[i] - (double)before[TEACHER][i]));
    assert_true(fabs(most / r.learning_rate - 1) < 0.01);
    assert_true(r.barlow > 0 && r.soft > 0);
    assert_int_equal(trainer_complete_steps(t), 1);
    batch_free(&b);
    for (int role = 0; role < ROLES; role++)
        free(before[role]);
    trainer_destroy(t);
}

/* Steps that lack modalities are the control's too: without distillation single-stage is
 * student-only on the same patches, and any-subset channel-dropout. With partial_teacher the teacher
 * learns at every step. */
static void test_lacking_steps(void **state)
{
    (void)state;
    step_result r;
    plan p = tiny_plan();
    every_other_lacks = true;
    p.student = 1u << FLAIR;
    trainer *twins = trained(&p, 5, &r);
    p.barlow_weight = 0;
    trainer *unweighted = trained(&p, 5, &r);
    p.method = METHOD_STUDENT_ONLY;
    trainer *alone = trained(&p, 5, &r);
    assert_true(same_weights(unweighted, alone, STUDENT));
    assert_true(same_weights(unweighted, twins, TEACHER));
    assert_false(same_weights(twins, alone, STUDENT));
    assert_int_equal(trainer_complete_steps(unweighted), 2);
    trainer_destroy(twins);
    trainer_destroy(unweighted);
    trainer_destroy(alone);

    p.method = METHOD_ANY_SUBSET;
    unweighted = trained(&p, 5, &r);
    p.method = METHOD_CHANNEL_DROPOUT;
    trainer *dropout = trained(&p, 5, &r);
    assert_true(same_weights(unweighted, dropout, STUDENT));
    p.method = METHOD_ANY_SUBSET;
    p.partial_teacher = true;
    trainer *taught = trained(&p, 5, &r);
    assert_true(r.loss[TEACHER] > 0);
    assert_int_equal(trainer_complete_steps(taught), 5);
    assert_false(same_weights(taught, unweighted, TEACHER));
    assert_true(same_weights(taught, unweighted, STUDENT));
    trainer_destroy(unweighted);
    trainer_destroy(dropout);
    trainer_destroy(taught);
    every_other_lacks = false;
}

static void test_state_is_complete(void **state)
{
    (void)state;
    plan p = tiny_plan();
    every_other_lacks = true;
    p.student = 1u << FLAIR;
    p.barlow_projector = 8;
    check_restored(&p);
    every_other_lacks = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_one_kind),
        cmocka_unit_test(test_subsets_of_what_is_there),
        cmocka_unit_test(test_teacher_rests),
        cmocka_unit_test(test_lacking_steps),
        cmocka_unit_test(test_state_is_complete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
