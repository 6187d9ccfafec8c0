/* Barlow Twins behind a projector: h = A x, u = (h - mean) / sigma, r = max(u, 0), o = B r, the
 * loss between the two networks' o. The same A and B serve both. */
#include "loss/features.h"
#include "loss/projector.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int64_t loss_projector_weights(int64_t channels, int64_t width)
{
    return width * (channels + width);
}

void loss_projector_initialise(float *weights, int64_t channels, int64_t width, uint64_t seed,
                               const char *name)
{
    const uint64_t key = hash_bytes(HASH_START, name, strlen(name));
    random_stream r = random_open(seed, RANDOM_WEIGHTS, (uint32_t)key, (uint32_t)(key >> 32));
    for (int64_t i = 0; i < loss_projector_weights(channels, width); i++) {
        const int64_t inputs = i < width * channels ? channels : width;
        weights[i] = (float)(sqrt(2.0 / (double)inputs) * random_normal(&r));
    }
}

/* One network's way through the projector, [n][width][voxels] each; scale: [width]. */
typedef struct {
    float *hidden;   /* u: standardised, before the ReLU */
    float *active;   /* r */
    float *output;   /* o; on the way back the gradient of r, then of h */
    float *gradient; /* of o */
    double *mean, *scale;
} path;

enum { PATH_ARRAYS = 4 };

size_t loss_barlow_bytes(int64_t n, int64_t channels, int64_t voxels, int64_t width)
{
    const size_t w = (size_t)width, wider = (size_t)(channels > width ? channels : width);
    const size_t samples = (size_t)(n * voxels), own = width ? w : (size_t)channels;
    /* loss_barlow's own: two standardised maps, correlations in double and float, six per
     * channel */
    const size_t inner = 2 * samples * own * sizeof(float) + 12 * own * own + 48 * own;
    if (!width)
        return inner;
    return inner + 2 * PATH_ARRAYS * samples * w * sizeof(float) + 32 * w +
           w * wider * sizeof(double);
}

static ts_status allocate_path(path *t, size_t floats, size_t width, ts_error *error)
{
    float **const arrays[PATH_ARRAYS] = {&t->hidden, &t->active, &t->output, &t->gradient};
    for (int i = 0; i < PATH_ARRAYS; i++) {
        *arrays[i] = memory_allocate(floats, sizeof(float), "the projector", error);
        if (!*arrays[i])
            return TS_MEMORY;
    }
    t->mean = memory_allocate(2 * width, sizeof(double), "the projector", error);
    if (!t->mean)
        return TS_MEMORY;
    t->scale = t->mean + width;
    return TS_OK;
}

static void free_path(path *t)
{
    free(t->hidden);
    free(t->active);
    free(t->output);
    free(t->gradient);
    free(t->mean);
}

/* A and B of b's projector, and their transposes. */
static matrix_view first_matrix(const barlow_pair *b)
{
    return (matrix_view){b->projector, b->channels, 1};
}

static matrix_view second_matrix(const barlow_pair *b)
{
    return (matrix_view){b->projector + b->width * b->channels, b->width, 1};
}

static matrix_view transposed(matrix_view m)
{
    return (matrix_view){m.data, m.column, m.row};
}

static void go_forward(const barlow_pair *b, const features *x, path *t, pool *p)
{
    const int64_t width = b->width;
    const features h = {t->hidden, x->n, width, x->voxels}, r = {t->active, x->n, width, x->voxels};
    features_transform(x, first_matrix(b), width, t->hidden, p);
    features_moments(&h, t->mean, t->scale, p);
    for (int64_t row = 0; row < x->n * width; row++)
        for (int64_t v = 0; v < x->voxels; v++) {
            float *u = &t->hidden[row * x->voxels + v];
            *u = (float)((*u - t->mean[row % width]) * t->scale[row % width]);
            t->active[row * x->voxels + v] = *u > 0 ? *u : 0;
        }
    features_transform(&r, second_matrix(b), width, t->output, p);
}

/* Through ReLU and standardisation, in place of the gradient of r: that of h. */
static void standardisation_gradient(const path *t, float *gradient, const features *shape)
{
    const int64_t width = shape->c, voxels = shape->voxels;
    for (int64_t c = 0; c < width; c++) {
        double sum = 0, along = 0;
        for (int64_t row = c; row < shape->n * width; row += width)
            for (int64_t v = row * voxels; v < (row + 1) * voxels; v++) {
                gradient[v] = t->hidden[v] > 0 ? gradient[v] : 0;
                sum += gradient[v];
                along += (double)gradient[v] * t->hidden[v];
            }
        const double count = (double)feature_samples(shape);
        for (int64_t row = c; row < shape->n * width; row += width)
            for (int64_t v = row * voxels; v < (row + 1) * voxels; v++)
                gradient[v] = (float)(t->scale[c] *
                                      (gradient[v] - sum / count - t->hidden[v] * along / count));
    }
}

static void add_products(const features *a, const features *b, double *work, float *sum, pool *p)
{
    features_products(a, b, work, p);
    for (int64_t i = 0; i < a->c * b->c; i++)
        sum[i] += (float)work[i];
}

/* From t's gradient of o to the projector's gradient, which is added to, and x's (NULL: not
 * wanted). work: room for the larger of the two matrices. */
static void go_back(const barlow_pair *b, const features *x, path *t, double *work,
                    float *x_gradient, pool *p)
{
    const int64_t width = b->width;
    const features o = {t->gradient, x->n, width, x->voxels};
    const features r = {t->active, x->n, width, x->voxels};
    add_products(&o, &r, work, b->projector_gradient + width * x->c, p);
    features_transform(&o, transposed(second_matrix(b)), width, t->output, p);
    const features h = {t->output, x->n, width, x->voxels};
    standardisation_gradient(t, t->output, &h);
    add_products(&h, x, work, b->projector_gradient, p);
    if (x_gradient)
        features_transform(&h, transposed(first_matrix(b)), x->c, x_gradient, p);
}

ts_status barlow_projected(const barlow_pair *b, pool *p, double *loss, ts_error *error)
{
    path t[2] = {0};
    const features x[2] = {{b->teacher, b->n, b->channels, b->voxels},
                           {b->student, b->n, b->channels, b->voxels}};
    const size_t floats = (size_t)(b->n * b->width * b->voxels);
    const int64_t wider = b->channels > b->width ? b->channels : b->width;
    ts_status status = TS_MEMORY;
    double *work =
        memory_allocate((size_t)(b->width * wider), sizeof(double), "the projector", error);
    if (!work)
        goto done;
    for (int i = 0; i < 2; i++) {
        status = allocate_path(&t[i], floats, (size_t)b->width, error);
        if (status != TS_OK)
            goto done;
        go_forward(b, &x[i], &t[i], p);
    }
    status = loss_barlow(&(barlow_pair){.teacher = t[0].output,
                                        .student = t[1].output,
                                        .n = b->n,
                                        .channels = b->width,
                                        .voxels = b->voxels,
                                        .lambda = b->lambda,
                                        .weight = b->weight,
                                        .teacher_gradient = t[0].gradient,
                                        .student_gradient = t[1].gradient},
                         p, loss, error);
    if (status != TS_OK)
        goto done;
    memset(b->projector_gradient, 0,
           (size_t)loss_projector_weights(b->channels, b->width) * sizeof(float));
    go_back(b, &x[0], &t[0], work, b->teacher_gradient, p);
    go_back(b, &x[1], &t[1], work, b->student_gradient, p);
done:
    free_path(&t[0]);
    free_path(&t[1]);
    free(work);
    return status;
}
