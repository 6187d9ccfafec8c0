/* predict: whole cases, from files to files.
 *
 *   test_predict_case --make DIR   writes DIR/model.safetensors (random weights, FLAIR + T1CE) and
 * a synthetic patient's flair, t1ce, t1, t2 for tests/predict.test.sh */
#include "predict/predict.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "made_model.h"
#include "test_folder.h"

/* Random images in an ellipsoid, as files name.nii.gz of 1 mm; flipped: stored with axes x and z
 * exchanged and y reversed, the same in the world. */
static void write_image(const char *path, uint32_t seed, bool flipped)
{
    enum { NX = 24, NY = 20, NZ = 18 };
    static float data[NX * NY * NZ];
    random_stream r = random_open(seed, RANDOM_TEST, 0, 0);
    const double affine[4][4] = {{-1, 0, 0, 11}, {0, -1, 0, 9}, {0, 0, 1, -8}, {0, 0, 0, 1}};
    const double turned[4][4] = {
        {0, 0, -1, 11}, {0, 1, 0, 9 - (NY - 1)}, {1, 0, 0, -8}, {0, 0, 0, 1}};
    const double spacing[3] = {1, 1, 1};
    const int64_t shape[3] = {flipped ? NZ : NX, NY, flipped ? NX : NZ};
    for (int z = 0; z < NZ; z++)
        for (int y = 0; y < NY; y++)
            for (int x = 0; x < NX; x++) {
                const double value = 100 + 20 * random_normal(&r) + 3 * x;
                const double far =
                    pow((x - 11.5) / 11, 2) + pow((y - 9.5) / 9, 2) + pow((z - 8.5) / 8, 2);
                const int to = flipped ? (x * NY + NY - 1 - y) * NZ + z : (z * NY + y) * NX + x;
                data[to] = far < 1 ? (float)value : 0;
            }
    const volume_header like = volume_header_make(shape, spacing, flipped ? turned : affine);
    ts_error e = {0};
    if (volume_write_float(path, &like, 1, data, &e) != TS_OK)
        fail_msg("%s", e.text);
}

static char *in_folder(const char *name)
{
    char *path = string_format("%s/%s", folder, name);
    assert_non_null(path);
    return path;
}

static predictor *create(const model *m, const plan *settings)
{
    predictor *p;
    ts_error e = {0};
    if (predictor_create(m, 1, settings, &p, &e) != TS_OK)
        fail_msg("%s", e.text);
    return p;
}

/* Writes FLAIR and T1CE and predicts them; the result's labels, free(). */
static uint8_t *predict_written(predictor *p, bool flipped, const char *out, volume_header *header)
{
    dataset_case c = {.id = "case"};
    uint8_t *labels = NULL;
    ts_error e = {0};
    c.image[FLAIR] = in_folder("flair.nii.gz");
    c.image[T1CE] = in_folder("t1ce.nii");
    write_image(c.image[FLAIR], 1, flipped);
    write_image(c.image[T1CE], 2, flipped);
    predict_outcome outcome;
    if (predict_case(p, &c, &(predict_outputs){.labels = out}, &outcome, &e) != TS_OK ||
        volume_read_labels(out, header, &labels, &e) != TS_OK)
        fail_msg("%s", e.text);
    free(c.image[FLAIR]);
    free(c.image[T1CE]);
    return labels;
}

/* The result lies on the input's own grid: stored another way, the same patient gives the same
 * labels stored that way; labels=brats2021 writes 4 for ET. */
static void test_case_grid(void **state)
{
    (void)state;
    model m = made_model(1u << FLAIR | 1u << T1CE, LOSS_CE_DICE, 6);
    plan settings = m.plan;
    char *out = in_folder("seg.nii.gz");
    volume_header straight_header, turned_header;
    predictor *p = create(&m, &settings);
    uint8_t *straight = predict_written(p, false, out, &straight_header);
    uint8_t *turned = predict_written(p, true, out, &turned_header);
    predictor_destroy(p);
    const int64_t *n = straight_header.shape;
    int64_t counts[LABELS] = {0};
    assert_int_equal(turned_header.shape[0], n[2]);
    for (int64_t i = 0; i < n[0] * n[1] * n[2]; i++) {
        const int64_t x = i % n[0], y = i / n[0] % n[1], z = i / n[0] / n[1];
        assert_int_equal(turned[(x * n[1] + n[1] - 1 - y) * n[2] + z], straight[i]);
        counts[straight[i]]++;
    }
    assert_true(counts[0] && counts[3]);
    settings.labels = LABELS_BRATS2021;
    p = create(&m, &settings);
    uint8_t *old_style = predict_written(p, false, out, &turned_header);
    for (int64_t i = 0; i < n[0] * n[1] * n[2]; i++)
        assert_int_equal(old_style[i], straight[i] == 3 ? 4 : straight[i]);
    predictor_destroy(p);
    free(straight);
    free(turned);
    free(old_style);
    free(out);
    model_free(&m);
}

/* At another spacing than the model's: probabilities on the file's grid sum to 1, their largest is
 * the label, and both are background outside of the brain's box; a threshold that nothing reaches
 * takes every ET. */
static void test_case_probabilities(void **state)
{
    (void)state;
    model m = made_model(1u << FLAIR | 1u << T1CE, LOSS_CE_DICE, 6);
    m.plan.spacing_mm = 1.3;
    plan settings = m.plan;
    char *out = in_folder("seg.nii.gz"), *maps_path = in_folder("maps.nii.gz");
    dataset_case c = {.id = "case",
                      .image[FLAIR] = in_folder("flair.nii.gz"),
                      .image[T1CE] = in_folder("t1ce.nii")};
    volume_header header;
    volume maps;
    uint8_t *labels;
    ts_error e = {0};
    predictor *p = create(&m, &settings);
    uint8_t *want = predict_written(p, false, out, &header);
    const predict_outputs outputs = {.labels = out, .probabilities = maps_path};
    predict_outcome outcome;
    if (predict_case(p, &c, &outputs, &outcome, &e) != TS_OK ||
        volume_read(maps_path, &maps, &e) != TS_OK)
        fail_msg("%s", e.text);
    const int64_t n = header.shape[0] * header.shape[1] * header.shape[2];
    assert_int_equal(maps.channels, LABELS);
    int64_t enhancing = 0;
    for (int64_t i = 0; i < n; i++) {
        int best = 0;
        float sum = 0;
        for (int k = 0; k < LABELS; k++) {
            best = maps.data[k * n + i] > maps.data[best * n + i] ? k : best;
            sum += maps.data[k * n + i];
        }
        assert_true(fabsf(sum - 1) < 1e-5f);
        assert_int_equal(want[i], best);
        enhancing += best == 3;
    }
    assert_true(enhancing > 0);
    assert_true(maps.data[0] == 1 && maps.data[n - 1] == 1);
    predictor_destroy(p);
    settings.et_threshold_voxels = enhancing + 1;
    p = create(&m, &settings);
    labels = predict_written(p, false, out, &header);
    for (int64_t i = 0; i < n; i++)
        assert_int_equal(labels[i], want[i] == 3 ? 1 : want[i]);
    predictor_destroy(p);
    volume_free(&maps);
    free(labels);
    free(want);
    free(out);
    free(maps_path);
    free(c.image[FLAIR]);
    free(c.image[T1CE]);
    model_free(&m);
}

/* What an outcome says of the probabilities, and the map of their entropy. */
static void test_case_confidence(void **state)
{
    (void)state;
    model m = made_model(1u << FLAIR | 1u << T1CE, LOSS_CE_DICE, 6);
    plan settings = m.plan;
    char *out = in_folder("seg.nii.gz"), *maps_path = in_folder("maps.nii.gz");
    char *entropy_path = in_folder("entropy.nii.gz");
    dataset_case c = {.id = "case",
                      .image[FLAIR] = in_folder("flair.nii.gz"),
                      .image[T1CE] = in_folder("t1ce.nii")};
    volume_header header;
    volume maps, entropy;
    ts_error e = {0};
    predictor *p = create(&m, &settings);
    uint8_t *labels = predict_written(p, false, out, &header);
    const predict_outputs outputs = {out, maps_path, entropy_path};
    predict_outcome outcome;
    if (predict_case(p, &c, &outputs, &outcome, &e) != TS_OK ||
        volume_read(maps_path, &maps, &e) != TS_OK ||
        volume_read(entropy_path, &entropy, &e) != TS_OK)
        fail_msg("%s", e.text);
    const int64_t n = header.shape[0] * header.shape[1] * header.shape[2];
    double within = 0, tumour = 0, inside = 0, all = 0;
    assert_int_equal(entropy.channels, 1);
    for (int64_t i = 0; i < n; i++) {
        double expected = 0;
        for (int k = 0; k < LABELS; k++)
            expected -= maps.data[k * n + i] * log(fmax(maps.data[k * n + i], 1e-30)) / log(4);
        assert_true(fabs(entropy.data[i] - expected) < 1e-5);
        within += labels[i] ? expected : 0;
        tumour += labels[i] > 0;
        inside += labels[i] ? 1 - (double)maps.data[i] : 0;
        all += 1 - (double)maps.data[i];
    }
    assert_true(entropy.data[0] == 0 && tumour > 0);
    assert_true(fabs(outcome.confidence.entropy - within / tumour) < 1e-4);
    assert_true(fabs(outcome.confidence.dice[0] - 2 * inside / (tumour + all)) < 1e-4);
    assert_int_equal(outcome.used, 1u << FLAIR | 1u << T1CE);
    predict_outcome_free(&outcome);
    predictor_destroy(p);
    volume_free(&maps);
    volume_free(&entropy);
    free(labels);
    free(out);
    free(maps_path);
    free(entropy_path);
    free(c.image[FLAIR]);
    free(c.image[T1CE]);
    model_free(&m);
}

/* One voxel NCR of 0.7, one ET of 0.6 beside 0.4 background, one background with 0.2 ET. */
static void test_confidence_by_hand(void **state)
{
    (void)state;
    const float p[LABELS][3] = {{0, 0.4f, 0.8f}, {0.7f, 0, 0}, {0.3f, 0, 0}, {0, 0.6f, 0.2f}};
    predict_confidence c;
    predict_measure_confidence(p[0], 3, &c);
    assert_true(fabs(c.dice[0] - 2 * 1.6 / (2 + 1.8)) < 1e-6);
    assert_true(fabs(c.dice[1] - 2 * 1.3 / (2 + 1.5)) < 1e-6);
    assert_true(fabs(c.dice[2] - 2 * 0.6 / (1 + 0.8)) < 1e-6);
    const double h = -(0.7 * log(0.7) + 0.3 * log(0.3) + 0.4 * log(0.4) + 0.6 * log(0.6));
    assert_true(fabs(c.entropy - h / 2 / log(4)) < 1e-6);
    const float none[LABELS][2] = {{0.9f, 0.6f}, {0, 0.1f}, {0.1f, 0.3f}, {0, 0}};
    predict_measure_confidence(none[0], 2, &c);
    assert_true(fabs(c.dice[0] - 0.6) < 1e-6 && fabs(c.dice[1] - 0.9) < 1e-6 && c.dice[2] == 1);
    assert_true(c.entropy == 0);
}

/* A model's rule is in mm3: at voxels of 1 mm a threshold one above the ET there is takes them all;
 * a setting goes before it, also that of 0. */
static void test_case_rules(void **state)
{
    (void)state;
    model m = made_model(1u << FLAIR | 1u << T1CE, LOSS_CE_DICE, 6);
    plan settings = predict_defaults(&m);
    char *out = in_folder("seg.nii.gz");
    volume_header header;
    int64_t before[LABELS] = {0}, after[LABELS] = {0}, dropped[LABELS] = {0}, set[LABELS] = {0};
    int64_t *const counts[] = {before, after, dropped, set};
    for (int run = 0; run < 4; run++) {
        m.rules = (model_rules){.cases = run, .et_mm3 = run ? (double)before[3] + 1 : 0};
        settings.et_threshold_voxels = run == 3 ? 1 : run == 2 ? 0 : RULE_OF_MODEL;
        predictor *p = create(&m, &settings);
        uint8_t *labels = predict_written(p, false, out, &header);
        for (int64_t i = 0; i < header.shape[0] * header.shape[1] * header.shape[2]; i++)
            counts[run][labels[i]]++;
        free(labels);
        predictor_destroy(p);
    }
    const double voxel = header.zooms[0] * header.zooms[1] * header.zooms[2];
    assert_true(voxel == 1 && before[3] > 0);

    assert_int_equal(after[3], 0);
    assert_int_equal(dropped[3], before[3]);
    assert_int_equal(set[3], before[3]);
    free(out);
    model_free(&m);
}

static int64_t tumour_under(model *m, const plan *settings)
{
    char *out = in_folder("seg.nii.gz");
    volume_header header;
    int64_t tumour = 0;
    predictor *p = create(m, settings);
    uint8_t *labels = predict_written(p, false, out, &header);
    for (int64_t i = 0; i < header.shape[0] * header.shape[1] * header.shape[2]; i++)
        tumour += labels[i] > 0;
    free(labels);
    predictor_destroy(p);
    free(out);
    return tumour;
}

/* Of a network that marks several components the surest alone is left at 1, by the setting or by
 * the model's rule. */
static void test_case_confidence_rule(void **state)
{
    (void)state;
    model m = made_model(1u << FLAIR | 1u << T1CE, LOSS_CE_DICE, 8);
    plan settings = predict_defaults(&m);
    const int64_t all = tumour_under(&m, &settings);
    settings.component_confidence = 1;
    const int64_t set = tumour_under(&m, &settings);
    settings.component_confidence = RULE_OF_MODEL;
    m.rules = (model_rules){.cases = 1, .component_confidence = 1};
    assert_true(set > 0 && set < all);
    assert_int_equal(tumour_under(&m, &settings), set);
    settings.component_confidence = 0;
    assert_int_equal(tumour_under(&m, &settings), all);
    model_free(&m);
}

/* For tests/predict.test.sh. */
static int make_files(const char *directory)
{
    model m = made_model(1u << FLAIR | 1u << T1CE, LOSS_CE_DICE, 6);
    ts_error e = {0};
    char *path = string_format("%s/model.safetensors", directory);
    ts_status status = model_write(path, &m, &e);
    free(path);
    model any = made_model(ALL_MODALITIES, LOSS_CE_DICE, 6);
    any.plan.method = METHOD_ANY_SUBSET;
    path = string_format("%s/any.safetensors", directory);
    if (status == TS_OK)
        status = model_write(path, &any, &e);
    free(path);
    for (int64_t k = 0; k < any.weight_count; k++)
        any.weights[k] *= 1e30f;
    path = string_format("%s/diverged.safetensors", directory);
    if (status == TS_OK)
        status = model_write(path, &any, &e);
    free(path);
    model_free(&any);
    for (int k = 0; status == TS_OK && k < MODALITIES; k++) {
        path = string_format("%s/%s.nii.gz", directory, modality_names[k]);
        write_image(path, (uint32_t)k, false);
        free(path);
    }
    model_free(&m);
    if (status != TS_OK)
        fprintf(stderr, "%s\n", e.text);
    return status != TS_OK;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_case_grid),       cmocka_unit_test(test_case_probabilities),
        cmocka_unit_test(test_case_confidence), cmocka_unit_test(test_confidence_by_hand),
        cmocka_unit_test(test_case_rules),      cmocka_unit_test(test_case_confidence_rule),
    };
    if (argc == 3 && !strcmp(argv[1], "--make"))
        return make_files(argv[2]);
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
