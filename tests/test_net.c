/* net: logits, latents and gradients against PyTorch (golden/net.txt, made by tools/oracle/net.py)
 * on every target of the engine; prediction equals training's forward; the plan of memory is
 * kept. */
#include "net/net.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const net_config config = {
    .in_channels = 3, .classes = 4, .base = 4, .cap = 20, .stages = 4, .deep_supervision = true};
static const int64_t patch[3] = {16, 8, 24};

enum { BATCH = 2, SHOWN = 12 };

/* The oracle's numbers. */
static float made(int64_t i, int64_t salt)
{
    return (float)((i * 7919 + salt * 104729 + i * i % 1000003 * 31) % 4001 - 2000) / 1000;
}

static float *make_array(int64_t count, int64_t salt)
{
    float *values = malloc((size_t)count * sizeof *values);
    for (int64_t i = 0; i < count; i++)
        values[i] = made(i, salt);
    return values;
}

typedef struct {
    engine *engine;
    net *net;
    void *workspace;
} fixture;

static fixture make_net_of(net_mode mode, int threads, const char *target, compute_dtype dtype)
{
    ts_error e;
    fixture f;
    assert_int_equal(engine_create(threads, dtype, target, &f.engine, &e), TS_OK);
    assert_int_equal(net_create(&config, BATCH, patch, mode, f.engine, &f.net, &e), TS_OK);
    f.workspace = memory_allocate(net_workspace_bytes(&config, BATCH, patch, mode, f.engine), 1,
                                  "the test", &e);
    net_bind(f.net, f.workspace);
    for (size_t k = 0; k < net_parameter_count(f.net); k++) {
        const net_parameter *p = &net_parameters(f.net)[k];
        const bool scale = strstr(p->name, ".norm") && strstr(p->name, "weight");
        for (int64_t i = 0; i < p->count; i++)
            net_weights(f.net)[p->offset + i] =
                (scale ? 1 : 0) + (scale ? 0.1f : 0.15f) * made(i, (int64_t)k + 1);
    }
    net_weights_changed(f.net);
    return f;
}

static fixture make_net(net_mode mode, int threads, const char *target)
{
    return make_net_of(mode, threads, target, DTYPE_FP32);
}

static void free_net(fixture *f)
{
    net_destroy(f->net);
    engine_destroy(f->engine);
    free(f->workspace);
}

static void forward(fixture *f)
{
    ts_error e;
    float *input = make_array(BATCH * config.in_channels * patch[0] * patch[1] * patch[2], 99);
    assert_int_equal(net_forward(f->net, input, &e), TS_OK);
    free(input);
}

static int64_t logit_count(int head)
{
    return BATCH * config.classes * (patch[0] * patch[1] * patch[2] >> 3 * head);
}

static int64_t feature_count(const net *n, const char *name)
{
    int64_t s[5];
    assert_true(net_feature_shape(n, name, s));
    return s[0] * s[1] * s[2] * s[3] * s[4];
}

/* A line of the golden file: count, sum, sum of magnitudes, and values spread over the tensor. Each
 * value may differ by `share` of the mean magnitude of the tensor, or of its own. */
static void check(const char *name, const float *got, int64_t count, double share)
{
    char line[1024], word[64];
    FILE *f = fopen("tests/golden/net.txt", "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        long long there;
        double sum, magnitude, got_sum = 0;
        int at, shift;
        if (sscanf(line, "%63s %lld %lf %lf%n", word, &there, &sum, &magnitude, &at) != 4 ||
            strcmp(word, name))
            continue;
        fclose(f);
        assert_int_equal(there, count);
        const double mean = magnitude / (double)count;
        for (int64_t i = 0; i < count; i++)
            got_sum += got[i];
        if (!(fabs(got_sum - sum) <= share * magnitude))
            fail_msg("the sum of %s is %.9g instead of %.9g", name, got_sum, sum);
        const int64_t picks = count < SHOWN ? count : SHOWN;
        for (int64_t k = 0; k < picks; k++, at += shift) {
            double value;
            const float own = got[k * count / picks];
            assert_int_equal(sscanf(line + at, "%lf%n", &value, &shift), 1);
            if (!(fabs(own - value) <= share * (mean + fabs(value))))
                fail_msg("%s[%lld] is %.9g instead of %.9g", name, (long long)(k * count / picks),
                         own, value);
        }
        return;
    }
    fail_msg("the golden file lacks %s", name);
}

static void check_forward(fixture *f)
{
    static const char *const features[] = {"bottleneck", "encoder0", "decoder2"};
    char name[24];
    assert_int_equal(net_heads(f->net), 2);
    for (int h = 0; h < net_heads(f->net); h++) {
        snprintf(name, sizeof name, "logits%d", h);
        check(name, net_logits(f->net, h), logit_count(h), 2e-5);
    }
    for (size_t i = 0; i < COUNT_OF(features); i++) {
        const int64_t count = feature_count(f->net, features[i]);
        float *values = malloc((size_t)count * sizeof *values);
        net_feature_read(f->net, features[i], values);
        check(features[i], values, count, 2e-5);
        free(values);
    }
}

static void backward(fixture *f)
{
    static const char *const features[] = {"bottleneck", "encoder0", "decoder2"};
    ts_error e;
    for (int h = 0; h < net_heads(f->net); h++)
        for (int64_t i = 0; i < logit_count(h); i++)
            net_logits(f->net, h)[i] = made(i, 200 + h);
    for (size_t i = 0; i < COUNT_OF(features); i++) {
        float *g = make_array(feature_count(f->net, features[i]), 300 + (int64_t)i);
        assert_int_equal(net_feature_gradient(f->net, features[i], g, &e), TS_OK);
        free(g);
    }
    assert_int_equal(net_backward(f->net, &e), TS_OK);
}

/* A bias before an instance norm has no effect: its gradient is rounding, and compared with the
 * size of the weights' gradients instead. */
static bool has_no_effect(const net_parameter *p)
{
    return strstr(p->name, ".conv") && strstr(p->name, "bias");
}

static void test_against_pytorch(void **state)
{
    (void)state;
    for (int i = 0; engine_target_name(i); i++) {
        const char *target = engine_target_name(i);
        if (!engine_target_available(target))
            continue;
        fixture f = make_net(NET_TRAIN, 2, target);
        forward(&f);
        check_forward(&f);
        backward(&f);
        for (size_t k = 0; k < net_parameter_count(f.net); k++) {
            const net_parameter *p = &net_parameters(f.net)[k];
            const float *g = net_gradients(f.net) + p->offset;
            if (!has_no_effect(p))
                check(p->name, g, p->count, 1e-4);
            for (int64_t c = 0; c < p->count && has_no_effect(p); c++)
                if (!(fabsf(g[c]) < 2e-2f))
                    fail_msg("%s[%d] is %g and not about 0", p->name, (int)c, g[c]);
        }
        free_net(&f);
    }
}

/* A second step with the same feature gradients gives the same bits: nothing is left over. */
static void test_steps_and_threads_agree(void **state)
{
    (void)state;
    fixture one = make_net(NET_TRAIN, 1, NULL), three = make_net(NET_TRAIN, 3, NULL);
    const size_t bytes = (size_t)net_weight_count(one.net) * sizeof(float);
    float *first = malloc(bytes);
    forward(&one);
    backward(&one);
    memcpy(first, net_gradients(one.net), bytes);
    forward(&one);
    backward(&one);
    forward(&three);
    backward(&three);
    assert_memory_equal(first, net_gradients(one.net), bytes);
    assert_memory_equal(first, net_gradients(three.net), bytes);
    free(first);
    free_net(&one);
    free_net(&three);
}

/* A feature's gradient is added in one step, not again in the next. */
static void test_feature_gradients_are_spent(void **state)
{
    (void)state;
    ts_error e;
    fixture f = make_net(NET_TRAIN, 1, NULL);
    forward(&f);
    backward(&f);
    forward(&f);
    for (int h = 0; h < net_heads(f.net); h++)
        memset(net_logits(f.net, h), 0, (size_t)logit_count(h) * sizeof(float));
    assert_int_equal(net_backward(f.net, &e), TS_OK);
    for (int64_t i = 0; i < net_weight_count(f.net); i++)
        assert_true(net_gradients(f.net)[i] == 0);
    assert_int_equal(net_feature_gradient(f.net, "encoder3", NULL, &e), TS_BAD_INPUT);
    free_net(&f);
}

/* To rounding: prediction may take Winograd's algorithm for its convolutions. */
static void test_prediction_is_the_same_forward(void **state)
{
    (void)state;
    fixture train = make_net(NET_TRAIN, 2, NULL), predict = make_net(NET_PREDICT, 2, NULL);
    forward(&train);
    forward(&predict);
    const float *expected = net_logits(train.net, 0), *got = net_logits(predict.net, 0);
    float largest = 0, difference = 0;
    for (int64_t i = 0; i < logit_count(0); i++) {
        largest = fmaxf(largest, fabsf(expected[i]));
        difference = fmaxf(difference, fabsf(expected[i] - got[i]));
    }
    assert_true(difference < 1e-5f * largest);
    const int64_t large[3] = {64, 64, 64}; /* scratch does not grow with the patch */
    assert_true(net_workspace_bytes(&config, BATCH, large, NET_PREDICT, predict.engine) * 2 <
                net_workspace_bytes(&config, BATCH, large, NET_TRAIN, train.engine));
    free_net(&train);
    free_net(&predict);
}

/* Nothing is read that this step has not written: neither zeros nor NaNs left in the workspace by
 * another network show in the gradients. */
static void test_old_memory_does_not_show(void **state)
{
    (void)state;
    for (int i = 0; i < 2 * 8 && engine_target_name(i / 2); i++) {
        const char *target = engine_target_name(i / 2);
        const compute_dtype dtype = i % 2 ? DTYPE_BF16 : DTYPE_FP32;
        if (!engine_target_available(target))
            continue;
        fixture zeros = make_net_of(NET_TRAIN, 1, target, dtype);
        fixture ones = make_net_of(NET_TRAIN, 1, target, dtype);
        memset(ones.workspace, 0xff,
               net_workspace_bytes(&config, BATCH, patch, NET_TRAIN, ones.engine));
        forward(&zeros);
        forward(&ones);
        backward(&zeros);
        backward(&ones);
        if (memcmp(net_gradients(zeros.net), net_gradients(ones.net),
                   (size_t)net_weight_count(ones.net) * sizeof(float)))
            fail_msg("%s in %s reads old memory", target, dtype ? "bf16" : "fp32");
        free_net(&zeros);
        free_net(&ones);
    }
}

/* Two networks in one memory, one after the other, as teacher and student are. */
static void test_shared_workspace(void **state)
{
    (void)state;
    fixture a = make_net(NET_TRAIN, 1, NULL), b = make_net(NET_TRAIN, 1, NULL);
    net_bind(b.net, a.workspace);
    forward(&a);
    backward(&a);
    forward(&b);
    backward(&b);
    assert_memory_equal(net_gradients(a.net), net_gradients(b.net),
                        (size_t)net_weight_count(a.net) * sizeof(float));
    forward(&a);
    check_forward(&a);
    free_net(&a);
    free_net(&b);
}

/* Weights are keyed by name: the first layer, which has other inputs, is alone in being
 * different. */
static void test_initialisation(void **state)
{
    (void)state;
    ts_error e;
    net *other;
    net_config four = config;
    fixture f = make_net(NET_PREDICT, 1, NULL);
    four.in_channels = 4;
    assert_int_equal(net_create(&four, 1, patch, NET_PREDICT, f.engine, &other, &e), TS_OK);
    net_initialise(f.net, 5);
    net_initialise(other, 5);
    for (size_t k = 1; k < net_parameter_count(other); k++) {
        const net_parameter *p = &net_parameters(f.net)[k], *q = &net_parameters(other)[k];
        assert_string_equal(p->name, q->name);
        assert_memory_equal(net_weights(f.net) + p->offset, net_weights(other) + q->offset,
                            (size_t)p->count * sizeof(float));
    }
    const net_parameter *wide = NULL;
    for (size_t k = 0; k < net_parameter_count(f.net); k++)
        if (!strcmp(net_parameters(f.net)[k].name, "decoder.2.conv0.weight"))
            wide = &net_parameters(f.net)[k];
    assert_non_null(wide);
    double squares = 0;
    for (int64_t i = 0; i < wide->count; i++)
        squares += pow(net_weights(f.net)[wide->offset + i], 2);
    const double expected = 2 / 1.0001 / (double)(wide->shape[1] * 27);
    assert_true(fabs(squares / (double)wide->count / expected - 1) < 0.05);
    net_destroy(other);
    free_net(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_pytorch),
        cmocka_unit_test(test_steps_and_threads_agree),
        cmocka_unit_test(test_feature_gradients_are_spent),
        cmocka_unit_test(test_prediction_is_the_same_forward),
        cmocka_unit_test(test_old_memory_does_not_show),
        cmocka_unit_test(test_shared_workspace),
        cmocka_unit_test(test_initialisation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
