/* One iteration of METHOD 2, and the memory that it lives in.
 *
 * A network that only teaches (two-stage's, or the moving average) goes forward alone. Order
 * without a gradient into the teacher: teacher forward, backward, then the student's, so that both
 * networks share one workspace; of the teacher only the latents are kept. With it each has its own,
 * and the teacher's backward comes last.
 *
 * Ranks share the samples of a batch. Each has its own samples' activations; logits and latents are
 * gathered, so that every rank computes the losses over the whole batch (batch Dice and Barlow
 * Twins do not fall into samples), with the same bits, and goes backward from the gradients of its
 * own samples. The gradients of the weights are then added in rank order. */
#include "train/iteration.h"
#include "loss/loss.h"
#include "model/model.h"
#include "train/barlow.h"
#include "train/optimiser.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { HEADS_MAX = 8 }; /* stages go up to 8 */

/* One of the two networks. */
typedef struct {
    net *net; /* NULL where the method has none of the role */
    modality_set channels;
    float *moments; /* of the optimiser: first, and behind them AdamW's second */
} side;

struct trainer {
    plan plan;
    int64_t own, first; /* this rank's samples of the batch: how many, and the first */
    float *gathered;    /* [N][classes][voxels] of a head, of all ranks; NULL where there is one */
    engine *engine;
    side sides[ROLES];
    net *average;               /* moving average of the teacher; NULL where there is none */
    uint8_t *workspace[ROLES];  /* the second NULL where it is shared */
    const float **input;        /* [own][channels] of a network, into the batch */
    float *soft;                /* [N][classes][voxels]: softened labels, then their gradient */
    uint8_t *labels[HEADS_MAX]; /* truth at the resolution of each head but the first */
    barlow *barlow;             /* NULL where there is none */
    float *projector_moments;
};

static int64_t patch_voxels(const plan *p)
{
    return p->patch[0] * p->patch[1] * p->patch[2];
}

static int plan_threads(const plan *p)
{
    return p->threads ? (int)p->threads : processor_count();
}

/* Floats that the optimiser keeps beside so many weights. */
static size_t moment_floats(const trainer *t, int64_t weights)
{
    return (size_t)weights * (size_t)optimiser_moments((optimiser_kind)t->plan.optimiser);
}

/* ---- memory ------------------------------------------------------------------------------- */

static ts_status create_side(trainer *t, int role, ts_error *error)
{
    side *s = &t->sides[role];
    s->channels = role_channels(&t->plan, role);
    const net_config config = net_config_of(&t->plan, s->channels);
    const ts_status status =
        net_create(&config, t->own, t->plan.patch, NET_TRAIN, t->engine, &s->net, error);
    if (status != TS_OK)
        return status;
    s->moments = memory_allocate(moment_floats(t, net_weight_count(s->net)), sizeof(float),
                                 "the optimiser's moments", error);
    if (!s->moments)
        return TS_MEMORY;
    net_initialise(s->net, (uint64_t)t->plan.seed);
    net_weights_changed(s->net);
    return TS_OK;
}

/* The moving average starts as the teacher itself. */
static ts_status create_average(trainer *t, ts_error *error)
{
    net *teacher = t->sides[TEACHER].net;
    const net_config config = net_config_of(&t->plan, ALL_MODALITIES);
    const ts_status status =
        net_create(&config, t->own, t->plan.patch, NET_TRAIN, t->engine, &t->average, error);
    if (status == TS_OK)
        memcpy(net_weights(t->average), net_weights(teacher),
               (size_t)net_weight_count(teacher) * sizeof(float));
    return status;
}

static ts_status bind_workspaces(trainer *t, ts_error *error)
{
    size_t bytes[ROLES] = {0};
    for (int role = 0; role < ROLES; role++) {
        const net_config config = net_config_of(&t->plan, t->sides[role].channels);
        if (t->sides[role].net)
            bytes[role] = net_workspace_bytes(&config, t->own, t->plan.patch, NET_TRAIN, t->engine);
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
    if (t->average)
        net_bind(t->average, t->workspace[0]);
    return TS_OK;
}

static int trainer_heads(const trainer *t)
{
    return net_heads(t->sides[t->sides[STUDENT].net ? STUDENT : TEACHER].net);
}

static ts_status create_buffers(trainer *t, ts_error *error)
{
    const int64_t voxels = patch_voxels(&t->plan);
    const int classes = loss_classes((loss_kind)t->plan.loss);
    t->input =
        memory_allocate((size_t)t->own * MODALITIES, sizeof *t->input, "a batch's list", error);
    if (!t->input)
        return TS_MEMORY;
    if (method_soft_weight(&t->plan) > 0) {
        t->soft = memory_allocate((size_t)(t->plan.batch * classes * voxels), sizeof(float),
                                  "the softened labels", error);
        if (!t->soft)
            return TS_MEMORY;
    }
    if (ranks_count() > 1) {
        t->gathered = memory_allocate((size_t)(t->plan.batch * classes * voxels), sizeof(float),
                                      "the logits of all ranks", error);
        if (!t->gathered)
            return TS_MEMORY;
    }
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
    t->projector_moments = memory_allocate(moment_floats(t, barlow_weight_count(t->barlow)),
                                           sizeof(float), "the projector's moments", error);
    return t->projector_moments ? TS_OK : TS_MEMORY;
}

static ts_status check_ranks(const plan *p, ts_error *error)
{
    const int ranks = ranks_count();
    if (p->batch % ranks)
        return error_set(error, TS_BAD_INPUT,
                         "%d ranks cannot share a batch of %lld: batch is to be a multiple", ranks,
                         (long long)p->batch);
    if (ranks > 1 && p->batch / ranks * 4 * patch_voxels(p) > INT32_MAX)
        return error_set(error, TS_BAD_INPUT,
                         "the patches of a rank are too large for a message: take more ranks");
    return TS_OK;
}

ts_status trainer_create(const plan *p, trainer **out, ts_error *error)
{
    *out = NULL;
    if (check_ranks(p, error) != TS_OK)
        return TS_BAD_INPUT;
    trainer *t = memory_allocate(1, sizeof *t, "the training state", error);
    if (!t)
        return TS_MEMORY;
    t->plan = *p;
    t->own = p->batch / ranks_count();
    t->first = t->own * ranks_self();
    ts_status status =
        engine_create(plan_threads(p), (compute_dtype)p->dtype, NULL, &t->engine, error);
    for (int role = 0; status == TS_OK && role < ROLES; role++)
        if (method_has(p, role))
            status = create_side(t, role, error);
    if (status == TS_OK && method_averages(p))
        status = create_average(t, error);
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
        free(t->sides[role].moments);
        free(t->workspace[role]);
    }
    net_destroy(t->average);
    for (int h = 0; h < HEADS_MAX; h++)
        free(t->labels[h]);
    free(t->input);
    free(t->gathered);
    free(t->soft);
    barlow_destroy(t->barlow);
    free(t->projector_moments);
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

const char *trainer_target(const trainer *t)
{
    return engine_target(t->engine);
}

/* ---- the step ----------------------------------------------------------------------------- */

/* What a role sees of this rank's images [N][MODALITIES][voxels]: the teacher all of it, the
 * student its channels, or of any subset all channels with zeros in place of what the patch is to
 * lack. */
static const float *const *role_input(trainer *t, int role, const batch *b, int64_t step)
{
    const float **out = t->input;
    for (int64_t n = t->first; n < t->first + t->own; n++) {
        const modality_set seen =
            role == TEACHER ? ALL_MODALITIES : method_subset(&t->plan, step, n);
        for (int m = 0; m < MODALITIES; m++)
            if (t->sides[role].channels >> m & 1)
                *out++ = seen >> m & 1 ? b->images + (n * MODALITIES + m) * patch_voxels(&t->plan)
                                       : NULL;
    }
    return t->input;
}

/* A network whose workspace another one has used since: what it packed there is gone. */
static ts_status forward(net *n, const float *const *input, ts_error *error)
{
    net_weights_changed(n);
    return net_forward_channels(n, input, error);
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

/* Floats of a head's logits of this rank. */
static int64_t own_logits(const trainer *t, int head)
{
    return t->own * loss_classes((loss_kind)t->plan.loss) * (patch_voxels(&t->plan) >> 3 * head);
}

/* The logits of the whole batch: the network's own, or where ranks share it all of them
 * gathered. */
static float *whole_logits(trainer *t, net *n, int head)
{
    const int64_t own = own_logits(t, head);
    if (!t->gathered)
        return net_logits(n, head);
    memcpy(t->gathered + ranks_self() * own, net_logits(n, head), (size_t)own * sizeof(float));
    ranks_gather(t->gathered, own);
    return t->gathered;
}

/* Gradients in place of whole_logits go back to where net_backward takes them. */
static void return_own(trainer *t, net *n, int head)
{
    const int64_t own = own_logits(t, head);
    if (t->gathered)
        memcpy(net_logits(n, head), t->gathered + ranks_self() * own, (size_t)own * sizeof(float));
}

/* Deep supervision: the weighted loss of all heads, gradients in place of their logits. */
static double supervise(trainer *t, int role, const uint8_t *labels)
{
    double weights[HEADS_MAX], sum = 0;
    net *n = t->sides[role].net;
    const int heads = net_heads(n);
    loss_head_weights(heads, weights);
    for (int h = 0; h < heads; h++) {
        sum +=
            weights[h] * loss_segmentation((loss_kind)t->plan.loss, whole_logits(t, n, h),
                                           h ? t->labels[h] : labels, t->plan.batch,
                                           patch_voxels(&t->plan) >> 3 * h, weights[h], t->engine);
        return_own(t, n, h);
    }
    return sum;
}

/* The weights of what the student is taught by at a step; 0: it is left out. */
typedef struct {
    double barlow, soft;
    bool gradient; /* Barlow Twins trains the teacher too */
} lesson;

static lesson lesson_at(const trainer *t, int64_t step)
{
    lesson l = {0};
    if (!method_learns(&t->plan, STUDENT, step))
        return l;
    l.barlow = t->barlow ? barlow_weight_at(&t->plan, method_schedule_step(&t->plan, step)) : 0;
    l.soft = method_soft_weight(&t->plan);
    l.gradient = t->plan.teacher_gradient && l.barlow > 0 && method_learns(&t->plan, TEACHER, step);
    return l;
}

/* Keeps of a network's forward what the student is compared with; before its logits become
 * gradients. */
static void keep_lesson(trainer *t, net *teacher, const lesson *l)
{
    if (l->soft > 0)
        loss_soften((loss_kind)t->plan.loss, whole_logits(t, teacher, 0), t->plan.batch,
                    patch_voxels(&t->plan), t->plan.soft_temperature, t->soft, trainer_pool(t));
    if (l->barlow > 0)
        barlow_keep_teacher(t->barlow, teacher);
}

static ts_status run_teacher(trainer *t, const batch *b, int64_t step, const lesson *l,
                             step_result *r, ts_error *error)
{
    net *teacher = t->sides[TEACHER].net;
    const bool learns = method_learns(&t->plan, TEACHER, step);
    const bool teaches = l->barlow > 0 || l->soft > 0;
    ts_status status = TS_OK;
    if (learns || (teaches && !t->average))
        status = forward(teacher, role_input(t, TEACHER, b, 0), error);
    if (status == TS_OK && teaches && !t->average)
        keep_lesson(t, teacher, l);
    if (status == TS_OK && learns) {
        r->loss[TEACHER] = supervise(t, TEACHER, b->labels);
        status = l->gradient ? TS_OK : net_backward(teacher, error);
    }
    if (status == TS_OK && teaches && t->average) {
        status = forward(t->average, role_input(t, TEACHER, b, 0), error);
        if (status == TS_OK)
            keep_lesson(t, t->average, l);
    }
    return status;
}

/* The gradient of the softened labels joins that of the truth in the head of full resolution. */
static void add_soft_gradient(trainer *t)
{
    const int64_t count = own_logits(t, 0);
    const float *own = t->soft + ranks_self() * count;
    float *gradient = net_logits(t->sides[STUDENT].net, 0);
    for (int64_t i = 0; i < count; i++)
        gradient[i] += own[i];
}

static ts_status run_student(trainer *t, const batch *b, int64_t step, const lesson *l,
                             step_result *r, ts_error *error)
{
    net *student = t->sides[STUDENT].net;
    const int64_t at = method_schedule_step(&t->plan, step);
    ts_status status = forward(student, role_input(t, STUDENT, b, at), error);
    if (status != TS_OK)
        return status;
    if (l->soft > 0)
        r->soft =
            loss_soft((loss_kind)t->plan.loss, whole_logits(t, student, 0), t->soft, t->plan.batch,
                      patch_voxels(&t->plan), t->plan.soft_temperature, l->soft, trainer_pool(t));
    r->loss[STUDENT] = supervise(t, STUDENT, b->labels);
    if (l->soft > 0)
        add_soft_gradient(t);
    if (l->barlow > 0)
        status = barlow_apply(t->barlow, student, l->gradient ? t->sides[TEACHER].net : NULL,
                              l->barlow, trainer_pool(t), &r->barlow, error);
    return status == TS_OK ? net_backward(student, error) : status;
}

static bool all_finite(const trainer *t, int64_t step, const lesson *l, const step_result *r)
{
    for (int role = 0; role < ROLES; role++)
        if (method_learns(&t->plan, role, step) &&
            (!isfinite(r->loss[role]) || !isfinite(r->norm[role])))
            return false;
    return (l->barlow == 0 || isfinite(r->barlow)) && (l->soft == 0 || isfinite(r->soft));
}

/* At a step of the schedule, with the learning rate that r has of it. */
static update_rule rule_at(const trainer *t, int64_t step, const step_result *r, bool decays)
{
    return (update_rule){
        .kind = (optimiser_kind)t->plan.optimiser,
        .learning_rate = r->learning_rate,
        .weight_decay = decays ? t->plan.weight_decay : 0,
        .momentum = t->plan.momentum,
        .step = step,
    };
}

/* Tensor by tensor, for norms and biases may go without weight decay. */
static void update_side(trainer *t, int role, int64_t step, const step_result *r)
{
    const side *s = &t->sides[role];
    const net_parameter *parameters = net_parameters(s->net);
    const float factor = clip_factor(r->norm[role], t->plan.gradient_clip);
    float *second =
        optimiser_second((optimiser_kind)t->plan.optimiser, s->moments, net_weight_count(s->net));
    for (size_t i = 0; i < net_parameter_count(s->net); i++) {
        const net_parameter *p = &parameters[i];
        const update_rule rule = rule_at(t, step, r, !p->norm_or_bias || t->plan.weight_decay_norm);
        optimiser_step(&rule, factor, net_gradients(s->net) + p->offset,
                       net_weights(s->net) + p->offset, s->moments + p->offset, second + p->offset,
                       p->count, trainer_pool(t));
    }
}

/* The projector belongs to the student: clipped together with it, updated by the same rule. */
static void update_projector(trainer *t, int64_t step, const step_result *r)
{
    const update_rule rule = rule_at(t, step, r, true);
    const int64_t count = barlow_weight_count(t->barlow);
    optimiser_step(&rule, clip_factor(r->norm[STUDENT], t->plan.gradient_clip),
                   barlow_gradients(t->barlow), barlow_weights(t->barlow), t->projector_moments,
                   optimiser_second(rule.kind, t->projector_moments, count), count,
                   trainer_pool(t));
}

/* average = decay * average + (1 - decay) * teacher. */
static void update_average(trainer *t)
{
    const float *weights = net_weights(t->sides[TEACHER].net);
    float *average = net_weights(t->average);
    const float rest = (float)(1 - t->plan.ema_decay);
    for (int64_t i = 0; i < net_weight_count(t->average); i++)
        average[i] += rest * (weights[i] - average[i]);
}

/* The gradients of the whole batch: each rank's are those of its samples. */
static ts_status add_gradients(trainer *t, int64_t step, ts_error *error)
{
    ts_status status = TS_OK;
    for (int role = 0; status == TS_OK && role < ROLES; role++)
        if (method_learns(&t->plan, role, step))
            status = ranks_sum(net_gradients(t->sides[role].net),
                               net_weight_count(t->sides[role].net), error);
    return status;
}

/* Norms of the gradients of what learns; the projector's belongs to the student's. */
static void measure_gradients(trainer *t, int64_t step, bool projects, step_result *r)
{
    for (int role = 0; role < ROLES; role++)
        if (method_learns(&t->plan, role, step))
            r->norm[role] = gradient_norm(net_gradients(t->sides[role].net),
                                          net_weight_count(t->sides[role].net), trainer_pool(t));
    if (projects)
        r->norm[STUDENT] =
            hypot(r->norm[STUDENT], gradient_norm(barlow_gradients(t->barlow),
                                                  barlow_weight_count(t->barlow), trainer_pool(t)));
}

ts_status trainer_step(trainer *t, const batch *b, int64_t step, step_result *r, ts_error *error)
{
    const int64_t at = method_schedule_step(&t->plan, step);
    const lesson l = lesson_at(t, step);
    const bool projects = l.barlow > 0 && barlow_weight_count(t->barlow) > 0;
    ts_status status = TS_OK;
    *r = (step_result){
        .learning_rate = poly_learning_rate(t->plan.learning_rate, at, t->plan.steps),
        .loss = {NAN, NAN},
        .norm = {NAN, NAN},
        .barlow = NAN,
        .soft = NAN,
    };
    halve_labels(t, b->labels);
    if (t->sides[TEACHER].net)
        status = run_teacher(t, b, step, &l, r, error);
    if (status == TS_OK && method_learns(&t->plan, STUDENT, step))
        status = run_student(t, b, step, &l, r, error);
    if (status == TS_OK && l.gradient)
        status = net_backward(t->sides[TEACHER].net, error);
    if (status == TS_OK)
        status = add_gradients(t, step, error);
    if (status != TS_OK)
        return status;
    measure_gradients(t, step, projects, r);
    if (!all_finite(t, step, &l, r))
        return error_set(error, TS_BAD_INPUT,
                         "the loss or its gradient is no longer a finite number at step %lld "
                         "(student %g, teacher %g, Barlow Twins %g, softened labels %g): try a "
                         "lower learning_rate",
                         (long long)step + 1, r->loss[STUDENT], r->loss[TEACHER], r->barlow,
                         r->soft);
    for (int role = 0; role < ROLES; role++)
        if (method_learns(&t->plan, role, step))
            update_side(t, role, at, r);
    if (projects)
        update_projector(t, at, r);
    if (t->average)
        update_average(t);
    return TS_OK;
}

ts_status trainer_forward(trainer *t, int role, const batch *b, const float **logits,
                          ts_error *error)
{
    const ts_status status = forward(t->sides[role].net, role_input(t, role, b, b->step), error);
    if (status == TS_OK)
        *logits = whole_logits(t, t->sides[role].net, 0);
    return status;
}

ts_status trainer_set_weights(trainer *t, int role, const float *weights, int64_t count,
                              ts_error *error)
{
    net *n = t->sides[role].net;
    if (count != net_weight_count(n))
        return error_set(error, TS_BAD_INPUT, "the %s has %lld weights, its network here %lld",
                         role_names[role], (long long)count, (long long)net_weight_count(n));
    memcpy(net_weights(n), weights, (size_t)count * sizeof(float));
    if (role == TEACHER && t->average)
        memcpy(net_weights(t->average), weights, (size_t)count * sizeof(float));
    net_weights_changed(n);
    return TS_OK;
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
        parts[count++] =
            (checkpoint_part){names[role][1], s->moments, (int64_t)moment_floats(t, n)};
    }
    if (t->average)
        parts[count++] = (checkpoint_part){"average.weights", net_weights(t->average),
                                           net_weight_count(t->average)};
    if (t->barlow && barlow_weight_count(t->barlow) > 0) {
        const int64_t n = barlow_weight_count(t->barlow);
        parts[count++] = (checkpoint_part){"projector.weights", barlow_weights(t->barlow), n};
        parts[count++] = (checkpoint_part){"projector.momentum", t->projector_moments,
                                           (int64_t)moment_floats(t, n)};
    }
    return count;
}

void trainer_restored(trainer *t)
{
    for (int role = 0; role < ROLES; role++)
        if (t->sides[role].net)
            net_weights_changed(t->sides[role].net);
}
