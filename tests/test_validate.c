/* train, the validation of a run: pseudo-Dice of known predictions, on plain patches. */
#include "labels/labels.h"
#include "train/validate.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static plan tiny_plan(void)
{
    plan p;
    plan_defaults(&p);
    p.patch[0] = p.patch[1] = p.patch[2] = 16;
    p.base = 4;
    p.stages = 3;
    p.threads = 1;
    return p;
}

enum { SIDE = 24, CASE_VOXELS = SIDE * SIDE * SIDE };

/* A case of noise with ET where x < et, else background. */
static preprocessed make_case(int64_t et)
{
    ts_error e;
    random_stream r = random_open(12, RANDOM_TEST, 0, 0);
    float *images = memory_allocate(CASE_VOXELS, MODALITIES * sizeof(float), "test", &e);
    uint8_t *labels = memory_allocate(CASE_VOXELS, 1, "test", &e);
    int32_t *list = memory_allocate(CASE_VOXELS, sizeof *list, "test", &e);
    preprocessed c = {.id = "made",
                      .present = ALL_MODALITIES,
                      .geometry.shape = {SIDE, SIDE, SIDE},
                      .images = images,
                      .labels = labels,
                      .heap = list};
    c.foreground[LABEL_ET] = list;
    for (int64_t i = 0; i < CASE_VOXELS * MODALITIES; i++)
        images[i] = (float)random_normal(&r);
    for (int32_t i = 0; i < CASE_VOXELS; i++)
        if (i % SIDE < et) {
            labels[i] = LABEL_ET;
            list[c.foreground_count[LABEL_ET]++] = i;
        }
    return c;
}

static void free_case(preprocessed *c)
{
    free((void *)(uintptr_t)c->images);
    free((void *)(uintptr_t)c->labels);
    free(c->heap);
}

/* Makes a network say one thing of every voxel. */
static void set_constant(net *n, int label)
{
    memset(net_weights(n), 0, (size_t)net_weight_count(n) * sizeof(float));
    for (size_t i = 0; i < net_parameter_count(n); i++) {
        const net_parameter *p = &net_parameters(n)[i];
        if (!strcmp(p->name, "head.0.bias"))
            net_weights(n)[p->offset + label] = 1;
    }
}

/* Of a case that is ET everywhere: what the pseudo-Dice is of predictions that are one class
 * everywhere. */
static void test_pseudo_dice(void **state)
{
    static const double expected[LABELS][3] = {{0, 0, 0}, {1, 1, 0}, {1, 0, 0}, {1, 1, 1}};
    (void)state;
    ts_error e;
    double dice[ROLES][3];
    trainer *t;
    plan p = tiny_plan();
    p.method = METHOD_STUDENT_ONLY;
    preprocessed c = make_case(SIDE);
    assert_int_equal(trainer_create(&p, &t, &e), TS_OK);
    for (int k = 0; k < LABELS; k++) {
        set_constant(trainer_net(t, STUDENT), k);
        assert_int_equal(validate(t, &p, 0, &c, 1, dice, &e), TS_OK);
        for (int r = 0; r < 3; r++) {
            assert_true(dice[STUDENT][r] == expected[k][r]);
            assert_true(isnan(dice[TEACHER][r]));
        }
    }
    trainer_destroy(t);
    free_case(&c);
}

/* The patches of a validation are not augmented. */
static void test_validation_is_plain(void **state)
{
    (void)state;
    ts_error e;
    double with[ROLES][3], without[ROLES][3];
    trainer *t;
    plan p = tiny_plan();
    assert_int_equal(trainer_create(&p, &t, &e), TS_OK);
    preprocessed c = make_case(9);
    assert_int_equal(validate(t, &p, 0, &c, 1, with, &e), TS_OK);
    p.augment = !p.augment;
    assert_int_equal(validate(t, &p, 0, &c, 1, without, &e), TS_OK);
    assert_memory_equal(with, without, sizeof with);
    assert_true(with[STUDENT][0] > 0 && with[STUDENT][0] < 1);
    trainer_destroy(t);
    free_case(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pseudo_dice),
        cmocka_unit_test(test_validation_is_plain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
