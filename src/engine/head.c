/* Heads: 1x1x1 convolutions between tensors and plain logits, plane by plane.
 *
 * A task is a plane of a sample. The weight gradient's planes are split among HEAD_PARTS partial
 * sums, which are added in their order: the same bits with any number of threads. */
#include "engine/kernels.h"
#include "engine/pads.h"
#include "engine/ref.h"

typedef struct {
    engine *e;
    const tensor *t;
    const norm_parameters *norm;
    const float *weight, *bias;
    int64_t classes;
    float *logits;
    double *sums; /* [HEAD_PARTS][classes][c + 1], the bias's last */
    bool add;
} job;

/* What a plane's lists point into. */
typedef struct {
    uint32_t *unit[UNITS_MOST];
    head_norm norm[UNITS_MOST];
} lists;

/* Plane number `index` of all samples'. */
static head_plane plane_at(const job *j, int64_t index, lists *l)
{
    const tensor *t = j->t;
    const int64_t n = index / t->d, z = index % t->d, voxels = t->d * t->h * t->w;
    for (int64_t u = 0; u < tensor_units(t); u++)
        l->unit[u] = tensor_unit(t, n, u) + z * t->plane;
    for (int64_t c = 0; j->norm && c < t->c; c++) {
        const float *moments = j->norm->moments + (n * t->c + c) * 2;
        l->norm[c] = (head_norm){moments[0], j->norm->gamma[c] * moments[1], j->norm->beta[c]};
    }
    return (head_plane){
        .unit = l->unit,
        .norm = j->norm ? l->norm : NULL,
        .channels = t->c,
        .classes = j->classes,
        .h = t->h,
        .w = t->w,
        .row = t->row,
        .logits = j->logits + n * j->classes * voxels + z * t->h * t->w,
        .stride = voxels,
    };
}

static void forward_plane(void *context, int64_t index, int thread)
{
    (void)thread;
    const job *j = context;
    lists l;
    const head_plane p = plane_at(j, index, &l);
    j->e->kernels->head_forward(&p, j->weight, j->bias);
}

void head_forward(engine *e, const tensor *y, const norm_parameters *norm, const float *weight,
                  const float *bias, int64_t classes, float *logits)
{
    if (e->target == TARGET_REF) {
        ref_head_forward(e, y, norm, weight, bias, classes, logits);
        return;
    }
    job j = {.e = e,
             .t = y,
             .norm = norm,
             .weight = weight,
             .bias = bias,
             .classes = classes,
             .logits = logits};
    pool_run(e->threads, forward_plane, &j, y->n * y->d);
}

static void data_plane(void *context, int64_t index, int thread)
{
    (void)thread;
    const job *j = context;
    const tensor *t = j->t;
    const int64_t n = index / t->d, z = index % t->d;
    lists l;
    const head_plane p = plane_at(j, index, &l);
    j->e->kernels->head_data(&p, j->weight, j->add);
    for (int64_t u = 0; !j->add && u < tensor_units(t); u++)
        clear_pads(t, tensor_unit(t, n, u), z * t->plane,
                   z == t->d - 1 ? t->span : (z + 1) * t->plane);
}

void head_data_gradient(engine *e, const float *dlogits, const float *weight, int64_t classes,
                        const tensor *da, bool add)
{
    if (e->target == TARGET_REF) {
        ref_head_data_gradient(e, dlogits, weight, classes, da, add);
        return;
    }
    job j = {.e = e, .t = da, .weight = weight, .classes = classes, .add = add};
    j.logits = (float *)(uintptr_t)dlogits;
    pool_run(e->threads, data_plane, &j, da->n * da->d);
    if (!add)
        clear_tail(da);
}

size_t head_scratch_bytes(const tensor *y, int64_t classes)
{
    return (size_t)(HEAD_PARTS * classes * (y->c + 1)) * sizeof(double);
}

static void weight_part(void *context, int64_t part, int thread)
{
    (void)thread;
    const job *j = context;
    const int64_t count = j->classes * (j->t->c + 1), planes = j->t->n * j->t->d;
    double *sums = j->sums + part * count;
    lists l;
    memset(sums, 0, (size_t)count * sizeof *sums);
    for (int64_t i = part * planes / HEAD_PARTS; i < (part + 1) * planes / HEAD_PARTS; i++) {
        const head_plane p = plane_at(j, i, &l);
        j->e->kernels->head_weight(&p, sums);
    }
}

void head_weight_gradient(engine *e, const tensor *y, const norm_parameters *norm,
                          const float *dlogits, int64_t classes, float *dweight, float *dbias,
                          void *scratch)
{
    if (e->target == TARGET_REF) {
        ref_head_weight_gradient(e, y, norm, dlogits, classes, dweight, dbias);
        return;
    }
    job j = {.e = e, .t = y, .norm = norm, .classes = classes, .sums = scratch};
    j.logits = (float *)(uintptr_t)dlogits;
    pool_run(e->threads, weight_part, &j, HEAD_PARTS);
    const int64_t count = classes * (y->c + 1);
    for (int64_t i = 0; i < count; i++) {
        double sum = 0;
        for (int64_t part = 0; part < HEAD_PARTS; part++)
            sum += j.sums[part * count + i];
        const int64_t k = i / (y->c + 1), c = i % (y->c + 1);
        *(c < y->c ? &dweight[k * y->c + c] : &dbias[k]) = (float)sum;
    }
}
