/* twinseg-bench kernels: every layer of a network by itself, its three passes as GFLOP/s and as
 * shares of the register roof that is measured before each; their sum over a training pass of the
 * network; norm as GB/s beside the triad. */
#include "bench.h"
#include "scaling.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    engine *e;
    conv c;
    tensor x[2], y, dy, dx[2];
    void *packed, *scratch;
    float *weight, *bias, *dweight, *moments;
} layer;

static void *allocate(size_t bytes)
{
    ts_error error;
    void *memory = memory_allocate(bytes, 1, "a benchmark", &error);
    if (!memory) {
        fprintf(stderr, "twinseg-bench: %s\n", error.text);
        exit(1);
    }
    return memory;
}

static void tensor_random(engine *e, tensor *t)
{
    const int64_t count = t->n * t->c * t->d * t->h * t->w;
    float *values = allocate((size_t)count * sizeof *values);
    uint32_t state = 1;
    for (int64_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        values[i] = (float)(state >> 8) * 0x1p-24f - 0.5f;
    }
    t->data = allocate(tensor_bytes(t));
    tensor_upload(e, values, t);
    free(values);
}

static layer layer_make(engine *e, const conv *c, int64_t batch, int64_t size)
{
    layer l = {.e = e, .c = *c};
    for (int i = 0; i < 2 && c->in[i]; i++) {
        l.x[i] = tensor_describe(e, batch, c->in[i], size, size, size);
        l.dx[i] = l.x[i];
        tensor_random(e, &l.x[i]);
        tensor_random(e, &l.dx[i]);
    }
    l.dy = l.y = conv_output(e, c, &l.x[0]);
    tensor_random(e, &l.y);
    tensor_random(e, &l.dy);
    const size_t weights = (size_t)((c->in[0] + c->in[1]) * c->out * 27);
    l.weight = allocate(weights * sizeof(float));
    for (size_t i = 0; i < weights; i++)
        l.weight[i] = (float)(i % 17) * 0.01f - 0.08f;
    l.dweight = allocate(weights * sizeof(float));
    l.bias = allocate((size_t)c->out * sizeof(float));
    l.moments = allocate((size_t)(batch * c->out * 2) * sizeof(float));
    l.packed = allocate(conv_packed_bytes(e, c));
    size_t most = 0;
    for (int pass = CONV_FORWARD; pass <= CONV_WEIGHT_GRADIENT; pass++) {
        const size_t bytes = conv_scratch_bytes(e, c, &l.x[0], (conv_pass)pass);
        most = bytes > most ? bytes : most;
    }
    l.scratch = allocate(most);
    conv_pack(e, c, l.weight, l.packed);
    return l;
}

static void layer_free(layer *l)
{
    void *all[] = {l->x[0].data, l->x[1].data, l->dx[0].data, l->dx[1].data,
                   l->y.data,    l->dy.data,   l->packed,     l->scratch,
                   l->weight,    l->bias,      l->dweight,    l->moments};
    for (size_t i = 0; i < COUNT_OF(all); i++)
        free(all[i]);
}

static void layer_run(layer *l, conv_pass pass)
{
    conv_inputs x = {&l->x[0], l->c.in[1] ? &l->x[1] : NULL};
    conv_inputs dx = {&l->dx[0], l->c.in[1] ? &l->dx[1] : NULL};
    if (pass == CONV_FORWARD)
        conv_forward(l->e, &l->c, x, l->packed, l->bias, &l->y,
                     l->c.kind == CONV_UP ? NULL : l->moments, l->scratch);
    else if (pass == CONV_DATA_GRADIENT)
        conv_data_gradient(l->e, &l->c, l->weight, &l->dy, dx, (bool[2]){false}, l->scratch);
    else
        conv_weight_gradient(l->e, &l->c, x, &l->dy, l->dweight, l->bias, l->scratch);
}

/* A layer of the network, and how often it has such a one. Of the first layer no data gradient is
 * wanted. */
typedef struct {
    conv c;
    int64_t size;
    int times;
    bool first;
} listed;

static const char *const kind_names[] = {"3x3x3", "3x3x3/2", "up"};

typedef struct {
    double flops, seconds[3], roof_seconds;
} totals;

/* One line of the table: medians, and medians of the shares of the roof measured just before. */
static void layer_measure(layer *l, const listed *k, int repeats, totals *sum, char cells[7][32],
                          json_t *layers)
{
    const double flops = conv_flops(&l->c, &l->x[0]);
    char second[16] = "";
    if (k->c.in[1])
        snprintf(second, sizeof second, "+%d", (int)k->c.in[1]);
    snprintf(cells[0], 32, "%d %s %d%s->%d @%d", k->times, kind_names[k->c.kind], (int)k->c.in[0],
             second, (int)k->c.out, (int)k->size);
    json_t *passes = json_array();
    for (int pass = CONV_FORWARD; pass <= CONV_WEIGHT_GRADIENT; pass++) {
        double times[64], shares[64];
        if (pass == CONV_DATA_GRADIENT && k->first) {
            json_array_append_new(passes, json_null());
            continue;
        }
        for (int r = 0; r < repeats; r++) {
            const double roof = roof_gflops(l->e), start = bench_seconds();
            layer_run(l, (conv_pass)pass);
            times[r] = bench_seconds() - start;
            shares[r] = flops * 1e-9 / times[r] / roof;
        }
        const double seconds = spread_of(times, (size_t)repeats).median;
        const double share = spread_of(shares, (size_t)repeats).median;
        snprintf(cells[1 + 2 * pass], 24, "%.0f", flops * 1e-9 / seconds);
        snprintf(cells[2 + 2 * pass], 24, "%.0f %%", 100 * share);
        json_array_append_new(passes, json_real(share));
        sum->seconds[pass] += k->times * seconds;
        sum->roof_seconds += k->times * seconds * share;
        sum->flops += k->times * flops;
    }
    json_array_append_new(layers, json_pack("{s:s, s:o}", "layer", cells[0], "shares", passes));
}

/* In the places of GFLOP/s the tasks of the pass's longest job, in those of shares how much faster
 * 16 and 64 threads are on paper. */
static void layer_scale(layer *l, const listed *k, int repeats, double barrier, char cells[7][32])
{
    char second[16] = "";
    if (k->c.in[1])
        snprintf(second, sizeof second, "+%d", (int)k->c.in[1]);
    snprintf(cells[0], 32, "%d %s %d%s->%d @%d", k->times, kind_names[k->c.kind], (int)k->c.in[0],
             second, (int)k->c.out, (int)k->size);
    for (int pass = CONV_FORWARD; pass <= CONV_WEIGHT_GRADIENT; pass++) {
        recording r = {0};
        if (pass == CONV_DATA_GRADIENT && k->first)
            continue;
        for (int i = 0; i < repeats; i++) {
            recording_begin(&r, engine_pool(l->e));
            layer_run(l, (conv_pass)pass);
            recording_end(&r, engine_pool(l->e));
        }
        const double one = recording_predict(&r, 1, 0);
        snprintf(cells[1 + 2 * pass], 24, "%lld", (long long)recording_largest(&r));
        snprintf(cells[2 + 2 * pass], 24, "%.1f, %.1f", one / recording_predict(&r, 16, barrier),
                 one / recording_predict(&r, SCALING_MOST, barrier));
        recording_free(&r);
    }
}

static int64_t width(const bench_options *o, int64_t stage)
{
    const int64_t w = o->base << stage;
    return w < o->cap ? w : o->cap;
}

static conv layer_of(conv_kind kind, int64_t in, int64_t second, int64_t out)
{
    return (conv){.kind = kind, .in = {in, second}, .out = out};
}

/* The layers of the network (docs/method.md, "Network"), each kind and size once. */
static size_t list_layers(const bench_options *o, listed *list)
{
    size_t count = 0;
    for (int64_t s = 0; s < o->stages; s++) {
        const int64_t size = o->patch >> s, w = width(o, s);
        const bool lowest = s == o->stages - 1;
        list[count++] = s ? (listed){layer_of(CONV_3_2, width(o, s - 1), 0, w), size * 2, 1, false}
                          : (listed){layer_of(CONV_3, 4, 0, w), size, 1, true};
        list[count++] = (listed){layer_of(CONV_3, w, 0, w), size, lowest ? 1 : 2, false};
        if (lowest)
            break;
        list[count++] = (listed){layer_of(CONV_UP, width(o, s + 1), 0, w), size / 2, 1, false};
        list[count++] = (listed){layer_of(CONV_3, w, w, w), size, 1, false};
    }
    return count;
}

static void measure_norm(engine *e, const bench_options *o)
{
    const double triad = triad_gbytes(e, NULL);
    printf("\ntriad %.1f GB/s\n", triad);
    for (int64_t s = 0; s < o->stages; s++) {
        const int64_t size = o->patch >> s, c = width(o, s), factors = o->batch * c * 2;
        tensor y = tensor_describe(e, o->batch, c, size, size, size), da = y, dy = y;
        tensor_random(e, &y);
        tensor_random(e, &da);
        tensor_random(e, &dy);
        float *f = allocate((size_t)(factors * 3) * sizeof *f);
        for (int64_t i = 0; i < factors * 3; i++)
            f[i] = 0.5f;
        const norm_parameters norm = {f, f, f};
        void *sums = allocate(norm_scratch_bytes(&y));
        double forward[64], backward[64];
        for (int64_t r = 0; r < o->repeats; r++) {
            const double start = bench_seconds();
            norm_forward(e, &y, f, f, f, &dy);
            const double middle = bench_seconds();
            norm_backward(e, &y, &norm, &da, &dy, f + factors, f + 2 * factors, sums);
            forward[r] = middle - start;
            backward[r] = bench_seconds() - middle;
        }
        const double bytes = (double)tensor_bytes(&y) * 1e-9;
        const double f_time = spread_of(forward, (size_t)o->repeats).median;
        const double b_time = spread_of(backward, (size_t)o->repeats).median;
        printf("norm %ld x %ld^3: forward %.2f ms (%.0f %% of the triad), backward %.2f ms (%.0f "
               "%%)\n",
               (long)c, (long)size, f_time * 1e3, 200 * bytes / f_time / triad, b_time * 1e3,
               500 * bytes / b_time / triad);
        void *all[] = {y.data, da.data, dy.data, f, sums};
        for (size_t i = 0; i < COUNT_OF(all); i++)
            free(all[i]);
    }
}

static void print_json(const engine *e, const totals *sum, json_t *layers)
{
    const double seconds = sum->seconds[0] + sum->seconds[1] + sum->seconds[2];
    json_t *json = json_pack("{s:s, s:f, s:f, s:O}", "target", engine_target(e), "gflops",
                             sum->flops * 1e-9 / seconds, "share", sum->roof_seconds / seconds,
                             "layers", layers);
    char *line = json_dumps(json, JSON_REAL_PRECISION(6));
    printf("%s\n", line);
    free(line);
    json_decref(json);
}

static void print_table(engine *e, const totals *sum, const char *const *cells, size_t rows)
{
    const double seconds = sum->seconds[0] + sum->seconds[1] + sum->seconds[2];
    printf("target %s, roof %.0f GFLOP/s\n", engine_target(e), roof_gflops(e));
    table_print(stdout, cells, rows, 7);
    printf("all, by their times: %.0f GFLOP/s, %.0f %% of the roof (forward %.1f ms, data gradient "
           "%.1f ms, weight gradient %.1f ms)\n",
           sum->flops * 1e-9 / seconds, 100 * sum->roof_seconds / seconds, sum->seconds[0] * 1e3,
           sum->seconds[1] * 1e3, sum->seconds[2] * 1e3);
}

int bench_kernels(const bench_options *o)
{
    static const char *const headers[2][7] = {
        {"times, layer", "forward", "share", "data gr.", "share", "weight gr.", "share"},
        {"times, layer", "forward", "16, 64", "data gr.", "16, 64", "weight gr.", "16, 64"}};
    const double barrier = o->scaling ? measure_barrier() : 0;
    engine *e;
    ts_error error;
    if (engine_create((int)o->threads, o->dtype, NULL, &e, &error) != TS_OK) {
        fprintf(stderr, "twinseg-bench: %s\n", error.text);
        return 1;
    }
    listed layers[64];
    const size_t count = list_layers(o, layers);
    static char lines[65][7][32];
    static const char *cells[65 * 7];
    totals sum = {0};
    json_t *json = json_array();
    for (size_t i = 0; i < count; i++) {
        layers[i].c.winograd = o->winograd;
        layer l = layer_make(e, &layers[i].c, o->batch, layers[i].size);
        if (o->scaling)
            layer_scale(&l, &layers[i], (int)o->repeats, barrier, lines[i + 1]);
        else
            layer_measure(&l, &layers[i], (int)o->repeats, &sum, lines[i + 1], json);
        layer_free(&l);
    }
    for (size_t i = 0; i < (count + 1) * 7; i++)
        cells[i] = i < 7 ? headers[o->scaling][i] : lines[i / 7][i % 7];
    if (o->scaling) {
        printf("tasks, and how much faster 16 and 64 threads are on paper\n");
        table_print(stdout, cells, count + 1, 7);
    } else if (o->json) {
        print_json(e, &sum, json);
    } else {
        print_table(e, &sum, cells, count + 1);
        measure_norm(e, o);
    }
    json_decref(json);
    engine_destroy(e);
    return 0;
}
