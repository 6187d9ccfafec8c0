/* Latents, their gradients, and the loss between them (docs/method.md, "Barlow Twins"). */
#include "train/barlow.h"
#include "loss/loss.h"
#include "train/optimiser.h"

#include <stdlib.h>
#include <string.h>

enum { STAGES_MAX = 8 }; /* as many gradients as a net takes */

/* One stage at which the twins are compared: features [N][C][voxels] of the whole batch; where
 * ranks share it, each brings its samples and has all of them gathered. */
typedef struct {
    char name[16];
    int64_t channels, voxels;
    float *teacher, *student, *teacher_gradient, *student_gradient;
    int64_t projector; /* where its projector lies in the flat arrays */
} latent;

struct barlow {
    double lambda;
    int64_t batch, width; /* of the projectors; 0: none */
    latent latents[STAGES_MAX];
    int count;
    float *weights, *gradients; /* of all projectors */
    int64_t weight_count;
};

/* The stage of a feature by its name; the bottleneck is the lowest. */
static int64_t stage_of(const plan *p, const char *name)
{
    return !strcmp(name, "bottleneck") ? p->stages - 1 : strtol(name + strlen("encoder"), NULL, 10);
}

/* Names and shapes of the plan's stages; how many there are, or -1 for too many. */
static int list_latents(const plan *p, latent latents[STAGES_MAX])
{
    int count = 0;
    for (const char *at = p->barlow_stage; *at;) {
        const size_t length = strcspn(at, "+");
        if (count == STAGES_MAX)
            return -1;
        latent *l = &latents[count++];
        *l = (latent){0};
        snprintf(l->name, sizeof l->name, "%.*s", (int)length, at);
        const int64_t stage = stage_of(p, l->name), width = p->base << stage;
        l->channels = width < p->cap ? width : p->cap;
        l->voxels = p->patch[0] * p->patch[1] * p->patch[2] >> 3 * stage;
        at += length + (at[length] == '+');
    }
    return count;
}

static size_t latent_floats(const plan *p, const latent *l)
{
    return (size_t)(p->batch * l->channels * l->voxels);
}

static int64_t projector_floats(const plan *p, const latent *l)
{
    return p->barlow_projector ? loss_projector_weights(l->channels, p->barlow_projector) : 0;
}

/* Teacher's, student's, the student's gradient, and where it is wanted the teacher's. */
static int arrays_per_latent(const plan *p)
{
    return p->teacher_gradient ? 4 : 3;
}

/* A net copies the gradient that it is given, once taken into its own memory. */
static int copies_per_latent(const plan *p)
{
    return p->teacher_gradient ? 2 : 1;
}

ts_status barlow_bytes(const plan *p, size_t *bytes, size_t *working, ts_error *error)
{
    latent latents[STAGES_MAX];
    const int count = list_latents(p, latents);
    if (count < 0)
        return error_set(error, TS_BAD_INPUT, "barlow_stage '%s' names more than %d stages",
                         p->barlow_stage, STAGES_MAX);
    const int moments = optimiser_moments((optimiser_kind)p->optimiser);
    size_t largest = 0;
    *bytes = *working = 0;
    for (int i = 0; i < count; i++) {
        const latent *l = &latents[i];
        const size_t one = loss_barlow_bytes(p->batch, l->channels, l->voxels, p->barlow_projector);
        *bytes += latent_floats(p, l) * sizeof(float) * (size_t)arrays_per_latent(p) +
                  (size_t)projector_floats(p, l) * (size_t)(2 + moments) * sizeof(float);
        const size_t copies = latent_floats(p, l) * sizeof(float) * (size_t)copies_per_latent(p);
        *working += copies;
        largest = one > largest ? one : largest;
    }
    *working += largest;
    return TS_OK;
}

static ts_status create_projectors(barlow *b, const plan *p, ts_error *error)
{
    for (int i = 0; i < b->count; i++) {
        b->latents[i].projector = b->weight_count;
        b->weight_count += projector_floats(p, &b->latents[i]);
    }
    b->weights = memory_allocate((size_t)b->weight_count, sizeof(float), "the projector", error);
    b->gradients = memory_allocate((size_t)b->weight_count, sizeof(float), "the projector", error);
    if (!b->weights || !b->gradients)
        return TS_MEMORY;
    for (int i = 0; i < b->count && b->width; i++) {
        char name[32];
        snprintf(name, sizeof name, "projector.%s", b->latents[i].name);
        loss_projector_initialise(b->weights + b->latents[i].projector, b->latents[i].channels,
                                  b->width, (uint64_t)p->seed, name);
    }
    return TS_OK;
}

ts_status barlow_create(const plan *p, barlow **out, ts_error *error)
{
    size_t bytes, working;
    ts_status status = barlow_bytes(p, &bytes, &working, error); /* checks the stages too */
    *out = NULL;
    if (status != TS_OK)
        return status;
    barlow *b = memory_allocate(1, sizeof *b, "the latents", error);
    if (!b)
        return TS_MEMORY;
    b->lambda = p->barlow_lambda;
    b->batch = p->batch;
    b->width = p->barlow_projector;
    b->count = list_latents(p, b->latents);
    for (int i = 0; i < b->count; i++) {
        latent *l = &b->latents[i];
        float **const arrays[] = {&l->teacher, &l->student, &l->student_gradient,
                                  &l->teacher_gradient};
        for (int a = 0; a < arrays_per_latent(p); a++)
            if (!(*arrays[a] =
                      memory_allocate(latent_floats(p, l), sizeof(float), "the latents", error)))
                status = TS_MEMORY;
    }
    if (status == TS_OK)
        status = create_projectors(b, p, error);
    if (status != TS_OK)
        barlow_destroy(b);
    else
        *out = b;
    return status;
}

void barlow_destroy(barlow *b)
{
    if (!b)
        return;
    for (int i = 0; i < b->count; i++) {
        free(b->latents[i].teacher);
        free(b->latents[i].student);
        free(b->latents[i].teacher_gradient);
        free(b->latents[i].student_gradient);
    }
    free(b->weights);
    free(b->gradients);
    free(b);
}

/* Floats of a rank's samples, and where they lie among those of the batch. */
static int64_t own_floats(const barlow *b, const latent *l)
{
    return b->batch / ranks_count() * l->channels * l->voxels;
}

static int64_t own_place(const barlow *b, const latent *l)
{
    return ranks_self() * own_floats(b, l);
}

static void read_features(const barlow *b, const latent *l, net *n, float *features)
{
    net_feature_read(n, l->name, features + own_place(b, l));
    ranks_gather(features, own_floats(b, l));
}

void barlow_keep_teacher(barlow *b, net *teacher)
{
    for (int i = 0; i < b->count; i++)
        read_features(b, &b->latents[i], teacher, b->latents[i].teacher);
}

/* The loss at one stage, gradients into the latent's arrays. */
static ts_status compare(barlow *b, latent *l, double weight, bool taught, pool *p, double *loss,
                         ts_error *error)
{
    const barlow_pair pair = {
        .teacher = l->teacher,
        .student = l->student,
        .n = b->batch,
        .channels = l->channels,
        .voxels = l->voxels,
        .lambda = b->lambda,
        .weight = weight,
        .teacher_gradient = taught ? l->teacher_gradient : NULL,
        .student_gradient = l->student_gradient,
        .width = b->width,
        .projector = b->width ? b->weights + l->projector : NULL,
        .projector_gradient = b->width ? b->gradients + l->projector : NULL,
    };
    return loss_barlow(&pair, p, loss, error);
}

ts_status barlow_apply(barlow *b, net *student, net *teacher, double weight, pool *p, double *loss,
                       ts_error *error)
{
    ts_status status = TS_OK;
    *loss = 0;
    for (int i = 0; status == TS_OK && i < b->count; i++) {
        latent *l = &b->latents[i];
        double one = 0;
        const int64_t own = own_place(b, l);
        read_features(b, l, student, l->student);
        status = compare(b, l, weight / b->count, teacher != NULL, p, &one, error);
        if (status == TS_OK)
            status = net_feature_gradient(student, l->name, l->student_gradient + own, error);
        if (status == TS_OK && teacher)
            status = net_feature_gradient(teacher, l->name, l->teacher_gradient + own, error);
        *loss += one / b->count;
    }
    return status;
}

float *barlow_weights(barlow *b)
{
    return b->weights;
}

const float *barlow_gradients(const barlow *b)
{
    return b->gradients;
}

int64_t barlow_weight_count(const barlow *b)
{
    return b->weight_count;
}

double barlow_weight_at(const plan *p, int64_t step)
{
    if (step >= p->barlow_warmup)
        return p->barlow_weight;
    return p->barlow_weight * (double)step / (double)p->barlow_warmup;
}
