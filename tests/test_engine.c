/* engine: every target against `ref` on every operation and odd shapes; ref's own gradients as the
 * adjoints of its forward; the same bits with any number of threads. */
#include "engine/engine.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- values and tensors ---------------------------------------------------------------- */

static void fill(float *values, int64_t count, uint32_t seed)
{
    random_stream r = random_open(seed, RANDOM_TEST, 0, 0);
    for (int64_t i = 0; i < count; i++)
        values[i] = (float)random_uniform(&r, -1, 1);
}

static float *random_values(int64_t count, uint32_t seed)
{
    float *values = malloc((size_t)(count + 1) * sizeof *values);
    assert_non_null(values);
    fill(values, count, seed);
    return values;
}

static int64_t count_of(const tensor *t)
{
    return t->n * t->c * t->d * t->h * t->w;
}

/* Memory that was used before: every byte that an operation leaves alone is seen. */
static void allocate(tensor *t)
{
    t->data = aligned_alloc(64, (tensor_bytes(t) + 63) & ~(size_t)63);
    assert_non_null(t->data);
    memset(t->data, 0x7f, tensor_bytes(t));
}

static tensor make(engine *e, int64_t n, int64_t c, const int64_t size[3], const float *values)
{
    tensor t = tensor_describe(e, n, c, size[0], size[1], size[2]);
    allocate(&t);
    if (values)
        tensor_upload(e, values, &t);
    return t;
}

static float *read_back(engine *e, const tensor *t)
{
    float *values = malloc((size_t)count_of(t) * sizeof *values);
    assert_non_null(values);
    tensor_download(e, t, values);
    return values;
}

/* ---- one case, all its results in one array -------------------------------------------- */

typedef struct {
    conv_kind kind;
    int64_t n, in0, in1, out, size[3];
} layer_case;

/* What each operation gave, one behind the other. */
typedef struct {
    float *values;
    int64_t count, parts, end[64];
} results;

static void keep(results *r, const float *values, int64_t count)
{
    r->values = realloc(r->values, (size_t)(r->count + count) * sizeof *values);
    assert_non_null(r->values);
    memcpy(r->values + r->count, values, (size_t)count * sizeof *values);
    r->count += count;
    assert_true(r->parts < (int64_t)COUNT_OF(r->end));
    r->end[r->parts++] = r->count;
}

static void keep_tensor(results *r, engine *e, const tensor *t)
{
    float *values = read_back(e, t);
    keep(r, values, count_of(t));
    free(values);
}

/* Everything outside of the voxels must be zero: the padding of the next operation. A tensor that
 * is uploaded from another's values has the same bytes, pads included. */
static void check_pads(engine *e, const tensor *t)
{
    float *values = read_back(e, t);
    tensor again = *t;
    allocate(&again);
    tensor_upload(e, values, &again);
    assert_memory_equal(again.data, t->data, tensor_bytes(t));
    free(values);
    free(again.data);
}

static void *scratch_for(engine *e, const conv *c, const tensor *x)
{
    size_t most = 64;
    for (int pass = CONV_FORWARD; pass <= CONV_WEIGHT_GRADIENT; pass++) {
        const size_t bytes = conv_scratch_bytes(e, c, x, (conv_pass)pass);
        most = bytes > most ? bytes : most;
    }
    void *scratch = aligned_alloc(64, (most + 63) & ~(size_t)63);
    assert_non_null(scratch);
    memset(scratch, 0xff, most); /* NaN in fp32 and in bf16 */
    return scratch;
}

/* Forward with moments, by the direct sum or Winograd's algorithm. */
static void run_forward(engine *e, conv c, bool winograd, conv_inputs x, const float *weight,
                        results *r)
{
    c.winograd = winograd;
    tensor y = conv_output(e, &c, x[0]);
    allocate(&y);
    float *bias = random_values(c.out, 2), *moments = random_values(y.n * c.out * 2, 1);
    void *packed = aligned_alloc(64, (conv_packed_bytes(e, &c) + 63) & ~(size_t)63);
    void *scratch = scratch_for(e, &c, x[0]);
    conv_pack(e, &c, weight, packed);
    conv_forward(e, &c, x, packed, bias, &y, c.kind == CONV_UP ? NULL : moments, scratch);
    keep_tensor(r, e, &y);
    keep(r, moments, y.n * c.out * 2);
    check_pads(e, &y);
    void *all[] = {y.data, bias, moments, packed, scratch};
    for (size_t i = 0; i < COUNT_OF(all); i++)
        free(all[i]);
}

/* Both gradients, the data gradient four times: written and added, each by the direct sum and by
 * Winograd's algorithm. */
static void run_backward(engine *e, conv *c, conv_inputs x, const float *weight, results *r)
{
    const int64_t weights = (c->in[0] + c->in[1]) * c->out * (c->kind == CONV_UP ? 8 : 27);
    tensor dy = conv_output(e, c, x[0]), dx[2] = {*x[0]};
    void *scratch = NULL;
    float *dy_values = random_values(count_of(&dy), 5);
    allocate(&dy);
    allocate(&dx[0]);
    tensor_upload(e, dy_values, &dy);
    if (x[1]) {
        dx[1] = *x[1];
        allocate(&dx[1]);
    }
    conv_inputs d = {&dx[0], x[1] ? &dx[1] : NULL};
    for (int i = 0; i < 4; i++) {
        free(scratch);
        c->winograd = i / 2;
        scratch = scratch_for(e, c, x[0]);
        conv_data_gradient(e, c, weight, &dy, d, (bool[2]){i % 2, i % 2}, scratch);
        for (int side = 0; side < 2 && d[side]; side++) {
            keep_tensor(r, e, d[side]);
            check_pads(e, d[side]);
        }
    }
    float *dweight = random_values(weights, 1), *dbias = random_values(c->out, 1);
    free(scratch);
    scratch = scratch_for(e, c, x[0]); /* as another layer may have left it */
    conv_weight_gradient(e, c, x, &dy, dweight, dbias, scratch);
    keep(r, dweight, weights);
    keep(r, dbias, c->out);
    void *all[] = {scratch, dy_values, dy.data, dx[0].data, dx[1].data, dweight, dbias};
    for (size_t i = 0; i < COUNT_OF(all); i++)
        free(all[i]);
}

static results run_layer(engine *e, const layer_case *k)
{
    results r = {0};
    conv c = {.kind = k->kind, .in = {k->in0, k->in1}, .out = k->out};
    const int64_t voxels = k->n * k->size[0] * k->size[1] * k->size[2];
    float *weight = random_values((k->in0 + k->in1) * k->out * 27, 1);
    float *values0 = random_values(voxels * k->in0, 3);
    float *values1 = random_values(voxels * k->in1, 4);
    tensor x0 = make(e, k->n, k->in0, k->size, values0), x1 = {0};
    if (k->in1)
        x1 = make(e, k->n, k->in1, k->size, values1);
    conv_inputs x = {&x0, k->in1 ? &x1 : NULL};
    run_forward(e, c, false, x, weight, &r);
    run_forward(e, c, true, x, weight, &r);
    run_backward(e, &c, x, weight, &r);
    void *all[] = {weight, values0, values1, x0.data, x1.data};
    for (size_t i = 0; i < COUNT_OF(all); i++)
        free(all[i]);
    return r;
}

/* Backward through head and norm at once has the bits of one after the other, in place of y too. */
static void check_last(engine *e, last_backward l, const float *more)
{
    const int64_t channels = l.y->c;
    tensor da = *l.y, y = *l.y;
    float *factors[4];
    for (int i = 0; i < 4; i++)
        factors[i] = random_values(channels, 13 + i);
    void *sums = memory_allocate(norm_scratch_bytes(&y), 1, "test", NULL);
    void *scratch = memory_allocate(last_scratch_bytes(e, &y), 1, "test", NULL);
    assert_true(sums && scratch);
    allocate(&da);
    allocate(&y);
    for (int added = 0; added < 2; added++) {
        memset(scratch, 0xff, last_scratch_bytes(e, &y));
        memcpy(y.data, l.y->data, tensor_bytes(&y));
        head_data_gradient(e, l.dlogits, l.weight, l.classes, &da, false);
        l.more = added ? more : NULL;
        if (added)
            tensor_add(e, more, &da);
        norm_backward(e, l.y, &l.norm, &da, &da, factors[0], factors[1], sums);
        last_backward in_place = l;
        in_place.y = in_place.dy = &y;
        in_place.dgamma = factors[2];
        in_place.dbeta = factors[3];
        last_backward_run(e, &in_place, scratch);
        assert_memory_equal(da.data, y.data, tensor_bytes(&y));
        for (int i = 0; i < 2; i++)
            assert_memory_equal(factors[i], factors[2 + i], (size_t)channels * sizeof(float));
    }
    void *all[] = {da.data, y.data, sums, scratch, factors[0], factors[1], factors[2], factors[3]};
    for (size_t i = 0; i < COUNT_OF(all); i++)
        free(all[i]);
}

/* Norm and heads on the layer's output shape. */
static results run_norm_and_head(engine *e, const layer_case *k)
{
    results r = {0};
    const int64_t classes = 1 + k->in0 % 5, channels = k->out;
    float *values = random_values(k->n * channels * k->size[0] * k->size[1] * k->size[2], 6);
    float *more = random_values(k->n * channels * k->size[0] * k->size[1] * k->size[2], 7);
    float *moments = random_values(k->n * channels * 2, 8), *gamma = random_values(channels, 9);
    float *beta = random_values(channels, 10), *weight = random_values(classes * channels, 11);
    float *bias = random_values(classes, 12);
    tensor y = make(e, k->n, channels, k->size, values),
           da = make(e, k->n, channels, k->size, more);
    tensor a = y, dy = y;
    allocate(&a);
    allocate(&dy);
    norm_forward(e, &y, moments, gamma, beta, &a);
    keep_tensor(&r, e, &a);
    check_pads(e, &a);
    float *dgamma = calloc((size_t)channels, sizeof *dgamma);
    float *dbeta = calloc((size_t)channels, sizeof *dbeta);
    const norm_parameters norm = {moments, gamma, beta};
    void *sums = calloc(1, norm_scratch_bytes(&y));
    norm_backward(e, &y, &norm, &da, &dy, dgamma, dbeta, sums);
    keep_tensor(&r, e, &dy);
    check_pads(e, &dy);
    norm_backward(e, &y, &norm, &da, &da, dgamma, dbeta, sums);
    free(sums);
    keep_tensor(&r, e, &da);
    keep(&r, dgamma, channels);
    keep(&r, dbeta, channels);

    const int64_t voxels = k->size[0] * k->size[1] * k->size[2];
    float *logits = calloc((size_t)(k->n * classes * voxels), sizeof *logits);
    float *dweight = calloc((size_t)(classes * channels), sizeof *dweight);
    void *scratch = memory_allocate(head_scratch_bytes(&y, classes), 1, "test", NULL);
    head_forward(e, &y, &norm, weight, bias, classes, logits);
    keep(&r, logits, k->n * classes * voxels);
    head_forward(e, &a, NULL, weight, bias, classes, logits);
    keep(&r, logits, k->n * classes * voxels);
    for (int add = 0; add < 2; add++) {
        head_data_gradient(e, logits, weight, classes, &dy, add);
        keep_tensor(&r, e, &dy);
        check_pads(e, &dy);
    }
    for (int normed = 0; normed < 2; normed++) {
        head_weight_gradient(e, normed ? &y : &a, normed ? &norm : NULL, logits, classes, dweight,
                             bias, scratch);
        keep(&r, dweight, classes * channels);
        keep(&r, bias, classes);
    }
    tensor_add(e, values, &dy);
    keep_tensor(&r, e, &dy);
    check_last(e,
               (last_backward){
                   .y = &y, .norm = norm, .dlogits = logits, .weight = weight, .classes = classes},
               more);

    void *all[] = {values,  more,   moments, gamma,  beta,  weight, bias,    y.data,
                   da.data, a.data, dy.data, dgamma, dbeta, logits, dweight, scratch};
    for (size_t i = 0; i < COUNT_OF(all); i++)
        free(all[i]);
    return r;
}

static results run_case(engine *e, const layer_case *k)
{
    results all = run_layer(e, k), norm = run_norm_and_head(e, k);
    int64_t from = 0;
    for (int64_t i = 0; i < norm.parts; from = norm.end[i++])
        keep(&all, norm.values + from, norm.end[i] - from);
    free(norm.values);
    return all;
}

static engine *open_engine(const char *target, int threads, compute_dtype dtype)
{
    engine *e = NULL;
    ts_error error;
    const ts_status status = engine_create(threads, dtype, target, &e, &error);
    if (status != TS_OK)
        fail_msg("%s", error.text);
    return e;
}

/* ---- cases ----------------------------------------------------------------------------- */

/* The last seven: several tasks of Winograd's, ending within a vector of tiles; many inputs; planes
 * that fill chunks, and begin anywhere in a vector. */
static const layer_case cases[] = {
    {CONV_3, 1, 1, 0, 1, {1, 1, 1}},       {CONV_3, 2, 2, 0, 3, {2, 3, 2}},
    {CONV_3, 1, 3, 0, 5, {3, 2, 4}},       {CONV_3, 1, 5, 0, 8, {4, 5, 5}},
    {CONV_3, 2, 8, 0, 8, {5, 4, 6}},       {CONV_3, 1, 16, 0, 20, {3, 7, 7}},
    {CONV_3, 1, 4, 0, 8, {2, 8, 8}},       {CONV_3, 1, 20, 0, 3, {4, 3, 9}},
    {CONV_3, 1, 8, 8, 8, {5, 6, 17}},      {CONV_3, 2, 3, 5, 16, {3, 5, 33}},
    {CONV_3, 1, 2, 0, 72, {6, 6, 6}},      {CONV_3, 1, 70, 0, 2, {3, 3, 3}},
    {CONV_3, 1, 8, 0, 16, {17, 18, 16}},   {CONV_3_2, 1, 1, 0, 1, {1, 1, 1}},
    {CONV_3_2, 2, 2, 0, 3, {2, 2, 2}},     {CONV_3_2, 1, 3, 0, 8, {4, 6, 8}},
    {CONV_3_2, 1, 8, 0, 16, {5, 7, 9}},    {CONV_3_2, 2, 8, 0, 16, {16, 18, 34}},
    {CONV_3_2, 1, 20, 0, 70, {6, 4, 2}},   {CONV_UP, 1, 1, 0, 1, {1, 1, 1}},
    {CONV_UP, 2, 3, 0, 2, {2, 1, 3}},      {CONV_UP, 1, 16, 0, 8, {4, 5, 6}},
    {CONV_UP, 2, 5, 0, 20, {3, 9, 17}},    {CONV_UP, 1, 70, 0, 16, {2, 3, 2}},
    {CONV_3_2, 2, 8, 0, 16, {15, 18, 29}}, {CONV_UP, 2, 20, 0, 12, {7, 9, 13}},
    {CONV_3, 2, 32, 0, 33, {6, 6, 12}},    {CONV_3, 1, 36, 32, 40, {3, 6, 20}},
    {CONV_3, 1, 99, 99, 32, {2, 3, 4}},    {CONV_3, 1, 2, 0, 8, {5, 22, 48}},
    {CONV_3, 1, 1, 1, 8, {3, 35, 68}},     {CONV_3_2, 1, 2, 0, 4, {3, 50, 70}},
    {CONV_UP, 1, 3, 0, 2, {2, 25, 37}},    {CONV_3, 3, 2, 1, 3, {7, 35, 66}},
};

/* The worst part's largest |a - b| over its largest |b|: the error of a sum is that of its largest
 * terms. */
static double relative_error(const results *a, const results *b, int64_t *part)
{
    double worst = 0;
    int64_t i = 0;
    assert_int_equal(a->count, b->count);
    for (int64_t p = 0; p < b->parts; p++) {
        double difference = 0, largest = 1e-6;
        for (; i < b->end[p]; i++) {
            const double d = fabs((double)a->values[i] - (double)b->values[i]);
            difference = isnan(d) ? INFINITY : fmax(difference, d);
            largest = fmax(largest, fabs((double)b->values[i]));
        }
        if (!(difference / largest <= worst)) {
            worst = difference / largest;
            *part = p;
        }
    }
    return worst;
}

/* Largest relative error of a dtype: fp32 sums of up to 198 * 27 terms; bf16 has 8 bits, and rounds
 * weights too where the target multiplies pairs of bf16. */
static const double tolerance[] = {[DTYPE_FP32] = 1e-5, [DTYPE_BF16] = 2e-2};

static void check_targets(compute_dtype dtype)
{
    engine *ref = open_engine("ref", 2, dtype);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        results expected = run_case(ref, &cases[i]);
        for (int t = 1; engine_target_name(t); t++) {
            const char *target = engine_target_name(t);
            if (!engine_target_available(target))
                continue;
            engine *e = open_engine(target, 2, dtype);
            results got = run_case(e, &cases[i]);
            int64_t part = 0;
            const double error = relative_error(&got, &expected, &part);
            if (!(error < tolerance[dtype]))
                fail_msg("case %zu, part %ld on %s: relative error %g", i, (long)part, target,
                         error);
            free(got.values);
            engine_destroy(e);
        }
        free(expected.values);
    }
    engine_destroy(ref);
}

static void targets_agree_with_ref(void **state)
{
    (void)state;
    check_targets(DTYPE_FP32);
}

static void bf16_agrees_with_ref(void **state)
{
    (void)state;
    check_targets(DTYPE_BF16);
}

/* With 32 threads weight gradients have tasks of fewer inputs. */
static void check_threads(compute_dtype dtype)
{
    static const int threads[] = {1, 3, 32};
    for (int t = 0; engine_target_name(t); t++) {
        if (!engine_target_available(engine_target_name(t)))
            continue;
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            results one = {0};
            for (size_t k = 0; k < COUNT_OF(threads); k++) {
                engine *e = open_engine(engine_target_name(t), threads[k], dtype);
                results got = run_case(e, &cases[i]);
                engine_destroy(e);
                if (k == 0) {
                    one = got;
                    continue;
                }
                assert_int_equal(one.count, got.count);
                assert_memory_equal(one.values, got.values, (size_t)one.count * sizeof(float));
                free(got.values);
            }
            free(one.values);
        }
    }
}

static void threads_change_no_bit(void **state)
{
    (void)state;
    check_threads(DTYPE_FP32);
    check_threads(DTYPE_BF16);
}

static double dot(const float *a, const float *b, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

/* A convolution without bias is linear in x and in w: <conv(x, w), dy> = <x, dx> = <w, dw>. */
static void ref_gradients_are_adjoint(void **state)
{
    (void)state;
    engine *e = open_engine("ref", 2, DTYPE_FP32);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const layer_case *k = &cases[i];
        if (k->in1)
            continue;
        const conv c = {.kind = k->kind, .in = {k->in0}, .out = k->out};
        const int64_t weights = k->in0 * k->out * (k->kind == CONV_UP ? 8 : 27);
        const int64_t voxels = k->n * k->in0 * k->size[0] * k->size[1] * k->size[2];
        float *weight = random_values(weights, 1), *bias = calloc((size_t)k->out, sizeof *bias);
        float *values = random_values(voxels, 3), *dweight = calloc((size_t)weights, 4);
        tensor x = make(e, k->n, k->in0, k->size, values), y = conv_output(e, &c, &x), dx = x;
        allocate(&y);
        allocate(&dx);
        conv_forward(e, &c, (conv_inputs){&x}, weight, bias, &y, NULL, NULL);
        float *y_values = read_back(e, &y), *dy_values = random_values(count_of(&y), 5);
        tensor_upload(e, dy_values, &y);
        conv_data_gradient(e, &c, weight, &y, (conv_inputs){&dx}, (bool[2]){false}, NULL);
        conv_weight_gradient(e, &c, (conv_inputs){&x}, &y, dweight, bias, NULL);
        float *dx_values = read_back(e, &dx);
        const double expected = dot(y_values, dy_values, count_of(&y));
        assert_true(fabs(dot(values, dx_values, voxels) - expected) < 1e-4 * (1 + fabs(expected)));
        assert_true(fabs(dot(weight, dweight, weights) - expected) < 1e-4 * (1 + fabs(expected)));
        void *all[] = {weight, bias,    values,   dweight,   x.data,
                       y.data, dx.data, y_values, dy_values, dx_values};
        for (size_t f = 0; f < COUNT_OF(all); f++)
            free(all[f]);
    }
    engine_destroy(e);
}

static void unknown_targets_are_refused(void **state)
{
    (void)state;
    engine *e = NULL;
    ts_error error = {0};
    assert_int_equal(engine_create(1, DTYPE_FP32, "mmx", &e, &error), TS_BAD_INPUT);
    assert_non_null(strstr(error.text, "mmx"));
    assert_null(e);
}

/* test_engine [PATTERN]: those whose name matches, for emulators, which take minutes for all. */
int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ref_gradients_are_adjoint),   cmocka_unit_test(targets_agree_with_ref),
        cmocka_unit_test(bf16_agrees_with_ref),        cmocka_unit_test(threads_change_no_bit),
        cmocka_unit_test(unknown_targets_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
