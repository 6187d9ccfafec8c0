/* One iteration of METHOD 2, and the memory that it lives in.
 *
 * Order without a gradient into the teacher: teacher forward, backward, then the student's, so that
 * both networks share one workspace; of the teacher only the latents are kept. With it each has its
 * own, and the teacher's backward comes last. */
#include "train/iteration.h"
#include "loss/loss.h"
#include "model/model.h"
#include "train/barlow.h"
#include "train/optimiser.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const role_names[ROLES] = {"student", "teacher"};

enum { HEADS_MAX = 8 }; /* stages go up to 8 */

/* One of the two networks. */
typedef struct {
    net *net; /* NULL where the method has none of the role */
    modality_set channels;
    float *velocity;
} side;

struct trainer {
    plan plan;
    engine *engine;
    side sides[ROLES];
    uint8_t *workspace[ROLES];  /* the second NULL where it is shared */
    float *input;               /* the student's channels of the batch */
    uint8_t *labels[HEADS_MAX]; /* truth at the resolution of each head but the first */
    barlow *barlow;             /* NULL where there is none */
    float *projector_velocity;
};

bool method_trains(const plan *p, int role)
{
    return p->method == METHOD_SINGLE_STAGE || (p->method == METHOD_TEACHER) == (role == TEACHER);
}

modality_set role_channels(const plan *p, int role)
{
    return role == TEACHER ? ALL_MODALITIES : p->student;
}

bool method_has_barlow(const plan *p)
{
    return p->method == METHOD_SINGLE_STAGE && p->barlow_weight > 0;
}

static int64_t patch_voxels(const plan *p)
{
    return p->patch[0] * p->patch[1] * p->patch[2];
}

static int plan_threads(const plan *p)
{
    return p->threads ? (int)p->threads : processor_count();
}

/* ---- memory ------------------------------------------------------------------------------- */

static ts_status create_side(trainer *t, int role, ts_error *error)
{
    side *s = &t->sides[role];
    s->channels = role_channels(&t->plan, role);
    const net_config config = model_config(&t->plan, s->channels);
    const ts_status status =
        net_create(&config, t->plan.batch, t->plan.patch, NET_TRAIN, t->engine, &s->net, error);
    if (status != TS_OK)
        return status;
    s->velocity =
        memory_allocate((size_t)net_weight_count(s->net), sizeof(float), "the momentum", error);
    if (!s->velocity)
        return TS_MEMORY;
    net_initialise(s->net, (uint64_t)t->plan.seed);
    net_weights_changed(s->net);
    return TS_OK;
}

static ts_status bind_workspaces(trainer *t, ts_error *error)
{
    size_t bytes[ROLES] = {0};
    for (int role = 0; role < ROLES; role++) {
        const net_config config = model_config(&t->plan, t->sides[role].channels);
        if (t->sides[role].net)
            bytes[role] =
                net_workspace_bytes(&config, t->plan.batch, t->plan.patch, NET_TRAIN, t->engine);
    }
    const bool apart = t->plan.teacher_gradient && bytes[STUDENT] && bytes[TEACHER];
    const size_t larger = bytes[STUDENT] > bytes[TEACHER] ? bytes[STUDENT] : bytes[TEACHER];
    t->workspace[0] = memory_allocate(apart ? bytes[STUDENT] : larger, 1,
                                      "the workspace of a step (see 'twinseg plan')", error);
    if (t->workspace[0] && apart)
        t->workspace[1] = memory_allocate(bytes[TEACHER], 1,
                                          "the teacher's workspace (see 'twinseg plan')", error);
    if (!t->workspace[0] || (apart && !t->workspace[1]))
        return TS_MEMORY;
    for (int role = 0; role < ROLES; role++)
        if (t->sides[role].net)
            net_bind(t->sides[role].net, t->workspace[apart ? role : 0]);
    return TS_OK;
}

static int trainer_heads(const trainer *t)
{
    return net_heads(t->sides[t->sides[STUDENT].net ? STUDENT : TEACHER].net);
}

static ts_status create_buffers(trainer *t, ts_error *error)
{
    const int64_t voxels = patch_voxels(&t->plan);
    t->input = memory_allocate((size_t)(t->plan.batch * modality_count(t->plan.student) * voxels),
                               sizeof(float), "the student's patches", error);
    if (!t->input)
        return TS_MEMORY;
    for (int h = 1; h < trainer_heads(t); h++) {
        t->labels[h] = memory_allocate((size_t)(t->plan.batch * (voxels >> 3 * h)), 1,
                                       "the labels of the lower heads", error);
        if (!t->labels[h])
            return TS_MEMORY;
    }
    if (!method_has_barlow(&t->plan))
        return TS_OK;
    const ts_status status = barlow_create(&t->plan, &t->barlow, error);
    if (status != TS_OK)
        return status;
    t->projector_velocity = memory_allocate((size_t)barlow_weight_count(t->barlow), sizeof(float),
                                            "the projector's momentum", error);
    return t->projector_velocity ? TS_OK : TS_MEMORY;
}

ts_status trainer_create(const plan *p, trainer **out, ts_error *error)
{
    *out = NULL;
    trainer *t = memory_allocate(1, sizeof *t, "the training state", error);
    if (!t)
        return TS_MEMORY;
    t->plan = *p;
    ts_status status =
        engine_create(plan_threads(p), (compute_dtype)p->dtype, NULL, &t->engine, error);
    for (int role = 0; status == TS_OK && role < ROLES; role++)
        if (method_trains(p, role))
            status = create_side(t, role, error);
    if (status == TS_OK)
        status = bind_workspaces(t, error);
    if (status == TS_OK)
        status = create_buffers(t, error);
    if (status != TS_OK)
        trainer_destroy(t);
    else
        *out = t;
    return status;
}

void trainer_destroy(trainer *t)
{
    if (!t)
        return;
    for (int role = 0; role < ROLES; role++) {
        net_destroy(t->sides[role].net);
        free(t->sides[role].velocity);
        free(t->workspace[role]);
    }
    for (int h = 0; h < HEADS_MAX; h++)
        free(t->labels[h]);
    free(t->input);
    barlow_destroy(t->barlow);
    free(t->projector_velocity);
    engine_destroy(t->engine);
    free(t);
}

bool trainer_has(const trainer *t, int role)
{
    return t->sides[role].net != NULL;
}

modality_set trainer_channels(const trainer *t, int role)
{
    return t->sides[role].channels;
}

net *trainer_net(const trainer *t, int role)
{
    return t->sides[role].net;
}

pool *trainer_pool(const trainer *t)
{
    return engine_pool(t->engine);
}

/* ---- the step ----------------------------------------------------------------------------- */

/* The channels of a role out of images [N][MODALITIES][voxels]; the teacher's are all of them. */
static const float *role_input(trainer *t, int role, const float *images)
{
    const size_t voxels = (size_t)patch_voxels(&t->plan);
    float *out = t->input;
    if (t->sides[role].channels == ALL_MODALITIES)
        return images;
    for (int64_t n = 0; n < t->plan.batch; n++)
        for (int m = 0; m < MODALITIES; m++, images += voxels)
            if (t->sides[role].channels >> m & 1) {
                memcpy(out, images, voxels * sizeof *out);
                out += voxels;
            }
    return t->input;
}

/* A network whose workspace the other one has used since: what it packed there is gone. */
static ts_status forward(trainer *t, int role, const float *images, ts_error *error)
{
    net *n = t->sides[role].net;
    net_weights_changed(n);
    return net_forward(n, role_input(t, role, images), error);
}

/* Truth at the resolution of every head. */
static void halve_labels(trainer *t, const uint8_t *labels)
{
    const uint8_t *finer = labels;
    for (int h = 1; h < trainer_heads(t); h++) {
        const int64_t shape[3] = {t->plan.patch[0] >> (h - 1), t->plan.patch[1] >> (h - 1),
                                  t->plan.patch[2] >> (h - 1)};
        loss_halve_labels(finer, t->plan.batch, shape, t->labels[h]);
        finer = t->labels[h];
    }
}

/* Deep supervision: the weighted loss of all heads, gradients in place of their logits. */
static double supervise(trainer *t, int role, const uint8_t *labels)
{
    double weights[HEADS_MAX], sum = 0;
    net *n = t->sides[role].net;
    const int heads = net_heads(n);
    loss_head_weights(heads, weights);
    for (int h = 0; h < heads; h++)
        sum += weights[h] * loss_segmentation((loss_kind)t->plan.loss, net_logits(n, h),
                                              h ? t->labels[h] : labels, t->plan.batch,
                                              patch_voxels(&t->plan) >> 3 * h, weights[h],
                                              trainer_pool(t));
    return sum;
}

static ts_status run_teacher(trainer *t, const batch *b, bool keep, bool backward, step_result *r,
                             ts_error *error)
{
    net *teacher = t->sides[TEACHER].net;
    ts_status status = forward(t, TEACHER, b->images, error);
    if (status != TS_OK)
        return status;
    r->loss[TEACHER] = supervise(t, TEACHER, b->labels);
    if (keep)
        barlow_keep_teacher(t->barlow, teacher);
    return backward ? net_backward(teacher, error) : TS_OK;
}

static ts_status run_student(trainer *t, const batch *b, double barlow_weight, net *taught,
                             step_result *r, ts_error *error)
{
    net *student = t->sides[STUDENT].net;
    ts_status status = forward(t, STUDENT, b->images, error);
    if (status != TS_OK)
        return status;
    r->loss[STUDENT] = supervise(t, STUDENT, b->labels);
    if (barlow_weight > 0)
        status = barlow_apply(t->barlow, student, taught, barlow_weight, trainer_pool(t),
                              &r->barlow, error);
    return status == TS_OK ? net_backward(student, error) : status;
}

static bool all_finite(const trainer *t, const step_result *r, bool with_barlow)
{
    for (int role = 0; role < ROLES; role++)
        if (t->sides[role].net && (!isfinite(r->loss[role]) || !isfinite(r->norm[role])))
            return false;
    return !with_barlow || isfinite(r->barlow);
}

/* Tensor by tensor, for norms and biases may go without weight decay. */
static void update_side(trainer *t, int role, const step_result *r)
{
    const side *s = &t->sides[role];
    const net_parameter *parameters = net_parameters(s->net);
    const float factor = clip_factor(r->norm[role], t->plan.gradient_clip);
    for (size_t i = 0; i < net_parameter_count(s->net); i++) {
        const net_parameter *p = &parameters[i];
        const bool decays = !p->norm_or_bias || t->plan.weight_decay_norm;
        const sgd settings = {r->learning_rate, t->plan.momentum,
                              decays ? t->plan.weight_decay : 0};
        sgd_step(&settings, factor, net_gradients(s->net) + p->offset,
                 net_weights(s->net) + p->offset, s->velocity + p->offset, p->count,
                 trainer_pool(t));
    }
}

/* The projector belongs to the student: clipped together with it, updated by the same rule. */
static void update_projector(trainer *t, const step_result *r)
{
    const sgd settings = {r->learning_rate, t->plan.momentum, t->plan.weight_decay};
    sgd_step(&settings, clip_factor(r->norm[STUDENT], t->plan.gradient_clip),
             barlow_gradients(t->barlow), barlow_weights(t->barlow), t->projector_velocity,
             barlow_weight_count(t->barlow), trainer_pool(t));
}

ts_status trainer_step(trainer *t, const batch *b, int64_t step, step_result *r, ts_error *error)
{
    const double weight = t->barlow ? barlow_weight_at(&t->plan, step) : 0;
    const bool taught = t->plan.teacher_gradient && weight > 0;
    ts_status status = TS_OK;
    *r = (step_result){
        .learning_rate = poly_learning_rate(t->plan.learning_rate, step, t->plan.steps),
        .loss = {NAN, NAN},
        .norm = {NAN, NAN},
        .barlow = NAN,
    };
    halve_labels(t, b->labels);
    if (t->sides[TEACHER].net)
        status = run_teacher(t, b, weight > 0, !taught, r, error);
    if (status == TS_OK && t->sides[STUDENT].net)
        status = run_student(t, b, weight, taught ? t->sides[TEACHER].net : NULL, r, error);
    if (status == TS_OK && taught)
        status = net_backward(t->sides[TEACHER].net, error);
    if (status != TS_OK)
        return status;
    for (int role = 0; role < ROLES; role++)
        if (t->sides[role].net)
            r->norm[role] = gradient_norm(net_gradients(t->sides[role].net),
                                          net_weight_count(t->sides[role].net), trainer_pool(t));
    const bool projects = weight > 0 && barlow_weight_count(t->barlow) > 0;
    if (projects)
        r->norm[STUDENT] =
            hypot(r->norm[STUDENT], gradient_norm(barlow_gradients(t->barlow),
                                                  barlow_weight_count(t->barlow), trainer_pool(t)));
    if (!all_finite(t, r, weight > 0))
        return error_set(error, TS_BAD_INPUT,
                         "the loss or its gradient is no longer a finite number at step %lld "
                         "(student %g, teacher %g, Barlow Twins %g): try a lower learning_rate",
                         (long long)step + 1, r->loss[STUDENT], r->loss[TEACHER], r->barlow);
    for (int role = 0; role < ROLES; role++)
        if (t->sides[role].net)
            update_side(t, role, r);
    if (projects)
        update_projector(t, r);
    return TS_OK;
}

ts_status trainer_forward(trainer *t, int role, const float *images, const float **logits,
                          ts_error *error)
{
    const ts_status status = forward(t, role, images, error);
    if (status == TS_OK)
        *logits = net_logits(t->sides[role].net, 0);
    return status;
}

/* ---- the state ---------------------------------------------------------------------------- */

size_t trainer_state(trainer *t, checkpoint_part parts[TRAINER_PARTS])
{
    static const char *const names[ROLES][2] = {{"student.weights", "student.momentum"},
                                                {"teacher.weights", "teacher.momentum"}};
    size_t count = 0;
    for (int role = 0; role < ROLES; role++) {
        const side *s = &t->sides[role];
        if (!s->net)
            continue;
        const int64_t n = net_weight_count(s->net);
        parts[count++] = (checkpoint_part){names[role][0], net_weights(s->net), n};
        parts[count++] = (checkpoint_part){names[role][1], s->velocity, n};
    }
    if (t->barlow && barlow_weight_count(t->barlow) > 0) {
        const int64_t n = barlow_weight_count(t->barlow);
        parts[count++] = (checkpoint_part){"projector.weights", barlow_weights(t->barlow), n};
        parts[count++] = (checkpoint_part){"projector.momentum", t->projector_velocity, n};
    }
    return count;
}

void trainer_restored(trainer *t)
{
    for (int role = 0; role < ROLES; role++)
        if (t->sides[role].net)
            net_weights_changed(t->sides[role].net);
}
