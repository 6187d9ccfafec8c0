/* api: twinseg.h as a caller in C meets it (that its results are the program's: library.test.sh and
 * python.test.sh): what is handed out can be freed, what is wrong is a sentence, and nothing leaks,
 * for which this test also runs under the sanitizers. */
#include "twinseg.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <pthread.h>
#include <unistd.h>

#include <cmocka.h>

#include "made_model.h"

enum { NX = 20, NY = 18, NZ = 16, VOXELS = NX * NY * NZ };

static char folder[] = "/tmp/twinseg-api-XXXXXX", model_path[64], volume_path[64];
static float flair[VOXELS], t1ce[VOXELS];
static uint8_t labels[VOXELS];
static const ts_grid grid = {
    {NX, NY, NZ}, {0, 0, 0}, {{-1, 0, 0, 9}, {0, -1, 0, 8}, {0, 0, 1, -7}, {0, 0, 0, 1}}};

static int make_files(void **state)
{
    (void)state;
    ts_error e;
    random_stream r = random_open(5, RANDOM_TEST, 0, 0);
    for (int i = 0; i < VOXELS; i++) {
        const double x = i % NX - 9.5, y = i / NX % NY - 8.5, z = i / NX / NY - 7.5;
        const bool brain = x * x / 81 + y * y / 64 + z * z / 49 < 1;
        flair[i] = brain ? (float)random_uniform(&r, 50, 150) : 0;
        t1ce[i] = brain ? (float)random_uniform(&r, 50, 150) : 0;
    }
    if (!mkdtemp(folder))
        return -1;
    snprintf(model_path, sizeof model_path, "%s/model.safetensors", folder);
    snprintf(volume_path, sizeof volume_path, "%s/volume.nii.gz", folder);
    model m = made_model(1u << FLAIR | 1u << T1CE, LOSS_CE, 3);
    const ts_status status = model_write(model_path, &m, &e);
    model_free(&m);
    return status == TS_OK ? 0 : -1;
}

static int remove_files(void **state)
{
    (void)state;
    unlink(model_path);
    unlink(volume_path);
    return rmdir(folder);
}

static void test_volumes(void **state)
{
    (void)state;
    ts_error e;
    ts_grid back;
    int64_t volumes;
    float *data;
    uint8_t *read;
    static float two[2 * VOXELS];
    memcpy(two, flair, sizeof flair);
    memcpy(two + VOXELS, t1ce, sizeof t1ce);
    assert_int_equal(ts_volume_write(volume_path, &grid, 2, two, &e), TS_OK);
    assert_int_equal(ts_volume_read(volume_path, &back, &volumes, &data, &e), TS_OK);
    assert_int_equal(volumes, 2);
    assert_memory_equal(data, two, sizeof two);
    assert_memory_equal(back.shape, grid.shape, sizeof grid.shape);
    assert_memory_equal(back.affine, grid.affine, sizeof grid.affine);
    assert_true(back.spacing_mm[0] == 1 && back.spacing_mm[2] == 1);
    ts_free(data);
    assert_int_equal(ts_labels_read(volume_path, &back, &read, &e), TS_BAD_INPUT);
    assert_null(read);
    assert_int_equal(ts_labels_write(volume_path, &grid, labels, &e), TS_OK);
    assert_int_equal(ts_labels_read(volume_path, &back, &read, &e), TS_OK);
    assert_memory_equal(read, labels, sizeof labels);
    ts_free(read);
    assert_int_equal(ts_volume_read("/nowhere.nii", &back, &volumes, &data, NULL), TS_IO);
    assert_null(data);
    ts_free(NULL);
}

static void test_bad_grids(void **state)
{
    (void)state;
    ts_error e;
    ts_grid bad = grid;
    bad.shape[1] = 0;
    assert_int_equal(ts_labels_write(volume_path, &bad, labels, &e), TS_BAD_INPUT);
    bad.shape[1] = INT64_MAX / 2;
    assert_int_equal(ts_labels_write(volume_path, &bad, labels, &e), TS_BAD_INPUT);
    bad = grid;
    bad.spacing_mm[0] = NAN;
    assert_int_equal(ts_labels_write(volume_path, &bad, labels, &e), TS_BAD_INPUT);
    assert_non_null(strstr(e.text, "axis 1"));
    assert_int_equal(ts_volume_write(volume_path, &grid, 0, flair, &e), TS_BAD_INPUT);
    assert_int_equal(ts_volume_write("x.png", &grid, 1, flair, &e), TS_BAD_INPUT);
}

static void test_prediction(void **state)
{
    (void)state;
    ts_error e;
    ts_model *student;
    static float maps[4 * VOXELS];
    static uint8_t again[VOXELS];
    const float *images[TS_MODALITIES] = {[TS_FLAIR] = flair, [TS_T1CE] = t1ce};
    static const char *const settings[] = {"threads=2", "labels=brats2021", NULL};
    assert_int_equal(ts_model_open(model_path, settings, &student, &e), TS_OK);
    assert_int_equal(ts_model_modalities(student), 1u << TS_FLAIR | 1u << TS_T1CE);
    assert_false(ts_model_any_subset(student));
    assert_string_equal(ts_model_warnings(student), "");
    assert_int_equal(ts_predict(student, &grid, images, labels, maps, &e), TS_OK);
    for (int i = 0; i < VOXELS; i++) {
        int best = 0;
        float sum = 0;
        for (int k = 0; k < 4; k++) {
            sum += maps[k * VOXELS + i];
            best = maps[k * VOXELS + i] > maps[best * VOXELS + i] ? k : best;
        }
        assert_true(fabsf(sum - 1) < 1e-5f);
        assert_int_equal(labels[i], best == 3 ? 4 : best);
    }
    images[TS_T1] = flair; /* not the model's: not looked at */
    assert_int_equal(ts_predict(student, &grid, images, again, NULL, &e), TS_OK);
    assert_memory_equal(again, labels, sizeof labels);
    images[TS_T1CE] = NULL;
    assert_int_equal(ts_predict(student, &grid, images, again, NULL, &e), TS_BAD_INPUT);
    assert_non_null(strstr(e.text, "missing: t1ce"));
    static float full[VOXELS];
    for (int i = 0; i < VOXELS; i++)
        full[i] = 1 + (float)(i % 7);
    images[TS_T1CE] = full;
    assert_int_equal(ts_predict(student, &grid, images, again, NULL, &e), TS_OK);
    assert_non_null(strstr(ts_model_warnings(student), "skull"));
    full[5] = INFINITY;
    assert_int_equal(ts_predict(student, &grid, images, again, NULL, &e), TS_BAD_INPUT);
    assert_non_null(strstr(e.text, "'t1ce' holds 1"));
    ts_model_close(student);
    ts_model_close(NULL);
}

/* ---- threads ---- */

enum { THREADS = 4, ROUNDS = 5 };

typedef struct {
    ts_model *model;
    int number;
    uint8_t labels[VOXELS];
    int wrong; /* rounds that were not as they should be */
} sharer;

/* Thread 0 gives a good case, 1 one with a warning, 2 and 3 bad ones, each with its own
 * sentence. */
static void *share(void *argument)
{
    sharer *s = argument;
    ts_error e;
    float *own = malloc(sizeof flair);
    const float *images[TS_MODALITIES] = {[TS_FLAIR] = flair, [TS_T1CE] = own};
    memcpy(own, t1ce, sizeof t1ce);
    for (int i = 0; i < VOXELS && s->number == 1; i++)
        own[i] += 100;
    own[0] = s->number == 2 ? NAN : own[0];
    images[TS_FLAIR] = s->number == 3 ? NULL : flair;
    for (int round = 0; round < ROUNDS; round++) {
        memset(s->labels, 9, sizeof s->labels);
        const ts_status status = ts_predict(s->model, &grid, images, s->labels, NULL, &e);
        const bool warned = strstr(ts_model_warnings(s->model), "skull") != NULL;
        bool good = status == (s->number < 2 ? TS_OK : TS_BAD_INPUT) && warned == (s->number == 1);
        if (s->number == 0)
            good = good && !memcmp(s->labels, labels, sizeof labels);
        if (s->number > 1)
            good = good && strstr(e.text, s->number == 2 ? "'t1ce' holds 1" : "missing: flair");
        s->wrong += !good;
    }
    free(own);
    return NULL;
}

/* A model is safe to use from several threads: results, errors and warnings are those of the
 * calling thread's case. */
static void test_shared_model(void **state)
{
    (void)state;
    ts_error e;
    ts_model *shared;
    pthread_t threads[THREADS];
    static sharer s[THREADS];
    static const char *const settings[] = {"threads=2", NULL};
    const float *images[TS_MODALITIES] = {[TS_FLAIR] = flair, [TS_T1CE] = t1ce};
    assert_int_equal(ts_model_open(model_path, settings, &shared, &e), TS_OK);
    assert_int_equal(ts_predict(shared, &grid, images, labels, NULL, &e), TS_OK);
    for (int i = 0; i < THREADS; i++) {
        s[i] = (sharer){.model = shared, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, share, &s[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(s[i].wrong, 0);
    }
    assert_string_equal(ts_model_warnings(shared), "");
    ts_model_close(shared);
}

/* Models opened at once: what the process sets up at its first use is set up once. */
static void *open_model(void *argument)
{
    ts_error e;
    ts_model *m;
    static const char *const settings[] = {"threads=1", "window_step=0.7", NULL};
    *(bool *)argument = ts_model_open(model_path, settings, &m, &e) == TS_OK;
    if (*(bool *)argument)
        ts_model_close(m);
    return NULL;
}

static void test_opened_at_once(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    bool opened[THREADS] = {false};
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, open_model, &opened[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_true(opened[i]);
    }
}

static void test_bad_models(void **state)
{
    (void)state;
    ts_error e;
    ts_model *student;
    static const char *const words[] = {"mirror", "base=8", "window_step=9", "=", ""};
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        const char *const settings[] = {"threads=1", words[i], NULL};
        assert_int_equal(ts_model_open(model_path, settings, &student, &e), TS_BAD_INPUT);
        assert_null(student);
    }
    assert_int_equal(ts_model_open("/nowhere", NULL, &student, &e), TS_IO);
    assert_int_equal(ts_model_open(folder, NULL, &student, &e), TS_OK);
    ts_model_close(student);
}

static void test_scores(void **state)
{
    (void)state;
    ts_error e;
    ts_scores s[TS_REGIONS];
    static uint8_t truth[VOXELS], off[VOXELS];
    ts_pair pair = {.prediction = off,
                    .truth = truth,
                    .prediction_labels = TS_LABELS_BRATS2023,
                    .truth_labels = TS_LABELS_BRATS2021,
                    .shape = {grid.shape[0], grid.shape[1], grid.shape[2]},
                    .spacing_mm = {2, 2, 2},
                    .convention = TS_LESION,
                    .threads = 1};
    for (int i = 0; i < VOXELS; i++) {
        const int x = i % NX, y = i / NX % NY, z = i / NX / NY;
        const bool in = y > 4 && y < 11 && z > 4 && z < 11;
        truth[i] = (uint8_t)(in && x > 4 && x < 11 ? (z > 7 ? 4 : 2) : 0);
        off[i] = (uint8_t)(in && x > 5 && x < 12 ? (z > 7 ? 3 : 2) : 0);
    }
    assert_int_equal(ts_evaluate(&pair, s, &e), TS_OK);
    assert_true(fabs(s[TS_WT].dice - 5.0 / 6) < 1e-12 && fabs(s[TS_ET].dice - 5.0 / 6) < 1e-12);
    assert_true(fabs(s[TS_WT].hd95 - 2) < 1e-9 && s[TS_TC].tp == 1 && s[TS_TC].fp == 0);
    assert_int_equal(truth[5 + NX * (5 + NY * 8)], 4); /* the caller's arrays stay as they were */
    off[0] = 3;
    off[1] = 4;
    pair.prediction_labels = pair.truth_labels = TS_LABELS_AUTO;
    pair.convention = TS_LEGACY;
    pair.threads = 0;
    assert_int_equal(ts_evaluate(&pair, s, &e), TS_BAD_INPUT);
    assert_non_null(strstr(e.text, "the prediction"));
    pair.prediction = truth;
    ts_pair wrong = pair;
    wrong.spacing_mm[1] = 0;
    assert_int_equal(ts_evaluate(&wrong, s, &e), TS_BAD_INPUT);
    wrong = pair;
    wrong.prediction_labels = (ts_labels)9;
    assert_int_equal(ts_evaluate(&wrong, s, &e), TS_BAD_INPUT);
    wrong = pair;
    wrong.convention = (ts_convention)7;
    assert_int_equal(ts_evaluate(&wrong, s, &e), TS_BAD_INPUT);
    assert_int_equal(ts_evaluate(&pair, s, &e), TS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_opened_at_once), /* first: nothing is set up yet */
        cmocka_unit_test(test_volumes),        cmocka_unit_test(test_bad_grids),
        cmocka_unit_test(test_prediction),     cmocka_unit_test(test_bad_models),
        cmocka_unit_test(test_scores),         cmocka_unit_test(test_shared_model),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
