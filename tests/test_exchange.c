/* exchange: exported and imported networks. What ONNX Runtime and PyTorch make of them, and nnU-Net
 * of its own, is exchange.test.sh's, with the files that `test_exchange --make DIR` writes. */
#include "exchange/exchange.h"
#include "test_folder.h"

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
    m.config = net_config_of(&m.plan, channels);
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

static char *below(const char *name)
{
    static char path[2][256];
    static int next;
    char *out = path[next++ % 2];
    snprintf(out, sizeof path[0], "%s/%s", folder, name);
    return out;
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

/* ---- import --------------------------------------------------------------------------------- */

static const char nnunet_plans[] =
    "{'network': 'PlainConvUNet', 'arguments': {'n_stages': 4, 'features_per_stage': [2, 4, 8, 8], "
    "'conv_op': 'torch.nn.modules.conv.Conv3d', "
    "'kernel_sizes': [[3,3,3],[3,3,3],[3,3,3],[3,3,3]], "
    "'strides': [[1,1,1],[2,2,2],[2,2,2],[2,2,2]], 'n_conv_per_stage': [2,2,2,2], "
    "'n_conv_per_stage_decoder': [2,2,2], 'conv_bias': true, "
    "'norm_op': 'torch.nn.modules.instancenorm.InstanceNorm3d', "
    "'norm_op_kwargs': {'eps': 1e-05, 'affine': true}, 'dropout_op': null, "
    "'nonlin': 'torch.nn.LeakyReLU', 'nonlin_kwargs': {'inplace': true}}, "
    "'patch_size': [16, 24, 32], 'spacing': [1.5, 1.5, 1.5], "
    "'normalization_schemes': ['ZScoreNormalization', 'ZScoreNormalization'], "
    "'use_mask_for_norm': [true, true], 'previous_stage': null, 'transpose_forward': [0, 1, 2], "
    "'origin': {'dataset': 'Dataset001_X'}}";
static const char nnunet_labels[] =
    "{'channel_names': {'0': 'FLAIR', '1': 'T1ce'}, "
    "'labels': {'background': 0, 'edema': 1, 'necrosis': 2, 'enhancing tumor': 3}}";
static const char nnunet_regions[] =
    "{'channel_names': {'0': 'FLAIR', '1': 'T1ce'}, 'regions_class_order': [1, 2, 3], "
    "'labels': {'background': 0, 'whole tumor': [1, 2, 3], 'tumor core': [2, 3], "
    "'enhancing tumor': 3}}";

/* `json` with its quotes made JSON's, and the first `from` (may be NULL) replaced; free(). */
static char *altered(const char *json, const char *from, const char *to)
{
    text t = {0};
    const char *at = from ? strstr(json, from) : json + strlen(json);
    assert_non_null(at);
    text_append_bytes(&t, json, (size_t)(at - json));
    text_append(&t, "%s%s", from ? to : "", at + (from ? strlen(from) : 0));
    for (char *c = t.data; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    return t.data;
}

/* nnU-Net's names of a network with four stages: its decoder counts from the lowest. */
static void name_as_nnunet(const char *ours, char out[64])
{
    int stage, index;
    char rest[16];
    if (sscanf(ours, "head.%d.%15s", &stage, rest) == 2)
        snprintf(out, 64, "decoder.seg_layers.%d.%s", 2 - stage, rest);
    else if (sscanf(ours, "decoder.%d.up.%15s", &stage, rest) == 2)
        snprintf(out, 64, "decoder.transpconvs.%d.%s", 2 - stage, rest);
    else if (sscanf(ours, "encoder.%d.conv%d.%15s", &stage, &index, rest) == 3)
        snprintf(out, 64, "encoder.stages.%d.0.convs.%d.conv.%s", stage, index, rest);
    else if (sscanf(ours, "encoder.%d.norm%d.%15s", &stage, &index, rest) == 3)
        snprintf(out, 64, "encoder.stages.%d.0.convs.%d.norm.%s", stage, index, rest);
    else if (sscanf(ours, "decoder.%d.conv%d.%15s", &stage, &index, rest) == 3)
        snprintf(out, 64, "decoder.stages.%d.convs.%d.conv.%s", 2 - stage, index, rest);
    else if (sscanf(ours, "decoder.%d.norm%d.%15s", &stage, &index, rest) == 3)
        snprintf(out, 64, "decoder.stages.%d.convs.%d.norm.%s", 2 - stage, index, rest);
    else
        fail_msg("%s", ours);
}

/* A model's weights as they stand, under nnU-Net's names. */
static void write_converted(const char *path, const model *m, const char *plans,
                            const char *dataset_json)
{
    net_parameter *parameters;
    size_t count;
    int64_t weights;
    ts_error e;
    assert_int_equal(net_layout(&m->config, &parameters, &count, &weights, &e), TS_OK);
    safetensor *tensors = calloc(count, sizeof *tensors);
    for (size_t i = 0; i < count; i++) {
        tensors[i] = model_tensor(m, &parameters[i]);
        name_as_nnunet(parameters[i].name, tensors[i].name);
    }
    const char *const keys[] = {"nnunet.format", "nnunet.plans", "nnunet.dataset"};
    const char *const values[] = {"1", plans, dataset_json};
    assert_int_equal(safetensors_write(path, tensors, count, keys, values, 3, &e), TS_OK);
    free(tensors);
    free(parameters);
}

static model nnunet_sized(bool regions)
{
    model m = exact_model(2, 8, 4, 1u << T1CE | 1u << FLAIR);
    m.plan.loss = regions ? LOSS_REGIONS : LOSS_CE_DICE; /* fewer weights: some stay unused */
    m.config = net_config_of(&m.plan, m.channels);
    return m;
}

static void check_import(const model *was, const model *is)
{
    net_parameter *parameters;
    size_t count;
    int64_t weights;
    ts_error e;
    static const int class_of[4] = {0, 2, 1, 3}; /* nnU-Net's of background, NCR, ED, ET */
    assert_int_equal(net_layout(&is->config, &parameters, &count, &weights, &e), TS_OK);
    for (size_t i = 0; i < count; i++) {
        const net_parameter *p = &parameters[i];
        for (int64_t k = 0; k < p->count; k++) {
            int64_t from = k;
            if (!strcmp(p->name, "encoder.0.conv0.weight")) /* FLAIR, T1CE: the other way round */
                from = k / 54 * 54 + (k % 54 + 27) % 54;
            else if (!strncmp(p->name, "head.", 5) && p->shape[0] == 4)
                from = class_of[k / (p->count / 4)] * (p->count / 4) + k % (p->count / 4);
            assert_true(is->weights[p->offset + k] == was->weights[p->offset + from]);
        }
    }
    free(parameters);
}

/* nnU-Net's lowest head is left out; channels and classes come into our order. */
static void test_import(void **state)
{
    (void)state;
    for (int regions = 0; regions < 2; regions++) {
        model m = nnunet_sized(regions), got;
        char *plans = altered(nnunet_plans, NULL, NULL);
        char *labels = altered(regions ? nnunet_regions : nnunet_labels, NULL, NULL);
        ts_error e = {0};
        write_converted(below("converted"), &m, plans, labels);
        if (exchange_import_nnunet(below("converted"), &got, &e) != TS_OK)
            fail_msg("%s", e.text);
        assert_int_equal(got.channels, 1u << T1CE | 1u << FLAIR);
        assert_int_equal(got.config.classes, regions ? 3 : 4);
        assert_int_equal(got.brain, BRAIN_UNION);
        assert_true(got.plan.spacing_mm == 1.5);
        assert_int_equal(got.plan.patch[0] * 10000 + got.plan.patch[1] * 100 + got.plan.patch[2],
                         162432);
        check_import(&m, &got);
        assert_int_equal(model_write(below("imported.safetensors"), &got, &e), TS_OK);
        model_free(&got);
        assert_int_equal(model_read(below("imported.safetensors"), &got, &e), TS_OK);
        assert_int_equal(got.brain, BRAIN_UNION);
        model_free(&got);
        model_free(&m);
        free(plans);
        free(labels);
    }
}

static void test_import_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *json, *from, *to, *words;
    } cases[] = {
        {nnunet_plans, "PlainConvUNet", "ResidualEncoderUNet", "no residual encoders"},
        {nnunet_plans, "Conv3d", "Conv2d", "3d_fullres"},
        {nnunet_plans, "[2, 4, 8, 8]", "[2, 4, 6, 8]", "stage 2 has 6 features"},
        {nnunet_plans, "[2,2,2]]", "[1,2,2]]", "the stride of stage 3"},
        {nnunet_plans, "[[3,3,3]", "[[1,3,3]", "kernels are not 3x3x3"},
        {nnunet_plans, "[2,2,2,2]", "[2,2,3,2]", "two convolutions"},
        {nnunet_plans, "'conv_bias': true", "'conv_bias': false", "lack a bias"},
        {nnunet_plans, "'dropout_op': null", "'dropout_op': 'Dropout3d'", "without dropout"},
        {nnunet_plans, "[1.5, 1.5", "[3, 1.5", "as long as they are wide"},
        {nnunet_plans, "[16, 24, 32]", "[16, 20, 32]", "patch 20"},
        {nnunet_plans, "'ZScoreN", "'CTN", "not normalised by z-score"},
        {nnunet_plans, "[true, true]", "[true, false]", "not normalised by z-score"},
        {nnunet_plans, "[0, 1, 2]", "[2, 0, 1]", "permute the axes"},
        {nnunet_plans, "'previous_stage': null", "'previous_stage': '3d_lowres'", "cascade"},
        {nnunet_plans, "[2, 4, 8, 8]", "[4, 8, 8, 8]", "fewer weights"},
        {nnunet_plans, "{'network'", "'network'", "not JSON"},
        {nnunet_labels, "'T1ce'", "'CT'", "'CT' is not one of"},
        {nnunet_labels, "'edema': 1", "'kidney': 1", "not an order"},
        {nnunet_labels, ", 'enhancing tumor': 3", "", "not an order"},
        {nnunet_regions, "[1, 2, 3]", "[1, 3, 2]", "regions are not"},
        {nnunet_regions, "'tumor core': [2, 3]", "'tumor core': [2]", "regions are not"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const bool plans_differ = cases[i].json == nnunet_plans;
        const char *labels = plans_differ ? nnunet_labels : cases[i].json;
        model m = nnunet_sized(cases[i].json == nnunet_regions), got;
        char *plans = altered(nnunet_plans, plans_differ ? cases[i].from : NULL, cases[i].to);
        char *data = altered(labels, plans_differ ? NULL : cases[i].from, cases[i].to);
        ts_error e = {0};
        write_converted(below("converted"), &m, plans, data);
        assert_int_equal(exchange_import_nnunet(below("converted"), &got, &e), TS_BAD_INPUT);
        if (!strstr(e.text, cases[i].words))
            fail_msg("'%s' does not say '%s'", e.text, cases[i].words);
        model_free(&m);
        free(plans);
        free(data);
    }
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
    model m = nnunet_sized(false);
    char *plans = altered(nnunet_plans, NULL, NULL), *labels = altered(nnunet_labels, NULL, NULL);
    char *path = path_join(into, "converted.safetensors", NULL);
    write_converted(path, &m, plans, labels);
    model_free(&m);
    free(plans);
    free(labels);
    free(path);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_graph),
        cmocka_unit_test(test_state_dict),
        cmocka_unit_test(test_import),
        cmocka_unit_test(test_import_refusals),
    };
    if (argc == 3 && !strcmp(argv[1], "--make"))
        return make_all(argv[2]);
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
