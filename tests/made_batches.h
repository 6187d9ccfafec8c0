/* Tiny plans and synthetic patches for tests of the iteration: a blob of each class, and images that
 * show it. The weights' bits are compared, not their closeness. */
#ifndef TWINSEG_TESTS_MADE_BATCHES_H
#define TWINSEG_TESTS_MADE_BATCHES_H

#include "train/iteration.h"
#include "train/train.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PATCH = 16, BATCH = 2, VOXELS = PATCH * PATCH * PATCH };

static inline plan tiny_plan(void)
{
    plan p;
    plan_defaults(&p);
    p.patch[0] = p.patch[1] = p.patch[2] = PATCH;
    p.base = 4;
    p.stages = 3;
    p.batch = BATCH;
    p.steps = 80;
    p.threads = 1;
    return p;
}

/* A blob of each class, and images that show it; different in every step. */
static inline batch make_batch(int64_t step)
{
    ts_error e;
    batch b = {.step = step,
               .images = memory_allocate(BATCH * MODALITIES * VOXELS, sizeof(float), "test", &e),
               .labels = memory_allocate(BATCH * VOXELS, 1, "test", &e)};
    random_stream r = random_open(11, RANDOM_TEST, (uint32_t)step, 0);
    for (int64_t n = 0; n < BATCH; n++) {
        const int64_t cx = 5 + random_below(&r, 6), cy = 5 + random_below(&r, 6);
        for (int64_t v = 0; v < VOXELS; v++) {
            const int64_t x = v % PATCH - cx, y = v / PATCH % PATCH - cy, z = v / PATCH / PATCH - 8;
            const int64_t distance = x * x + y * y + z * z;
            const int label = distance < 5 ? 1 : distance < 12 ? 3 : distance < 30 ? 2 : 0;
            b.labels[n * VOXELS + v] = (uint8_t)label;
            for (int m = 0; m < MODALITIES; m++)
                b.images[(n * MODALITIES + m) * VOXELS + v] =
                    (float)(label == (m + 1) % 4) + (float)random_uniform(&r, -0.3, 0.3);
        }
    }
    return b;
}

static inline void batch_free(batch *b)
{
    free(b->images);
    free(b->labels);
}

/* FLAIR alone, as a case that lacks the rest has it. */
static inline void take_away(batch *b)
{
    for (int64_t n = 0; n < BATCH; n++) {
        b->present[n] = 1u << FLAIR;
        for (int m = 0; m < FLAIR; m++)
            memset(b->images + (n * MODALITIES + m) * VOXELS, 0, VOXELS * sizeof(float));
    }
}

static bool every_other_lacks; /* every second step's patches lack all but FLAIR, from step 0 on */

static inline void run_steps(trainer *t, int64_t first, int64_t count, step_result *last)
{
    ts_error e;
    for (int64_t s = first; s < first + count; s++) {
        batch b = make_batch(s);
        if (every_other_lacks && s % 2 == 0)
            take_away(&b);
        if (trainer_step(t, &b, s, last, &e) != TS_OK)
            fail_msg("step %d: %s", (int)s, e.text);
        batch_free(&b);
    }
}

static inline trainer *trained(const plan *p, int64_t steps, step_result *last)
{
    ts_error e;
    trainer *t;
    if (trainer_create(p, &t, &e) != TS_OK)
        fail_msg("%s", e.text);
    run_steps(t, 0, steps, last);
    return t;
}

static inline bool same_weights(const trainer *a, const trainer *b, int role)
{
    net *x = trainer_net(a, role), *y = trainer_net(b, role);
    assert_int_equal(net_weight_count(x), net_weight_count(y));
    return !memcmp(net_weights(x), net_weights(y), (size_t)net_weight_count(x) * sizeof(float));
}

/* The state of a checkpoint is all there is: a new trainer with it goes on to the same bits. */
static inline void check_restored(const plan *p)
{
    ts_error e;
    step_result a, b;
    checkpoint_part from[TRAINER_PARTS], to[TRAINER_PARTS];
    trainer *straight = trained(p, 3, &a), *resumed;
    assert_int_equal(trainer_create(p, &resumed, &e), TS_OK);
    const size_t count = trainer_state(straight, from);
    assert_int_equal(trainer_state(resumed, to), count);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(from[i].name, to[i].name);
        memcpy(to[i].values, from[i].values, (size_t)from[i].count * sizeof(float));
    }
    trainer_restored(resumed, trainer_complete_steps(straight));
    const int64_t more = train_steps(p) < 5 ? train_steps(p) - 3 : 2;
    run_steps(straight, 3, more, &a);
    run_steps(resumed, 3, more, &b);
    assert_memory_equal(&a.norm[STUDENT], &b.norm[STUDENT], sizeof(double));
    for (size_t i = 0; i < count; i++)
        assert_memory_equal(from[i].values, to[i].values, (size_t)from[i].count * sizeof(float));
    trainer_destroy(straight);
    trainer_destroy(resumed);
}

#endif
