/* Heads: 1x1x1 convolutions between tensors and plain logits, row by row.
 *
 * A task is a plane of a sample; of the weight gradient, a group of channels, so that its sums run
 * in one order whatever the number of threads. */
#include "engine/kernels.h"

/* Channels that share one reading of the logits in the weight gradient. */
#define HEAD_GROUP 8
/* Units of a tensor: the widest network has 4096 channels (net_layout). */
#define MOST_UNITS 4096

typedef struct {
    engine *e;
    const tensor *a;
    const float *weight, *bias;
    int64_t classes;
    float *logits;
    float *dweight, *dbias;
    bool add;
} job;

/* Row (z, y) of sample n: channels from `first` on. unit: room for their pointers. */
static head_row row_at(const job *j, int64_t n, int64_t z, int64_t y, int64_t first,
                       int64_t channels, uint32_t **unit)
{
    const tensor *a = j->a;
    const int per = CHANNELS_PER_UNIT(a->dtype);
    const int64_t voxels = a->d * a->h * a->w;
    for (int64_t u = 0; u < (channels + per - 1) / per; u++)
        unit[u] = tensor_unit(a, n, first / per + u) + z * a->plane + y * a->row;
    return (head_row){
        .unit = unit,
        .channels = channels,
        .classes = j->classes,
        .w = a->w,
        .logits = j->logits + n * j->classes * voxels + (z * a->h + y) * a->w,
        .stride = voxels,
    };
}

static void forward_plane(void *context, int64_t index, int thread)
{
    (void)thread;
    const job *j = context;
    uint32_t *unit[MOST_UNITS];
    for (int64_t y = 0; y < j->a->h; y++) {
        const head_row h = row_at(j, index / j->a->d, index % j->a->d, y, 0, j->a->c, unit);
        j->e->kernels->head_forward(&h, j->weight, j->bias);
    }
}

void head_forward(engine *e, const tensor *a, const float *weight, const float *bias,
                  int64_t classes, float *logits)
{
    if (e->target == TARGET_REF) {
        ref_head_forward(e, a, weight, bias, classes, logits);
        return;
    }
    job j = {.e = e, .a = a, .weight = weight, .bias = bias, .classes = classes, .logits = logits};
    pool_run(e->threads, forward_plane, &j, a->n * a->d);
}

static void data_plane(void *context, int64_t index, int thread)
{
    (void)thread;
    const job *j = context;
    const tensor *a = j->a;
    const int64_t n = index / a->d, z = index % a->d;
    uint32_t *unit[MOST_UNITS];
    for (int64_t y = 0; y < a->h; y++) {
        const head_row h = row_at(j, n, z, y, 0, a->c, unit);
        j->e->kernels->head_data(&h, j->weight, j->add);
    }
    for (int64_t u = 0; !j->add && u < tensor_units(a); u++)
        clear_pads(a, tensor_unit(a, n, u), z * a->plane,
                   z == a->d - 1 ? a->span : (z + 1) * a->plane);
}

void head_data_gradient(engine *e, const float *dlogits, const float *weight, int64_t classes,
                        const tensor *da, bool add)
{
    if (e->target == TARGET_REF) {
        ref_head_data_gradient(e, dlogits, weight, classes, da, add);
        return;
    }
    job j = {.e = e, .a = da, .weight = weight, .classes = classes, .add = add};
    j.logits = (float *)(uintptr_t)dlogits;
    pool_run(e->threads, data_plane, &j, da->n * da->d);
    if (!add)
        clear_tail(da);
}

static void weight_group(void *context, int64_t index, int thread)
{
    (void)thread;
    const job *j = context;
    const tensor *a = j->a;
    const int64_t first = index * HEAD_GROUP;
    const int64_t channels = a->c - first < HEAD_GROUP ? a->c - first : HEAD_GROUP;
    uint32_t *unit[HEAD_GROUP];
    double sum[64 * HEAD_GROUP] = {0};
    for (int64_t n = 0; n < a->n; n++)
        for (int64_t z = 0; z < a->d; z++)
            for (int64_t y = 0; y < a->h; y++) {
                const head_row h = row_at(j, n, z, y, first, channels, unit);
                j->e->kernels->head_weight(&h, sum);
            }
    for (int64_t k = 0; k < j->classes; k++)
        for (int64_t c = 0; c < channels; c++)
            j->dweight[k * a->c + first + c] = (float)sum[k * channels + c];
}

static void bias_class(void *context, int64_t k, int thread)
{
    (void)thread;
    const job *j = context;
    const int64_t voxels = j->a->d * j->a->h * j->a->w;
    double sum = 0;
    for (int64_t n = 0; n < j->a->n; n++)
        for (int64_t i = 0; i < voxels; i++)
            sum += (double)j->logits[(n * j->classes + k) * voxels + i];
    j->dbias[k] = (float)sum;
}

void head_weight_gradient(engine *e, const tensor *a, const float *dlogits, int64_t classes,
                          float *dweight, float *dbias)
{
    if (e->target == TARGET_REF) {
        ref_head_weight_gradient(e, a, dlogits, classes, dweight, dbias);
        return;
    }
    job j = {.e = e, .a = a, .classes = classes, .dweight = dweight, .dbias = dbias};
    j.logits = (float *)(uintptr_t)dlogits;
    pool_run(e->threads, weight_group, &j, (a->c + HEAD_GROUP - 1) / HEAD_GROUP);
    pool_run(e->threads, bias_class, &j, classes);
}
