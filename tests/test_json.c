/* What the program prints as JSON. info: every file of ../shared/odd-nifti is what an independent
 * reader sees (expected.json beside them; its README says what the fields mean). evaluate: the keys
 * that docs/usage.md promises, never null, and golden scores. */
#include "shared.h"
#include "test_folder.h"
#include "volume/volume.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

enum { SAID = 1 << 16 };

/* Runs `twinseg ARGUMENTS`: the exit status, what it said, and that as JSON (NULL where it is
 * none). */
static int run_program(const char *arguments, char said[SAID], json_t **printed)
{
    const char *build = getenv("BUILD");
    char command[8500];
    snprintf(command, sizeof command, "'%s/twinseg' %s", build ? build : "build", arguments);
    FILE *stream = popen(command, "r");
    assert_non_null(stream);
    said[fread(said, 1, SAID - 1, stream)] = '\0';
    *printed = json_loads(said, 0, NULL);
    const int status = pclose(stream);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool agree(const json_t *a, const json_t *b, double relative, double absolute)
{
    if (json_is_array(a)) {
        bool same = json_array_size(a) == json_array_size(b);
        for (size_t i = 0; same && i < json_array_size(a); i++)
            same = agree(json_array_get(a, i), json_array_get(b, i), relative, absolute);
        return same;
    }
    if (!json_is_number(a) || !json_is_number(b))
        return json_equal(a, b);
    const double x = json_number_value(a), y = json_number_value(b);
    return fabs(x - y) <= absolute + relative * fabs(y);
}

/* How far a field may lie from the other reader's figure, and (of the largest voxel) beside it:
 * a mean of large values that cancel is not known to 1e-5 of itself. */
static const struct {
    const char *key;
    double relative, absolute, of_largest;
} fields[] = {
    {"format", 0, 0, 0},     {"endian", 0, 0, 0},       {"shape", 0, 0, 0},     {"dtype", 0, 0, 0},
    {"zooms", 1e-6, 0, 0},   {"affine", 1e-5, 1e-5, 0}, {"min", 1e-5, 0, 0},    {"max", 1e-5, 0, 0},
    {"mean", 1e-5, 0, 1e-6}, {"sum", 1e-5, 0, 1e-5},    {"nonfinite", 0, 0, 0},
};

static void check_read(const char *file, const json_t *expected, const json_t *printed)
{
    const double largest = fmax(fabs(json_number_value(json_object_get(printed, "min"))),
                                fabs(json_number_value(json_object_get(printed, "max"))));
    assert_int_equal(json_object_size(printed), COUNT_OF(fields) + 2); /* and "file", "warnings" */
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        const json_t *want = json_object_get(expected, fields[i].key);
        const json_t *got = json_object_get(printed, fields[i].key);
        if (!got)
            fail_msg("%s: there is no '%s'", file, fields[i].key);
        if (!agree(got, want, fields[i].relative,
                   fields[i].absolute + fields[i].of_largest * largest))
            fail_msg("%s: %s is %s instead of %s", file, fields[i].key,
                     json_dumps(got, JSON_ENCODE_ANY), json_dumps(want, JSON_ENCODE_ANY));
    }
}

static void check_file(const char *file, const char *path, const json_t *expected)
{
    static char said[SAID], arguments[4500];
    json_t *printed;
    snprintf(arguments, sizeof arguments, "info --json '%s' 2>&1", path);
    const int status = run_program(arguments, said, &printed);
    const bool may_refuse = json_object_get(expected, "optional") != NULL;
    if (json_object_get(expected, "error") || (status != 0 && may_refuse)) {
        const char *newline = strchr(said, '\n');
        if (status != 1 || printed)
            fail_msg("%s was read (status %d): %s", file, status, said);
        if (strncmp(said, "twinseg: ", 9) || !newline || newline[1] || !strstr(said, file))
            fail_msg("%s: not one sentence that names the file: '%s'", file, said);
    } else if (status != 0 || !printed)
        fail_msg("%s (status %d): %s", file, status, said);
    else if (json_object_get(expected, "shape")) /* else the other reader made nothing of it */
        check_read(file, expected, printed);
    json_decref(printed);
}

static void test_odd_files(void **state)
{
    (void)state;
    char root[4096], path[4400];
    const char *list = shared_path("odd-nifti/expected.json"), *name;
    if (!list)
        skip();
    snprintf(root, sizeof root, "%.*s", (int)(strlen(list) - strlen("expected.json")), list);
    json_t *files = json_load_file(list, 0, NULL), *expected;
    assert_true(json_object_size(files) > 50);
    json_object_foreach(files, name, expected)
    {
        snprintf(path, sizeof path, "%s%s", root, name);
        check_file(name, path, expected);
    }
    json_decref(files);
}

/* ---- evaluate ------------------------------------------------------------------------------- */

/* A label file of 12^3 voxels of 2 mm: a cube of ED from `begin` on, half of it NCR, and ET. */
static void write_labels(const char *below, int begin)
{
    enum { N = 12 };
    static uint8_t labels[N * N * N];
    const int64_t shape[3] = {N, N, N};
    const double spacing[3] = {2, 2, 2};
    const double affine[4][4] = {{2, 0, 0, 0}, {0, 2, 0, 0}, {0, 0, 2, 0}, {0, 0, 0, 1}};
    const volume_header h = volume_header_make(shape, spacing, affine);
    char path[128];
    ts_error e;
    for (int i = 0; i < N * N * N; i++) {
        const int x = i % N, y = i / N % N, z = i / N / N;
        const bool in = x >= begin && x < begin + 6 && y > 2 && y < 9 && z > 2 && z < 9;
        labels[i] = (uint8_t)(!in ? 0 : z > 6 ? 4 : z > 4 ? 1 : 2);
    }
    snprintf(path, sizeof path, "%s/%s", folder, below);
    if (volume_write_labels(path, &h, labels, &e) != TS_OK)
        fail_msg("%s", e.text);
}

static const char *const region_keys[] = {"WT", "TC", "ET"};
static const char *const figure_keys[] = {
    "dice", "hd95", "sensitivity", "specificity", "lesion_dice", "lesion_hd95", "tp", "fp", "fn"};

/* WT, TC and ET, each with just the figures of the convention, all numbers. */
static void check_regions(const json_t *regions, size_t figures)
{
    assert_int_equal(json_object_size(regions), COUNT_OF(region_keys));
    for (size_t r = 0; r < COUNT_OF(region_keys); r++) {
        const json_t *one = json_object_get(regions, region_keys[r]);
        assert_int_equal(json_object_size(one), figures);
        for (size_t f = 0; f < figures; f++)
            assert_true(json_is_number(json_object_get(one, figure_keys[f])));
    }
}

static double figure_of(const json_t *regions, const char *r, const char *key)
{
    return json_number_value(json_object_get(json_object_get(regions, r), key));
}

/* Three truths, two predictions: by case, by region, and a summary; status 1. */
static void check_contract(const char *convention, size_t figures, double penalty_mm)
{
    static char said[SAID];
    char arguments[512];
    json_t *root;
    snprintf(arguments, sizeof arguments,
             "evaluate %s/p %s/t --json --convention %s --labels auto,brats2021 2>%s/errors",
             folder, folder, convention, folder);
    assert_int_equal(run_program(arguments, said, &root), 1);
    assert_int_equal(json_object_size(root), 4);
    check_regions(json_object_get(root, "a"), figures);
    check_regions(json_object_get(root, "b"), figures);
    check_regions(json_object_get(root, "c"), figures);
    const json_t *summary = json_object_get(root, "summary");
    assert_int_equal(json_object_size(summary), 6);
    assert_string_equal(json_string_value(json_object_get(summary, "convention")), convention);
    assert_true(json_is_object(json_object_get(summary, "parameters")));
    assert_int_equal(json_array_size(json_object_get(summary, "labels")), 2);
    assert_string_equal(json_string_value(json_array_get(json_object_get(summary, "labels"), 1)),
                        "brats2021");
    assert_int_equal(json_integer_value(json_object_get(summary, "n")), 3);
    check_regions(json_object_get(summary, "mean"), figures);
    check_regions(json_object_get(summary, "median"), figures);
    /* a is right, b is one voxel off (5 of 6 planes), c is missing */
    const json_t *a = json_object_get(root, "a"), *b = json_object_get(root, "b");
    const json_t *c = json_object_get(root, "c");
    assert_true(figure_of(a, "WT", "dice") == 1 && figure_of(a, "ET", "hd95") == 0);
    assert_true(fabs(figure_of(b, "TC", "dice") - 5.0 / 6) < 1e-12);
    assert_true(fabs(figure_of(b, "WT", "hd95") - 2) < 1e-9);
    assert_true(figure_of(c, "WT", "dice") == 0 && figure_of(c, "ET", "sensitivity") == 0);
    assert_true(fabs(figure_of(c, "WT", "hd95") - penalty_mm) < 1e-6);
    assert_true(fabs(figure_of(json_object_get(summary, "mean"), "WT", "dice") - 11.0 / 18) <
                1e-12);
    assert_true(fabs(figure_of(json_object_get(summary, "median"), "WT", "dice") - 5.0 / 6) <
                1e-12);
    json_decref(root);
}

static void test_evaluate_contract(void **state)
{
    (void)state;
    char path[128];
    static const char *const folders[] = {"p", "t"};
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, folders[i]);
        assert_int_equal(directory_create(path, NULL), TS_OK);
    }
    write_labels("t/a_seg.nii.gz", 2);
    write_labels("t/b-seg.nii", 3);
    write_labels("t/c_seg.nii", 3);
    write_labels("p/a.nii", 2);
    write_labels("p/b.nii.gz", 2);
    write_labels("p/stranger.nii.gz", 2);
    check_contract("lesion", 9, 374);
    check_contract("legacy", 4, 373.1286641361127);
}

/* Through the program, some of the goldens that test_evaluate checks whole. */
static void test_evaluate_goldens(void **state)
{
    (void)state;
    static char said[SAID];
    char arguments[8300];
    const char *list = shared_path("metrics/golden_synthetic.json"), *name;
    if (!list)
        skip();
    const int root = (int)(strlen(list) - strlen("golden_synthetic.json"));
    char path[4096];
    snprintf(path, sizeof path, "%.*ssynthetic", root, list);
    json_t *file = json_load_file(list, 0, NULL), *golden, *printed;
    size_t place = 0;
    json_object_foreach(json_object_get(file, "cases"), name, golden)
    {
        if (place++ % 8)
            continue;
        snprintf(arguments, sizeof arguments,
                 "evaluate --json '%s/%s-pred.nii.gz' '%s/%s-seg.nii.gz'", path, name, path, name);
        assert_int_equal(run_program(arguments, said, &printed), 0);
        const json_t *regions = json_object_get(printed, name);
        const json_t *wanted = json_object_get(golden, "lesion");
        for (size_t r = 0; r < COUNT_OF(region_keys); r++)
            for (size_t f = 0; f < COUNT_OF(figure_keys); f++) {
                const double got = figure_of(regions, region_keys[r], figure_keys[f]);
                const double want = figure_of(wanted, region_keys[r], figure_keys[f]);
                char tie[32];
                snprintf(tie, sizeof tie, "%s_tie", figure_keys[f]);
                if (json_object_get(json_object_get(wanted, region_keys[r]), tie))
                    continue; /* test_evaluate knows both answers */
                if (!(fabs(got - want) <= (strstr(figure_keys[f], "hd95") ? 1e-4 : 1e-6)))
                    fail_msg("%s %s: %s is %.10g instead of %.10g", name, region_keys[r],
                             figure_keys[f], got, want);
            }
        json_decref(printed);
    }
    json_decref(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_odd_files),
        cmocka_unit_test(test_evaluate_contract),
        cmocka_unit_test(test_evaluate_goldens),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
