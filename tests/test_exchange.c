/* exchange: exported networks. What ONNX Runtime and PyTorch make of them is exchange.test.sh's,
 * with the files that `test_exchange --make DIR` writes. */
#include "exchange/exchange.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* A network with weights that are exact everywhere: multiples of 1/512 from -1/4 to 1/4. */
static model exact_model(int base, int cap, int stages, modality_set channels)
{
    model m = {.channels = channels, .role = "student"};
    net_parameter *parameters;
    size_t count;
    ts_error e;
    plan_defaults(&m.plan);
    m.plan.student = channels;
    m.plan.base = base;
    m.plan.cap = cap;
    m.plan.stages = stages;
    m.config = model_config(&m.plan, channels);
    assert_int_equal(net_layout(&m.config, &parameters, &count, &m.weight_count, &e), TS_OK);
    free(parameters);
    m.weights = calloc((size_t)m.weight_count, sizeof *m.weights);
    assert_non_null(m.weights);
    for (int64_t i = 0; i < m.weight_count; i++)
        m.weights[i] = (float)((int)(i * 7919 % 257) - 128) / 512;
    return m;
}

static model golden_model(void)
{
    return exact_model(2, 4, 2, 1u << T1CE | 1u << FLAIR);
}

static char folder[] = "/tmp/twinseg-exchange-XXXXXX";

static char *below(const char *name)
{
    static char path[2][256];
    static int next;
    char *out = path[next++ % 2];
    snprintf(out, sizeof path[0], "%s/%s", folder, name);
    return out;
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    char command[64];
    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

/* The graph is byte for byte the one that ONNX Runtime agreed with (exchange.test.sh checks it
 * again where it is installed). Around it stand versions, which change. */
static void test_golden_graph(void **state)
{
    (void)state;
    model m = golden_model();
    uint8_t *file, *graph;
    size_t file_bytes, graph_bytes;
    ts_error e;
    assert_int_equal(exchange_export_onnx(&m, below("golden.onnx"), &e), TS_OK);
    assert_int_equal(file_get(below("golden.onnx"), 1 << 20, &file, &file_bytes, &e), TS_OK);
    assert_int_equal(file_get("tests/golden/onnx_graph.bin", 1 << 20, &graph, &graph_bytes, &e),
                     TS_OK);
    assert_non_null(memmem(file, file_bytes, graph, graph_bytes));
    free(graph);
    free(file);
    model_free(&m);
}

/* Deep supervision's lower heads stay behind; names, shapes and values of the rest are kept. */
static void test_state_dict(void **state)
{
    (void)state;
    model m = exact_model(2, 320, 4, ALL_MODALITIES);
    safetensors all, s;
    ts_error e;
    assert_int_equal(model_write(below("model.safetensors"), &m, &e), TS_OK);
    assert_int_equal(exchange_export_torch(&m, below("torch.safetensors"), &e), TS_OK);
    assert_int_equal(safetensors_read(below("model.safetensors"), &all, &e), TS_OK);
    assert_int_equal(safetensors_read(below("torch.safetensors"), &s, &e), TS_OK);
    assert_int_equal(s.count, all.count - 2); /* head.1: weight and bias */
    assert_null(safetensors_find(&s, "head.1.weight"));
    assert_string_equal(safetensors_metadata(&s, "format"), "pt");
    assert_string_equal(safetensors_metadata(&s, "twinseg.channels"), "t1,t1ce,t2,flair");
    for (size_t i = 0; i < s.count; i++) {
        const safetensor *t = safetensors_find(&all, s.tensors[i].name);
        assert_non_null(t);
        assert_memory_equal(t->shape, s.tensors[i].shape, sizeof t->shape);
        assert_memory_equal(t->data, s.tensors[i].data, t->bytes);
    }
    safetensors_free(&all);
    safetensors_free(&s);
    model_free(&m);
}

/* ---- files for the other programs ----------------------------------------------------------- */

/* The engine's logits for a patch [n][channels][d][h][w] of random numbers, both added to out. */
static void run_engine(const model *m, int64_t n, const int64_t patch[3], uint32_t seed,
                       safetensor out[2])
{
    engine *e;
    net *network;
    ts_error error;
    net_config config = m->config;
    const int64_t voxels = n * patch[0] * patch[1] * patch[2];
    float *input = malloc((size_t)(voxels * config.in_channels) * sizeof *input);
    float *logits = malloc((size_t)(voxels * config.classes) * sizeof *logits);
    random_stream r = random_open(seed, RANDOM_TEST, 1, 2);
    for (int64_t i = 0; i < voxels * config.in_channels; i++)
        input[i] = (float)random_normal(&r);
    assert_int_equal(engine_create(2, DTYPE_FP32, NULL, &e, &error), TS_OK);
    assert_int_equal(net_create(&config, n, patch, NET_PREDICT, e, &network, &error), TS_OK);
    void *workspace = memory_allocate(net_workspace_bytes(&config, n, patch, NET_PREDICT, e), 1,
                                      "a workspace", &error);
    net_bind(network, workspace);
    memcpy(net_weights(network), m->weights, (size_t)m->weight_count * sizeof(float));
    net_weights_changed(network);
    assert_int_equal(net_forward(network, input, &error), TS_OK);
    memcpy(logits, net_logits(network, 0), (size_t)(voxels * config.classes) * sizeof *logits);
    for (int i = 0; i < 2; i++) {
        const int64_t channels = i ? config.classes : config.in_channels;
        out[i] = (safetensor){.dtype = "F32",
                              .dimensions = 5,
                              .shape = {n, channels, patch[0], patch[1], patch[2]},
                              .data = i ? logits : input,
                              .bytes = (size_t)(voxels * channels) * sizeof(float)};
        snprintf(out[i].name, sizeof out[i].name, "%s.%u", i ? "logits" : "input", seed);
    }
    net_destroy(network);
    engine_destroy(e);
    free(workspace);
}

/* NAME.onnx, NAME.torch (a state dict) and NAME.io (inputs and our logits). */
static void make_files(const char *into, const char *name, const model *m)
{
    static const int64_t shapes[2][4] = {{1, 16, 16, 16}, {2, 8, 24, 32}};
    char path[512];
    safetensor io[4];
    ts_error e;
    for (uint32_t i = 0; i < 2; i++)
        run_engine(m, shapes[i][0], shapes[i] + 1, i, io + 2 * i);
    snprintf(path, sizeof path, "%s/%s.io", into, name);
    assert_int_equal(safetensors_write(path, io, 4, NULL, NULL, 0, &e), TS_OK);
    snprintf(path, sizeof path, "%s/%s.onnx", into, name);
    assert_int_equal(exchange_export_onnx(m, path, &e), TS_OK);
    snprintf(path, sizeof path, "%s/%s.torch", into, name);
    assert_int_equal(exchange_export_torch(m, path, &e), TS_OK);
    for (int i = 0; i < 4; i++)
        free((void *)(uintptr_t)io[i].data);
}

static int make_all(const char *into)
{
    model models[2] = {golden_model(), exact_model(8, 24, 4, ALL_MODALITIES)};
    make_files(into, "golden", &models[0]);
    make_files(into, "wide", &models[1]);
    model_free(&models[0]);
    model_free(&models[1]);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_graph),
        cmocka_unit_test(test_state_dict),
    };
    if (argc == 3 && !strcmp(argv[1], "--make"))
        return make_all(argv[2]);
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
