/* Making a net: its layers from the configuration, its memory, its first weights. */
#include "net/graph.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- layers ------------------------------------------------------------------------------- */

static int64_t width(const net_config *c, int stage)
{
    const int64_t w = (int64_t)c->base << stage;
    return w < c->cap ? w : c->cap;
}

/* A unit that reads `x` (and behind it `second` more channels). */
static unit make_unit(const net *n, conv_kind kind, const tensor *x, int64_t second, int64_t out,
                      bool normed)
{
    unit u = {.normed = normed, .x = *x};
    u.conv = (conv){.kind = kind, .in = {x->c, second}, .out = out};
    u.conv.winograd = n->mode == NET_PREDICT || n->config.winograd;
    u.y = conv_output(n->engine, &u.conv, x);
    return u;
}

/* All units with their shapes; no memory, no offsets. */
static void make_units(net *n)
{
    const net_config *c = &n->config;
    const int lowest = c->stages - 1;
    n->input =
        tensor_describe(n->engine, n->batch, c->in_channels, n->patch[0], n->patch[1], n->patch[2]);
    const tensor *x = &n->input;
    for (int s = 0; s <= lowest; s++)
        for (int i = 0; i < 2; i++) {
            n->encoder[s][i] = make_unit(n, s && !i ? CONV_3_2 : CONV_3, x, 0, width(c, s), true);
            x = &n->encoder[s][i].y;
        }
    for (int s = lowest - 1; s >= 0; s--) {
        n->up[s] = make_unit(n, CONV_UP, x, 0, width(c, s), false);
        n->decoder[s][0] = make_unit(n, CONV_3, &n->up[s].y, width(c, s), width(c, s), true);
        n->decoder[s][1] = make_unit(n, CONV_3, &n->decoder[s][0].y, 0, width(c, s), true);
        x = &n->decoder[s][1].y;
    }
}

/* Calls `each` for every unit, in the order of the forward pass. */
static void over_units(net *n, void (*each)(net *, unit *, void *), void *context)
{
    const int lowest = n->config.stages - 1;
    for (int s = 0; s <= lowest; s++)
        for (int i = 0; i < 2; i++)
            each(n, &n->encoder[s][i], context);
    for (int s = lowest - 1; s >= 0; s--) {
        each(n, &n->up[s], context);
        for (int i = 0; i < 2; i++)
            each(n, &n->decoder[s][i], context);
    }
}

static int64_t offset_of(const net *n, const char *name)
{
    for (size_t i = 0; i < n->parameter_count; i++)
        if (!strcmp(n->parameters[i].name, name))
            return n->parameters[i].offset;
    return -1; /* a bug: the names are made from the same configuration */
}

/* PREFIX.weight and PREFIX.bias */
static void find_pair(const net *n, const char *prefix, int64_t *weight, int64_t *bias)
{
    char name[64];
    snprintf(name, sizeof name, "%s.weight", prefix);
    *weight = offset_of(n, name);
    snprintf(name, sizeof name, "%s.bias", prefix);
    *bias = offset_of(n, name);
}

static void find_unit(const net *n, unit *u, const char *side, int stage, int i)
{
    char prefix[48];
    snprintf(prefix, sizeof prefix, "%s.%d.conv%d", side, stage, i);
    find_pair(n, prefix, &u->weight, &u->bias);
    snprintf(prefix, sizeof prefix, "%s.%d.norm%d", side, stage, i);
    find_pair(n, prefix, &u->gamma, &u->beta);
}

static void find_parameters(net *n)
{
    char prefix[48];
    for (int s = 0; s < n->config.stages; s++)
        for (int i = 0; i < 2; i++) {
            find_unit(n, &n->encoder[s][i], "encoder", s, i);
            if (s < n->config.stages - 1)
                find_unit(n, &n->decoder[s][i], "decoder", s, i);
        }
    for (int s = 0; s < n->config.stages - 1; s++) {
        snprintf(prefix, sizeof prefix, "decoder.%d.up", s);
        find_pair(n, prefix, &n->up[s].weight, &n->up[s].bias);
    }
    for (int h = 0; h < net_heads(n); h++) {
        snprintf(prefix, sizeof prefix, "head.%d", h);
        find_pair(n, prefix, &n->head_weight[h], &n->head_bias[h]);
    }
}

/* ---- memory ------------------------------------------------------------------------------- */

/* Hands out pieces of the workspace; with base NULL it only counts. */
typedef struct {
    uint8_t *base;
    size_t used;
} arena;

static void *take(arena *a, size_t bytes)
{
    void *piece = a->base ? a->base + a->used : NULL;
    a->used += (bytes + 63) / 64 * 64;
    return piece;
}

/* Bytes of a layer's y in training: what the backward pass puts in its place later (backward.c) is
 * shaped as it or as the stage below, which at the smallest extents is the larger one, for its
 * pads. */
static size_t output_bytes(const net *n, const unit *u)
{
    size_t bytes = tensor_bytes(&u->y);
    for (int s = 0; s < n->config.stages - 1; s++)
        if (u == &n->decoder[s][0]) {
            const size_t below = tensor_bytes(&n->up[s].x);
            bytes = below > bytes ? below : bytes;
        }
    return bytes;
}

static void take_unit(net *n, unit *u, void *context)
{
    arena *a = context;
    if (n->mode == NET_TRAIN && u->normed)
        u->y.data = take(a, output_bytes(n, u));
    if (u->normed)
        u->moments = take(a, (size_t)(n->batch * u->conv.out * 2) * sizeof(float));
}

static void largest_unit(net *n, unit *u, void *context)
{
    size_t *largest = context;
    const size_t bytes = tensor_bytes(&u->y);
    (void)n;
    *largest = bytes > *largest ? bytes : *largest;
}

static void largest_scratch(net *n, unit *u, void *context)
{
    size_t *largest = context;
    const int passes = n->mode == NET_TRAIN ? CONV_WEIGHT_GRADIENT : CONV_FORWARD;
    const size_t norm = norm_scratch_bytes(&u->y);
    *largest = norm > *largest ? norm : *largest;
    for (int pass = CONV_FORWARD; pass <= passes; pass++) {
        const size_t bytes = conv_scratch_bytes(n->engine, &u->conv, &u->x, (conv_pass)pass);
        *largest = bytes > *largest ? bytes : *largest;
    }
}

/* The plan of the workspace. Training's y live from forward to backward; the temporaries serve
 * activations on the way forward, gradients on the way back. Prediction keeps the skips alone. */
static size_t lay_out(net *n, void *workspace)
{
    arena a = {workspace, 0};
    size_t activation = 0, scratch = 0;
    over_units(n, largest_unit, &activation);
    over_units(n, largest_scratch, &scratch);
    n->input.data = take(&a, tensor_bytes(&n->input));
    over_units(n, take_unit, &a);
    for (int i = 0; i < 2; i++)
        n->temporary[i] = take(&a, activation);
    for (int s = 0; s < n->config.stages - 1; s++)
        n->skip[s] = tensor_in(&n->encoder[s][1].y, take(&a, tensor_bytes(&n->encoder[s][1].y)));
    const int heads = n->mode == NET_TRAIN ? net_heads(n) : 1;
    for (int h = 0; h < heads; h++) {
        const tensor *t = &n->decoder[h][1].y;
        n->logits[h] =
            take(&a, (size_t)(n->batch * n->config.classes * t->d * t->h * t->w) * sizeof(float));
        const size_t bytes = head_scratch_bytes(t, n->config.classes);
        scratch = bytes > scratch ? bytes : scratch;
    }
    const size_t last =
        n->mode == NET_TRAIN ? last_scratch_bytes(n->engine, &n->decoder[0][1].y) : 0;
    n->scratch_bytes = last > scratch ? last : scratch;
    n->scratch = take(&a, n->scratch_bytes);
    return a.used;
}

static void count_packed(net *n, unit *u, void *context)
{
    size_t *bytes = context;
    u->packed = *bytes;
    *bytes += (conv_packed_bytes(n->engine, &u->conv) + 63) / 64 * 64;
}

static net shape_of(const net_config *config, int64_t batch, const int64_t patch[3], net_mode mode,
                    const engine *e)
{
    net n = {
        .config = *config,
        .batch = batch,
        .patch = {patch[0], patch[1], patch[2]},
        .mode = mode,
        .engine = (engine *)(uintptr_t)e, /* nothing runs on it */
    };
    make_units(&n);
    return n;
}

size_t net_workspace_bytes(const net_config *config, int64_t batch, const int64_t patch[3],
                           net_mode mode, const engine *e)
{
    net n = shape_of(config, batch, patch, mode, e);
    return lay_out(&n, NULL);
}

size_t net_packed_bytes(const net_config *config, net_mode mode, const engine *e)
{
    const int64_t extent = (int64_t)1 << config->stages, patch[3] = {extent, extent, extent};
    net n = shape_of(config, 1, patch, mode, e); /* the patch does not matter */
    size_t bytes = 0;
    over_units(&n, count_packed, &bytes);
    return bytes;
}

void net_bind(net *n, void *workspace)
{
    lay_out(n, workspace);
}

/* ---- making and unmaking ------------------------------------------------------------------ */

static ts_status check_patch(const net_config *config, const int64_t patch[3], ts_error *error)
{
    for (int i = 0; i < 3; i++)
        if (patch[i] < 1 || patch[i] >> (config->stages - 1) << (config->stages - 1) != patch[i])
            return error_set(error, TS_BAD_INPUT,
                             "a patch of %lld voxels cannot be halved %d times",
                             (long long)patch[i], config->stages - 1);
    return TS_OK;
}

ts_status net_create(const net_config *config, int64_t batch, const int64_t patch[3], net_mode mode,
                     engine *e, net **out, ts_error *error)
{
    *out = NULL;
    ts_status status = check_patch(config, patch, error);
    if (status != TS_OK)
        return status;
    net *n = memory_allocate(1, sizeof *n, "a network", error);
    if (!n)
        return TS_MEMORY;
    status = net_layout(config, &n->parameters, &n->parameter_count, &n->weight_count, error);
    if (status != TS_OK) {
        net_destroy(n);
        return status;
    }
    net_parameter *const parameters = n->parameters;
    const size_t parameter_count = n->parameter_count;
    const int64_t weight_count = n->weight_count;
    *n = shape_of(config, batch, patch, mode, e);
    n->parameters = parameters;
    n->parameter_count = parameter_count;
    n->weight_count = weight_count;
    size_t packed = 0;
    over_units(n, count_packed, &packed);
    find_parameters(n);
    const size_t gradients = mode == NET_TRAIN ? (size_t)n->weight_count : 0;
    n->weights =
        memory_allocate((size_t)n->weight_count, sizeof(float), "a network's weights", error);
    n->gradients = memory_allocate(gradients, sizeof(float), "a network's gradients", error);
    n->packed = memory_allocate(packed, 1, "a network's packed weights", error);
    n->stale = true;
    if (!n->weights || !n->gradients || !n->packed) {
        net_destroy(n);
        return TS_MEMORY;
    }
    *out = n;
    return TS_OK;
}

ts_status net_set_patch(net *n, const int64_t patch[3], ts_error *error)
{
    const ts_status status = check_patch(&n->config, patch, error);
    if (status != TS_OK)
        return status;
    size_t packed = 0; /* as before: packed weights do not depend on the patch */
    memcpy(n->patch, patch, sizeof n->patch);
    make_units(n);
    over_units(n, count_packed, &packed);
    find_parameters(n);
    n->scratch = NULL;
    return TS_OK;
}

void net_destroy(net *n)
{
    if (!n)
        return;
    for (int i = 0; i < NET_FEATURES_MAX; i++)
        free(n->features[i].values);
    free(n->parameters);
    free(n->weights);
    free(n->gradients);
    free(n->packed);
    free(n);
}

/* ---- weights ------------------------------------------------------------------------------ */

size_t net_parameter_count(const net *n)
{
    return n->parameter_count;
}

const net_parameter *net_parameters(const net *n)
{
    return n->parameters;
}

int64_t net_weight_count(const net *n)
{
    return n->weight_count;
}

float *net_weights(net *n)
{
    return n->weights;
}

void net_weights_changed(net *n)
{
    n->stale = true;
}

float *net_gradients(net *n)
{
    return n->gradients;
}

/* The inputs that one output sums over, as PyTorch's fan_in has it: shape[1] times the kernel (for
 * a transposed convolution that is its outputs). */
static int64_t fan_in(const net_parameter *p)
{
    return p->shape[1] * p->shape[2] * p->shape[3] * p->shape[4];
}

static void initialise(net *n, const net_parameter *p, uint64_t seed)
{
    float *w = n->weights + p->offset;
    const size_t length = strlen(p->name);
    if (p->norm_or_bias) {
        const bool scale = length > 7 && !strcmp(p->name + length - 7, ".weight");
        for (int64_t i = 0; i < p->count; i++)
            w[i] = scale ? 1 : 0;
        return;
    }
    const uint64_t key = hash_bytes(HASH_START, p->name, length);
    random_stream r = random_open(seed, RANDOM_WEIGHTS, (uint32_t)key, (uint32_t)(key >> 32));
    const double deviation = sqrt(2 / (1 + 0.01 * 0.01) / (double)fan_in(p));
    for (int64_t i = 0; i < p->count; i++)
        w[i] = (float)(deviation * random_normal(&r));
}

void net_initialise(net *n, uint64_t seed)
{
    for (size_t i = 0; i < n->parameter_count; i++)
        initialise(n, &n->parameters[i], seed);
    net_weights_changed(n);
}

/* ---- features ----------------------------------------------------------------------------- */

int net_heads(const net *n)
{
    return net_head_count(&n->config);
}

float *net_logits(net *n, int head)
{
    return n->logits[head];
}

const unit *net_feature_unit(const net *n, const char *name)
{
    const int lowest = n->config.stages - 1;
    int64_t stage;
    if (!strcmp(name, "bottleneck"))
        return &n->encoder[lowest][1];
    if (strncmp(name, "encoder", 7) && strncmp(name, "decoder", 7))
        return NULL;
    if (!parse_integer(name + 7, &stage) || stage < 0 || stage >= lowest)
        return NULL;
    return name[0] == 'e' ? &n->encoder[stage][1] : &n->decoder[stage][1];
}

bool net_feature_shape(const net *n, const char *name, int64_t shape[5])
{
    const unit *u = net_feature_unit(n, name);
    if (!u)
        return false;
    const int64_t all[5] = {u->y.n, u->y.c, u->y.d, u->y.h, u->y.w};
    memcpy(shape, all, sizeof all);
    return true;
}

ts_status net_feature_gradient(net *n, const char *name, const float *gradient, ts_error *error)
{
    const unit *u = net_feature_unit(n, name);
    if (!u)
        return error_set(error, TS_BAD_INPUT, "the network has no stage '%s'", name);
    int place = 0;
    while (place < n->feature_count && n->features[place].at != u)
        place++;
    if (place == NET_FEATURES_MAX)
        return error_set(error, TS_BAD_INPUT, "a network takes gradients at no more than %d stages",
                         NET_FEATURES_MAX);
    feature_gradient *f = &n->features[place];
    const size_t count = (size_t)(u->y.n * u->y.c * u->y.d * u->y.h * u->y.w);
    if (!f->values)
        f->values = memory_allocate(count, sizeof(float), "a feature's gradient", error);
    if (!f->values)
        return TS_MEMORY;
    if (place == n->feature_count)
        n->feature_count++;
    f->at = u;
    f->wanted = true;
    memcpy(f->values, gradient, count * sizeof(float));
    return TS_OK;
}
