/* plan: every key round-trips through ini text; wrong values and unknown keys are named; label
 * values get their meaning. */
#include "plan/plan.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static ts_status set_entry(void *context, const char *section, const char *key, const char *value,
                           int line, ts_error *error)
{
    (void)section;
    (void)line;
    return plan_set(context, key, value, "test", error);
}

static void test_round_trip(void **state)
{
    (void)state;
    plan a, b;
    ts_error e;
    text t = {0};
    plan_defaults(&a);
    assert_int_equal(plan_preset(&a, "small", &e), TS_OK);
    assert_int_equal(plan_set(&a, "learning_rate", "0.1", "test", &e), TS_OK);
    assert_int_equal(plan_set(&a, "barlow_lambda", "0.0033333333333333335", "test", &e), TS_OK);
    assert_int_equal(plan_set(&a, "patch", "32,64,96", "test", &e), TS_OK);
    assert_int_equal(plan_set(&a, "student", "T1N,t2f", "test", &e), TS_OK);
    assert_int_equal(plan_set(&a, "loss", "ce", "test", &e), TS_OK);
    plan_print(&a, &t);
    plan_defaults(&b);
    assert_int_equal(ini_parse(t.data, t.length, "t", set_entry, &b, &e), TS_OK);
    text u = {0};
    plan_print(&b, &u);
    assert_string_equal(t.data, u.data);
    assert_memory_equal(&a.barlow_lambda, &b.barlow_lambda, sizeof a.barlow_lambda);
    assert_int_equal(b.student, 1u << T1 | 1u << FLAIR);
    assert_int_equal(b.patch[2], 96);
    text_free(&t);
    text_free(&u);
}

static void test_bad_values(void **state)
{
    (void)state;
    static const struct {
        const char *key, *value, *word;
    } bad[] = {
        {"learning_rates", "1", "'learning_rate'"},
        {"batch", "0", "from 1 to 64"},
        {"batch", "2.5", "whole number"},
        {"loss", "dice", "ce|ce+dice|regions"},
        {"augment", "yes", "on or off"},
        {"student", "flair,flair", "each once"},
        {"student", "flair,", "no modality"},
        {"student", "", "names no modality"},
        {"patch", "64,64", "d,h,w"},
        {"patch", "4", "8 to 512"},
        {"momentum", "nan", "a number"},
        {"preset", "a-name-that-is-too-long", "word"},
    };
    plan p, before;
    ts_error e;
    plan_defaults(&p);
    before = p;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(plan_set(&p, bad[i].key, bad[i].value, "here", &e), TS_BAD_INPUT);
        if (!strstr(e.text, bad[i].word))
            fail_msg("'%s' lacks %s", e.text, bad[i].word);
    }
    assert_int_equal(p.student, before.student);
    assert_int_equal(p.patch[0], before.patch[0]);
    assert_int_equal(plan_set(&p, "batch", "1", "here", &e), TS_OK); /* the ends of a range */
    assert_int_equal(plan_set(&p, "batch", "64", "here", &e), TS_OK);
    assert_int_equal(plan_set(&p, "batch", "65", "here", &e), TS_BAD_INPUT);
    assert_int_equal(plan_set(&p, "patch", "512", "here", &e), TS_OK);
}

static void test_check(void **state)
{
    (void)state;
    plan p;
    ts_error e;
    plan_defaults(&p);
    assert_int_equal(plan_check(&p, &e), TS_OK);
    p.patch[1] = 60;
    assert_int_equal(plan_check(&p, &e), TS_BAD_INPUT);
    p.patch[1] = 64;
    strcpy(p.barlow_stage, "bottleneck+decoder2+encoder0");
    assert_int_equal(plan_check(&p, &e), TS_OK);
    strcpy(p.barlow_stage, "bottleneck+decoder3");
    assert_int_equal(plan_check(&p, &e), TS_BAD_INPUT);
    assert_non_null(strstr(e.text, "'decoder3'"));
}

static void test_labels(void **state)
{
    (void)state;
    static const struct {
        label_map map;
        bool strict;
        uint8_t in[6], out[6];
        const char *word; /* of the refusal */
    } cases[] = {
        {LABELS_AUTO, true, {0, 1, 2, 4, 0, 0}, {0, 1, 2, 3, 0, 0}, NULL},
        {LABELS_AUTO, true, {0, 1, 2, 3, 0, 0}, {0, 1, 2, 3, 0, 0}, NULL},
        {LABELS_AUTO, true, {0, 1, 2, 3, 4, 0}, {0}, "brats2024 ("},
        {LABELS_AUTO, true, {0, 1, 2, 5, 0, 0}, {0}, "label 5"},
        {LABELS_AUTO, false, {0, 1, 2, 5, 7, 4}, {0, 1, 2, 0, 0, 3}, NULL},
        {LABELS_BRATS2021, true, {0, 1, 2, 3, 4, 0}, {0, 1, 2, 1, 3, 0}, NULL},
        {LABELS_BRATS2023, true, {0, 1, 2, 3, 4, 0}, {0}, "label 4"},
        {LABELS_BRATS2024, true, {0, 1, 2, 3, 4, 0}, {0, 1, 2, 3, 0, 0}, NULL},
        {LABELS_MSD, true, {0, 1, 2, 3, 0, 0}, {0, 2, 1, 3, 0, 0}, NULL},
        {LABELS_AUTO, true, {0, 1, 2, 3, 4, 0}, {0}, "brats-ped ("},
        {LABELS_PED, true, {0, 1, 2, 3, 4, 0}, {0, 3, 1, 1, 2, 0}, NULL},
        {LABELS_PED, true, {0, 1, 2, 5, 4, 0}, {0}, "label 5"},
        {LABELS_PED_AUTO, true, {0, 1, 2, 0, 4, 0}, {0, 3, 1, 0, 2, 0}, NULL},
        {LABELS_PED_AUTO, false, {0, 0, 0, 0, 0, 0}, {0, 0, 0, 0, 0, 0}, NULL},
        {LABELS_PED_AUTO, false, {0, 1, 2, 3, 0, 0}, {0}, "brats2023 ("},
        {LABELS_PED_AUTO, true, {0, 1, 0, 0, 0, 0}, {0}, "brats-ped ("},
        {LABELS_PED_AUTO, true, {0, 0, 2, 0, 0, 0}, {0}, "brats-ped ("},
        {LABELS_OWN, false, {0, 1, 2, 3, 0, 0}, {0, 1, 2, 3, 0, 0}, NULL},
        {LABELS_OWN, false, {0, 1, 2, 4, 0, 0}, {0}, "brats2021 ("},
        {LABELS_GTV, false, {0, 1, 0, 0, 0, 0}, {0}, "BraTS-MEN-RT"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        ts_error e;
        uint8_t labels[6];
        memcpy(labels, cases[i].in, sizeof labels);
        const ts_status status =
            labels_map(labels, sizeof labels, cases[i].map, cases[i].strict, "a.nii", &e);
        if (cases[i].word) {
            assert_int_equal(status, TS_BAD_INPUT);
            assert_non_null(strstr(e.text, cases[i].word));
            assert_non_null(strstr(e.text, "a.nii"));
        } else {
            assert_int_equal(status, TS_OK);
            assert_memory_equal(labels, cases[i].out, sizeof labels);
        }
    }
}

/* Every challenge has a name; what is printed is one of the six. */
static void test_label_names(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        label_map map;
    } names[] = {
        {"auto", LABELS_AUTO},
        {"brats2021", LABELS_BRATS2021},
        {"brats2023", LABELS_BRATS2023},
        {"brats-gli", LABELS_BRATS2023},
        {"brats-men", LABELS_BRATS2023},
        {"brats-ssa", LABELS_BRATS2023},
        {"brats-goat", LABELS_BRATS2023},
        {"brats-ped2023", LABELS_BRATS2023},
        {"brats2024", LABELS_BRATS2024},
        {"brats-gli-post", LABELS_BRATS2024},
        {"brats-met", LABELS_BRATS2024},
        {"msd", LABELS_MSD},
        {"brats-ped", LABELS_PED},
    };
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        plan p;
        text out = {0};
        ts_error e;
        plan_defaults(&p);
        assert_int_equal(plan_set(&p, "labels", names[i].name, "test", &e), TS_OK);
        assert_int_equal(p.labels, names[i].map);
        plan_print(&p, &out);
        static const char *const printed[] = {"auto",      "brats2021", "brats2023",
                                              "brats2024", "msd",       "brats-ped"};
        char line[64];
        snprintf(line, sizeof line, "\nlabels = %s\n", printed[names[i].map]);
        assert_non_null(strstr(out.data, line));
        text_free(&out);
        assert_int_equal(plan_set(&p, "labels", "brats-men-rt", "test", &e), TS_BAD_INPUT);
        assert_non_null(strstr(e.text, "auto|brats2021|brats2023|brats2024|msd|brats-ped"));
        assert_int_equal(plan_set(&p, "labels", "brats", "test", &e), TS_BAD_INPUT);
    }
    /* what a prediction is written as reads back */
    for (int map = LABELS_BRATS2021; map <= LABELS_PED; map++) {
        static const uint8_t classes[] = {0, 1, 2, 3, 3, 0, 2};
        uint8_t labels[sizeof classes];
        ts_error e;
        memcpy(labels, classes, sizeof labels);
        labels_unmap(labels, sizeof labels, (label_map)map);
        assert_int_equal(labels_map(labels, sizeof labels, (label_map)map, true, "a", &e), TS_OK);
        assert_memory_equal(labels, classes, sizeof labels);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),  cmocka_unit_test(test_bad_values),
        cmocka_unit_test(test_check),       cmocka_unit_test(test_labels),
        cmocka_unit_test(test_label_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
