/* predict: windows and importance against nnU-Net's, post-processing, probabilities of tiny
 * networks with random weights. */
#include "predict/predict.h"
#include "predict/windows.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "made_model.h"

/* ---- windows ---------------------------------------------------------------------------- */

static void check_steps(char *words)
{
    char *rest = NULL;
    const int64_t size = atoll(strtok_r(words, " ", &rest));
    const int64_t patch = atoll(strtok_r(NULL, " ", &rest));
    const double step = atof(strtok_r(NULL, " ", &rest));
    int64_t index = 0;
    for (const char *word; (word = strtok_r(NULL, " \n", &rest)); index++)
        assert_int_equal(window_begin(size, patch, step, index), atoll(word));
    assert_int_equal(window_count(size, patch, step), index);
}

static void check_importance(char *words)
{
    char *rest = NULL;
    int64_t patch[3] = {0};
    float map[8 * 10 * 13];
    for (int i = 0; i < 3; i++)
        patch[i] = atoll(strtok_r(i ? NULL : words, " ", &rest));
    assert_int_equal(patch[0] * patch[1] * patch[2], COUNT_OF(map));
    window_importance(patch, map);
    for (size_t i = 0; i < COUNT_OF(map); i++) {
        const double want = atof(strtok_r(NULL, " \n", &rest));
        assert_true(map[i] > 0 && fabs(map[i] - want) <= 1e-6 * want);
    }
}

/* Every line of tools/oracle/windows.py. */
static void test_windows_against_nnunet(void **state)
{
    (void)state;
    uint8_t *bytes;
    size_t count;
    int steps = 0, maps = 0;
    ts_error e;
    char *rest = NULL;
    assert_int_equal(file_get("tests/golden/windows.txt", 1 << 20, &bytes, &count, &e), TS_OK);
    for (char *line = strtok_r((char *)bytes, "\n", &rest); line;
         line = strtok_r(NULL, "\n", &rest)) {
        char *words = strchr(line, ' ') + 1;
        const bool is_steps = !strncmp(line, "steps ", 6);
        (is_steps ? check_steps : check_importance)(words);
        steps += is_steps;
        maps += !is_steps;
    }
    assert_int_equal(steps, 44);
    assert_int_equal(maps, 1);
    free(bytes);
}

/* A volume smaller than the patch has one window with padding on both sides. */
static void test_small_volume_window(void **state)
{
    (void)state;
    assert_int_equal(window_count(40, 64, 0.5), 1);
    assert_int_equal(window_begin(40, 64, 0.5, 0), -12);
    assert_int_equal(window_begin(41, 64, 0.5, 0), -11);
}

/* ---- post-processing -------------------------------------------------------------------- */

static void test_postprocess(void **state)
{
    (void)state;
    enum { NX = 7, NY = 6, NZ = 5 };
    const int64_t shape[3] = {NX, NY, NZ};
    ts_error e;
    uint8_t labels[NX * NY * NZ] = {0}, work[NX * NY * NZ];
    labels[0] = 2; /* three voxels joined by corners alone */
    labels[(1 * NY + 1) * NX + 1] = 1;
    labels[(2 * NY + 2) * NX + 2] = 3;
    labels[NX - 1] = 3; /* alone, at the row's end; the next row's start is not a neighbour */
    labels[NX] = 0;
    labels[(4 * NY + 5) * NX + 5] = 2; /* two, at the end of the volume */
    labels[(4 * NY + 5) * NX + 6] = 3;

    memcpy(work, labels, sizeof work);
    assert_int_equal(predict_postprocess(work, shape, 0, 0, &e), TS_OK);
    assert_memory_equal(work, labels, sizeof work);

    assert_int_equal(predict_postprocess(work, shape, 0, 2, &e), TS_OK);
    assert_int_equal(work[NX - 1], 0);
    assert_int_equal(work[(4 * NY + 5) * NX + 6], 3);
    assert_int_equal(predict_postprocess(work, shape, 0, 3, &e), TS_OK);
    assert_int_equal(work[(4 * NY + 5) * NX + 5], 0);
    assert_int_equal(work[0], 2);
    assert_int_equal(work[(2 * NY + 2) * NX + 2], 3);

    memcpy(work, labels, sizeof work); /* none is large enough: the largest stays, as it was */
    assert_int_equal(predict_postprocess(work, shape, 0, 4, &e), TS_OK);
    for (int i = 0; i < NX * NY * NZ; i++)
        assert_int_equal(work[i], i <= (2 * NY + 2) * NX + 2 && i != NX - 1 ? labels[i] : 0);

    memcpy(work, labels, sizeof work);
    assert_int_equal(predict_postprocess(work, shape, 3, 0, &e), TS_OK); /* three ET: enough */
    assert_memory_equal(work, labels, sizeof work);
    assert_int_equal(predict_postprocess(work, shape, 3, 2, &e), TS_OK); /* two are left: NCR */
    assert_int_equal(work[(2 * NY + 2) * NX + 2], 1);
    assert_int_equal(work[(4 * NY + 5) * NX + 6], 1);
    assert_int_equal(work[NX - 1], 0);
}

/* A V of three voxels is one component whichever axis its point lies on. */
static void test_component_reaches_back(void **state)
{
    (void)state;
    const int64_t shape[3] = {3, 3, 3};
    const int step[3] = {1, 3, 9};
    ts_error e;
    for (int a = 0; a < 3; a++)
        for (int b = 0; b < 3; b++) {
            uint8_t labels[27] = {0};
            if (a == b)
                continue;
            labels[0] = labels[step[a] + step[b]] = labels[2 * step[a]] = 2;
            assert_int_equal(predict_postprocess(labels, shape, 0, 3, &e), TS_OK);
            assert_int_equal(labels[0] + labels[step[a] + step[b]] + labels[2 * step[a]], 6);
        }
}

/* Component `voxels` long from x on in row y of a 40 x 6 x 1 grid, of that probability of ED. */
static void paint_row(float *probabilities, int y, int x, int voxels, float tumour)
{
    for (int i = y * 40 + x; i < y * 40 + x + voxels; i++) {
        probabilities[i] = 1 - tumour;
        probabilities[2 * 240 + i] = tumour;
    }
}

static void test_unsure_components(void **state)
{
    (void)state;
    enum { VOXELS = 40 * 6 };
    const int64_t shape[3] = {40, 6, 1};
    static float before[4 * VOXELS], work[4 * VOXELS];
    ts_error e;
    for (int i = 0; i < VOXELS; i++)
        before[i] = 1;
    paint_row(before, 0, 0, 40, 0.8F); /* the largest, not the surest */
    paint_row(before, 2, 0, 4, 0.9F);  /* the surest of a tenth of its size */
    paint_row(before, 2, 10, 3, 1.0F); /* too small to be a measure, and sure enough to stay */
    paint_row(before, 4, 0, 5, 0.6F);
    paint_row(before, 4, 20, 10, 0.4F); /* likelier background: no tumour, and not touched */

    memcpy(work, before, sizeof work);
    assert_int_equal(predict_drop_unsure(work, shape, 0.6, &e), TS_OK);
    assert_memory_equal(work, before, sizeof work);
    assert_int_equal(predict_drop_unsure(work, shape, 0.7, &e), TS_OK);
    for (int i = 0; i < VOXELS; i++) {
        const bool gone = i >= 4 * 40 && i < 4 * 40 + 5;
        for (int k = 0; k < 4; k++)
            assert_true(work[k * VOXELS + i] == (gone ? (float)(k == 0) : before[k * VOXELS + i]));
    }
    assert_int_equal(predict_drop_unsure(work, shape, 1, &e), TS_OK);
    assert_true(work[0] == 1 && work[39] == 1);
    assert_true(work[2 * VOXELS + 2 * 40] == 0.9F && work[2 * VOXELS + 2 * 40 + 10] == 1);

    memset(work, 0, sizeof work); /* nothing is found: nothing to drop */
    for (int i = 0; i < VOXELS; i++)
        work[i] = 1;
    assert_int_equal(predict_drop_unsure(work, shape, 1, &e), TS_OK);
    for (int i = 0; i < VOXELS; i++)
        assert_true(work[i] == 1);
}

/* ---- probabilities ---------------------------------------------------------------------- */

enum { PATCH = MADE_PATCH, PATCH_VOXELS = PATCH * PATCH * PATCH };

/* A brain within a box of the volume; images random, 0 outside. */
static preprocessed make_case(int64_t nx, int64_t ny, int64_t nz, const int64_t brain_end[3])
{
    const int64_t n = nx * ny * nz;
    float *images = calloc((size_t)n * MODALITIES, sizeof *images);
    assert_non_null(images);
    random_stream r = random_open(9, RANDOM_TEST, (uint32_t)nx, (uint32_t)ny);
    for (int64_t m = 0; m < MODALITIES; m++)
        for (int64_t i = 0; i < n; i++) {
            const float value = (float)(random_normal(&r) + 0.02 * (double)(i % 97));
            if (i % nx < brain_end[0] && i / nx % ny < brain_end[1] && i / nx / ny < brain_end[2])
                images[m * n + i] = value;
        }
    return (preprocessed){
        .id = "made", .present = ALL_MODALITIES, .images = images, .geometry.shape = {nx, ny, nz}};
}

static void free_case(preprocessed *c)
{
    free((void *)(uintptr_t)c->images);
}

static predictor *create(const model *models, size_t count, const plan *settings)
{
    predictor *p;
    ts_error e = {0};
    if (predictor_create(models, count, settings, &p, &e) != TS_OK)
        fail_msg("%s", e.text);
    return p;
}

/* Probabilities of a case, in memory of their own. */
static float *predicted_by(predictor *p, const preprocessed *c)
{
    const int64_t *n = c->geometry.shape;
    float *out = malloc((size_t)(n[0] * n[1] * n[2]) * LABELS * sizeof *out);
    ts_error e = {0};
    assert_non_null(out);
    if (predict_probabilities(p, c, out, &e) != TS_OK)
        fail_msg("%s", e.text);
    return out;
}

static float *predicted(const model *models, size_t count, const plan *settings,
                        const preprocessed *c)
{
    predictor *p = create(models, count, settings);
    float *out = predicted_by(p, c);
    predictor_destroy(p);
    return out;
}

/* Logits of one forward on a window gathered by hand: [classes][PATCH_VOXELS]; free(). */
static float *forward(const model *m, const preprocessed *c, int64_t begin)
{
    static float input[MODALITIES * PATCH_VOXELS];
    const int64_t patch[3] = {PATCH, PATCH, PATCH}, *n = c->geometry.shape;
    int channel = 0;
    memset(input, 0, sizeof input);
    for (int k = 0; k < MODALITIES; k++) {
        if (!(m->channels >> k & 1))
            continue;
        for (int64_t z = 0; z < n[2]; z++)
            for (int64_t y = 0; y < n[1]; y++)
                for (int64_t x = 0; x < n[0]; x++)
                    input[((channel * PATCH + z - begin) * PATCH + y - begin) * PATCH + x - begin] =
                        c->images[((k * n[2] + z) * n[1] + y) * n[0] + x];
        channel++;
    }
    engine *e;
    net *network;
    ts_error error = {0};
    assert_int_equal(engine_create(2, DTYPE_FP32, NULL, &e, &error), TS_OK);
    assert_int_equal(net_create(&m->config, 1, patch, NET_PREDICT, e, &network, &error), TS_OK);
    void *workspace = memory_allocate(net_workspace_bytes(&m->config, 1, patch, NET_PREDICT, e), 1,
                                      "test", &error);
    assert_non_null(workspace);
    net_bind(network, workspace);
    memcpy(net_weights(network), m->weights, (size_t)m->weight_count * sizeof(float));
    net_weights_changed(network);
    assert_int_equal(net_forward(network, input, &error), TS_OK);
    const size_t count = (size_t)m->config.classes * PATCH_VOXELS;
    float *out = malloc(count * sizeof *out);
    assert_non_null(out);
    memcpy(out, net_logits(network, 0), count * sizeof *out);
    net_destroy(network);
    engine_destroy(e);
    free(workspace);
    return out;
}

static void softmax(const float *logits, size_t voxel, double out[LABELS])
{
    double sum = 0;
    for (size_t k = 0; k < LABELS; k++)
        sum += out[k] = exp((double)logits[k * PATCH_VOXELS + voxel]);
    for (size_t k = 0; k < LABELS; k++)
        out[k] /= sum;
}

static void assert_near(const float *a, const float *b, size_t count, float tolerance)
{
    for (size_t i = 0; i < count; i++)
        if (!(fabsf(a[i] - b[i]) <= tolerance))
            fail_msg("value %zu is %.8g, not %.8g", i, (double)a[i], (double)b[i]);
}

/* A volume of the patch's size, and then a smaller one: the softmax of one forward. */
static void test_one_window(void **state)
{
    (void)state;
    model m = made_model(1u << FLAIR | 1u << T1CE, LOSS_CE_DICE, 1);
    predictor *p = create(&m, 1, &m.plan);
    for (int64_t size = PATCH; size >= 11; size -= 5) {
        const int64_t begin = -((PATCH - size) / 2), whole[3] = {size, size, size};
        preprocessed c = make_case(size, size, size, whole);
        float *got = predicted_by(p, &c), *logits = forward(&m, &c, begin);
        for (int64_t i = 0; i < size * size * size; i++) {
            double want[LABELS];
            const int64_t z = i / size / size - begin, y = i / size % size - begin;
            softmax(logits, (size_t)((z * PATCH + y) * PATCH + i % size - begin), want);
            for (int64_t k = 0; k < LABELS; k++)
                assert_true(fabs(got[k * size * size * size + i] - want[k]) < 1e-5);
        }
        free(got);
        free(logits);
        free_case(&c);
    }
    predictor_destroy(p);
    model_free(&m);
}

/* Sigmoids become probabilities whose largest is the label that WT, TC, ET give by overwriting;
 * counts of labels met are added up. */
static void check_regions(uint32_t seed, const preprocessed *c, int64_t counts[LABELS])
{
    static const int label_of[3] = {2, 1, 3}; /* WT: ED, TC: NCR, ET */
    model m = made_model(1u << T2, LOSS_REGIONS, seed);
    float *got = predicted(&m, 1, &m.plan, c), *logits = forward(&m, c, 0);
    for (int64_t i = 0; i < PATCH_VOXELS; i++) {
        int want = 0, best = 0;
        double sum = 0;
        for (int k = 0; k < 3; k++)
            want = logits[k * PATCH_VOXELS + i] > 0 ? label_of[k] : want;
        for (int k = 0; k < LABELS; k++) {
            best = got[k * PATCH_VOXELS + i] > got[best * PATCH_VOXELS + i] ? k : best;
            sum += got[k * PATCH_VOXELS + i];
        }
        assert_int_equal(best, want);
        assert_true(fabs(sum - 1) < 1e-5);
        counts[want]++;
    }
    free(got);
    free(logits);
    model_free(&m);
}

static void test_regions(void **state)
{
    (void)state;
    const int64_t whole[3] = {PATCH, PATCH, PATCH};
    preprocessed c = make_case(PATCH, PATCH, PATCH, whole);
    int64_t counts[LABELS] = {0};
    for (uint32_t seed = 3; seed < 10; seed++)
        check_regions(seed, &c, counts);
    for (int k = 0; k < LABELS; k++)
        assert_true(counts[k] > 50);
    free_case(&c);
}

/* [LABELS][size]^3 with every axis reversed that the set names (bit 0: d). */
static void mirror(const float *in, float *out, int64_t size, int64_t volumes, unsigned set)
{
    for (int64_t i = 0; i < volumes * size * size * size; i++) {
        int64_t at[3] = {i / size / size % size, i / size % size, i % size};
        for (int a = 0; a < 3; a++)
            at[a] = set >> a & 1 ? size - 1 - at[a] : at[a];
        out[i / (size * size * size) * size * size * size + (at[0] * size + at[1]) * size + at[2]] =
            in[i];
    }
}

/* With mirror=on a mirrored case gives the mirrored result; without, it does not. */
static void test_mirroring(void **state)
{
    (void)state;
    enum { COUNT = LABELS * PATCH_VOXELS };
    const int64_t whole[3] = {PATCH, PATCH, PATCH};
    static float images[COUNT], turned[COUNT];
    model m = made_model(1u << T1, LOSS_CE, 3);
    plan settings = m.plan;
    preprocessed c = make_case(PATCH, PATCH, PATCH, whole), other = c;
    other.images = images;
    for (int on = 0; on < 2; on++)
        for (unsigned set = 1; set < 8; set += 2) {
            settings.mirror = on;
            mirror(c.images, images, PATCH, MODALITIES, set);
            float *a = predicted(&m, 1, &settings, &c), *b = predicted(&m, 1, &settings, &other);
            mirror(a, turned, PATCH, LABELS, set);
            float largest = 0;
            for (size_t i = 0; i < COUNT; i++)
                largest = fmaxf(largest, fabsf(turned[i] - b[i]));
            assert_true(on ? largest < 1e-5f : largest > 1e-3f);
            for (size_t i = 0; i < PATCH_VOXELS; i++) {
                const float sum =
                    a[i] + a[PATCH_VOXELS + i] + a[2 * PATCH_VOXELS + i] + a[3 * PATCH_VOXELS + i];
                assert_true(fabsf(sum - 1) < 1e-5f);
            }
            free(a);
            free(b);
        }
    free_case(&c);
    model_free(&m);
}

/* Many windows: the same bits with any number of threads; probabilities sum to 1; where no window
 * with brain reaches, background is exactly 1; several models give their mean. */
static void test_windows_threads_models(void **state)
{
    (void)state;
    enum { NX = 45, NY = 30, NZ = 21, N = NX * NY * NZ };
    const int64_t brain[3] = {14, 30, 21};
    model m[2] = {made_model(1u << FLAIR | 1u << T1CE, LOSS_CE_DICE, 4),
                  made_model(1u << FLAIR | 1u << T1CE, LOSS_CE_DICE, 5)};
    plan settings = m[0].plan;
    preprocessed c = make_case(NX, NY, NZ, brain);
    settings.threads = 1;
    float *one = predicted(m, 1, &settings, &c), *two = predicted(m + 1, 1, &settings, &c);
    float *both = predicted(m, 2, &settings, &c);
    for (settings.threads = 2; settings.threads < 5; settings.threads++) {
        float *again = predicted(m, 2, &settings, &c);
        assert_memory_equal(again, both, sizeof(float) * LABELS * N);
        free(again);
    }
    for (int64_t i = 0; i < N; i++) {
        const float sum = both[i] + both[N + i] + both[2 * N + i] + both[3 * N + i];
        assert_true(fabsf(sum - 1) < 1e-5f);
        if (i % NX >=
            31) /* windows begin at 0, 7, 15, 22, 29 along x: those from 15 on are empty */
            assert_true(both[i] == 1 && both[N + i] == 0);
        else if (i % NX < 23)
            assert_true(both[i] < 1);
        for (int64_t k = 0; k < LABELS; k++)
            one[k * N + i] = 0.5f * (one[k * N + i] + two[k * N + i]);
    }
    assert_near(both, one, LABELS * N, 1e-5f);
    free(one);
    free(two);
    free(both);
    free_case(&c);
    model_free(&m[0]);
    model_free(&m[1]);
}

/* A case in one pass is what a model gives whose patch is the case, padded to what halves; also
 * from a predictor that held cases of other sizes before. */
static void test_whole(void **state)
{
    (void)state;
    const int64_t sizes[3][3] = {{27, 18, 21}, {PATCH, PATCH, PATCH}, {9, 40, 22}};
    model m = made_model(1u << FLAIR | 1u << T1, LOSS_CE_DICE, 7);
    plan settings = m.plan;
    settings.prediction = PREDICTION_WHOLE;
    predictor *p = create(&m, 1, &settings);
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        const int64_t *n = sizes[i];
        preprocessed c = make_case(n[0], n[1], n[2], n);
        assert_int_equal(predictor_windows(p, n), 1);
        for (int axis = 0; axis < 3; axis++)
            m.plan.patch[axis] = (n[2 - axis] + 1) / 2 * 2;
        float *got = predicted_by(p, &c), *want = predicted(&m, 1, &m.plan, &c);
        assert_memory_equal(got, want, (size_t)(n[0] * n[1] * n[2]) * LABELS * sizeof *got);
        free(got);
        free(want);
        free_case(&c);
    }
    predictor_destroy(p);
    model_free(&m);
}

/* Weights that are finite and make infinities: refused at the first window, by the model's name. */
static void test_diverged_model(void **state)
{
    (void)state;
    ts_error e;
    const int64_t brain[3] = {16, 16, 16};
    const loss_kind losses[] = {LOSS_CE, LOSS_REGIONS};
    preprocessed c = make_case(16, 16, 16, brain);
    for (size_t i = 0; i < COUNT_OF(losses); i++) {
        model m = made_model(1u << FLAIR | 1u << T1CE, losses[i], 3);
        predictor *p;
        m.name = strdup("run/diverged.safetensors");
        for (int64_t k = 0; k < m.weight_count; k++)
            m.weights[k] *= 1e30f;
        p = create(&m, 1, &m.plan);
        float *probabilities = calloc(4 * 16 * 16 * 16, sizeof *probabilities);
        assert_int_equal(predict_probabilities(p, &c, probabilities, &e), TS_BAD_INPUT);
        assert_non_null(strstr(e.text, "'run/diverged.safetensors'"));
        free(probabilities);
        predictor_destroy(p);
        model_free(&m);
    }
    free_case(&c);
}

static void test_predictor_errors(void **state)
{
    (void)state;
    const int64_t whole[3] = {PATCH, PATCH, PATCH};
    model m[2] = {made_model(1u << FLAIR, LOSS_CE, 1), made_model(1u << T2, LOSS_CE, 1)};
    predictor *p;
    ts_error e = {0};
    assert_int_equal(predictor_create(m, 2, &m[0].plan, &p, &e), TS_BAD_INPUT);
    assert_non_null(strstr(e.text, "flair"));
    assert_null(p);
    p = create(m, 1, &m[0].plan);
    preprocessed c = make_case(PATCH, PATCH, PATCH, whole);
    c.present = 1u << T1 | 1u << T2;
    float *out = calloc(LABELS * PATCH_VOXELS, sizeof *out);
    assert_int_equal(predict_probabilities(p, &c, out, &e), TS_BAD_INPUT);
    assert_string_equal(e.text, "case made: the model needs flair, the case has t1,t2");
    assert_int_equal(predictor_windows(p, (const int64_t[3]){16, 17, 33}), 1 * 2 * 4);
    predictor_destroy(p);
    free(out);
    free_case(&c);
    model_free(&m[0]);
    model_free(&m[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_windows_against_nnunet),
        cmocka_unit_test(test_small_volume_window),
        cmocka_unit_test(test_postprocess),
        cmocka_unit_test(test_unsure_components),
        cmocka_unit_test(test_component_reaches_back),
        cmocka_unit_test(test_one_window),
        cmocka_unit_test(test_regions),
        cmocka_unit_test(test_mirroring),
        cmocka_unit_test(test_windows_threads_models),
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_diverged_model),
        cmocka_unit_test(test_predictor_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
