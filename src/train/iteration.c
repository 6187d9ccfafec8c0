/* One iteration (docs/method.md, "One iteration").
 *
 * A network that only teaches (two-stage's, or the moving average) goes forward alone. Order
 * without a gradient into the teacher: teacher forward, backward, then the student's, so that both
 * networks share one workspace; of the teacher only the latents are kept. With it each has its own,
 * and the teacher's backward comes last.
 *
 * Ranks share the samples of a batch. Each has its own samples' activations; logits and latents are
 * gathered, so that every rank computes the losses over the whole batch (batch Dice and Barlow
 * Twins are not sums over samples), with the same bits, and goes backward from the gradients of its
 * own samples. The gradients of the weights are then added in rank order. */
#include "train/trainer.h"
#include "loss/loss.h"
#include "train/optimiser.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Do all patches have what the teacher sees? A batch is of one kind (sample.h). */
static bool is_complete(const plan *p, const batch *b)
{
    bool all = true;
    for (int64_t n = 0; n < p->batch; n++)
        all = all && batch_present(b, n) == ALL_MODALITIES;
    return all || p->partial_teacher;
}

/* Does the network learn from the batch at hand? */
static bool learns(const trainer *t, int role, int64_t step)
{
    return method_learns(&t->plan, role, step) && (role == STUDENT || t->complete);
}

/* What a role sees of this rank's images [N][MODALITIES][voxels]: the teacher all that the case
 * has, the student its channels, or of any subset all channels with zeros in place of what the patch
 * is to lack, or its one input the image that the patch is to show. */
static const float *const *role_input(trainer *t, int role, const batch *b, int64_t step)
{
    const float **out = t->input;
    for (int64_t n = t->first; n < t->first + t->own; n++) {
        const modality_set present = batch_present(b, n);
        const modality_set seen =
            role == TEACHER ? present : method_subset(&t->plan, step, n, present);
        const float *images = b->images + n * MODALITIES * voxel_count(t->plan.patch);
        if (role == STUDENT && plan_any_image(&t->plan)) {
            *out++ = images + __builtin_ctz(seen) * voxel_count(t->plan.patch);
            continue;
        }
        for (int m = 0; m < MODALITIES; m++)
            if (t->sides[role].channels >> m & 1)
                *out++ = seen >> m & 1 ? images + m * voxel_count(t->plan.patch) : NULL;
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
    return t->own * loss_classes((loss_kind)t->plan.loss) *
           (voxel_count(t->plan.patch) >> 3 * head);
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
        sum += weights[h] * loss_segmentation((loss_kind)t->plan.loss, whole_logits(t, n, h),
                                              h ? t->labels[h] : labels, t->plan.batch,
                                              voxel_count(t->plan.patch) >> 3 * h, weights[h],
                                              t->engine);
        return_own(t, n, h);
    }
    return sum;
}

/* The weights of the distillation losses at a step; 0: the loss is left out. */
typedef struct {
    double barlow, soft;
    bool gradient; /* Barlow Twins trains the teacher too */
} distillation;

static distillation distillation_at(const trainer *t, int64_t step)
{
    distillation d = {0};
    if (!learns(t, STUDENT, step) || !t->complete)
        return d;
    d.barlow = t->barlow ? barlow_weight_at(&t->plan, method_schedule_step(&t->plan, step)) : 0;
    d.soft = method_soft_weight(&t->plan);
    d.gradient = t->plan.teacher_gradient && d.barlow > 0 && learns(t, TEACHER, step);
    return d;
}

/* Keeps of a network's forward what the student is compared with; before its logits become
 * gradients. */
static void keep_targets(trainer *t, net *teacher, const distillation *d)
{
    if (d->soft > 0)
        loss_soften((loss_kind)t->plan.loss, whole_logits(t, teacher, 0), t->plan.batch,
                    voxel_count(t->plan.patch), t->plan.soft_temperature, t->soft, trainer_pool(t));
    if (d->barlow > 0)
        barlow_keep_teacher(t->barlow, teacher);
}

static ts_status run_teacher(trainer *t, const batch *b, int64_t step, const distillation *d,
                             step_result *r, ts_error *error)
{
    net *teacher = t->sides[TEACHER].net;
    const bool trains = learns(t, TEACHER, step);
    const bool teaches = d->barlow > 0 || d->soft > 0;
    ts_status status = TS_OK;
    if (trains || (teaches && !t->average))
        status = forward(teacher, role_input(t, TEACHER, b, 0), error);
    if (status != TS_OK)
        return status;
    if (teaches && !t->average)
        keep_targets(t, teacher, d);
    if (trains) {
        r->loss[TEACHER] = supervise(t, TEACHER, b->labels);
        status = d->gradient ? TS_OK : net_backward(teacher, error);
    }
    if (status != TS_OK || !teaches || !t->average)
        return status;
    status = forward(t->average, role_input(t, TEACHER, b, 0), error);
    if (status == TS_OK)
        keep_targets(t, t->average, d);
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

static ts_status run_student(trainer *t, const batch *b, int64_t step, const distillation *d,
                             step_result *r, ts_error *error)
{
    net *student = t->sides[STUDENT].net;
    const int64_t at = method_schedule_step(&t->plan, step);
    ts_status status = forward(student, role_input(t, STUDENT, b, at), error);
    if (status != TS_OK)
        return status;
    if (d->soft > 0)
        r->soft = loss_soft((loss_kind)t->plan.loss, whole_logits(t, student, 0), t->soft,
                            t->plan.batch, voxel_count(t->plan.patch), t->plan.soft_temperature,
                            d->soft, trainer_pool(t));
    r->loss[STUDENT] = supervise(t, STUDENT, b->labels);
    if (d->soft > 0)
        add_soft_gradient(t);
    if (d->barlow > 0)
        status = barlow_apply(t->barlow, student, d->gradient ? t->sides[TEACHER].net : NULL,
                              d->barlow, trainer_pool(t), &r->barlow, error);
    return status == TS_OK ? net_backward(student, error) : status;
}

static bool all_finite(const trainer *t, int64_t step, const distillation *d, const step_result *r)
{
    for (int role = 0; role < ROLES; role++)
        if (learns(t, role, step) && (!isfinite(r->loss[role]) || !isfinite(r->norm[role])))
            return false;
    return (d->barlow == 0 || isfinite(r->barlow)) && (d->soft == 0 || isfinite(r->soft));
}

/* After so many updates, with the learning rate that r has of the step. */
static update_rule rule_at(const trainer *t, int64_t updates, const step_result *r, bool decays)
{
    return (update_rule){
        .kind = (optimiser_kind)t->plan.optimiser,
        .learning_rate = r->learning_rate,
        .weight_decay = decays ? t->plan.weight_decay : 0,
        .momentum = t->plan.momentum,
        .step = updates,
    };
}

/* Tensor by tensor, for norms and biases may go without weight decay. updates: those before. */
static void update_side(trainer *t, int role, int64_t updates, const step_result *r)
{
    const side *s = &t->sides[role];
    const net_parameter *parameters = net_parameters(s->net);
    const float factor = clip_factor(r->norm[role], t->plan.gradient_clip);
    float *second =
        optimiser_second((optimiser_kind)t->plan.optimiser, s->moments, net_weight_count(s->net));
    for (size_t i = 0; i < net_parameter_count(s->net); i++) {
        const net_parameter *p = &parameters[i];
        const update_rule rule =
            rule_at(t, updates, r, !p->norm_or_bias || t->plan.weight_decay_norm);
        optimiser_step(&rule, factor, net_gradients(s->net) + p->offset,
                       net_weights(s->net) + p->offset, s->moments + p->offset, second + p->offset,
                       p->count, trainer_pool(t));
    }
}

/* The projector belongs to the student: clipped together with it, updated by the same rule. */
static void update_projector(trainer *t, int64_t updates, const step_result *r)
{
    const update_rule rule = rule_at(t, updates, r, true);
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
        if (learns(t, role, step))
            status = ranks_sum(net_gradients(t->sides[role].net),
                               net_weight_count(t->sides[role].net), error);
    return status;
}

/* Norms of the gradients of what learns; the projector's belongs to the student's. */
static void measure_gradients(trainer *t, int64_t step, bool projects, step_result *r)
{
    for (int role = 0; role < ROLES; role++)
        if (learns(t, role, step))
            r->norm[role] = gradient_norm(net_gradients(t->sides[role].net),
                                          net_weight_count(t->sides[role].net), trainer_pool(t));
    if (projects)
        r->norm[STUDENT] =
            hypot(r->norm[STUDENT], gradient_norm(barlow_gradients(t->barlow),
                                                  barlow_weight_count(t->barlow), trainer_pool(t)));
}

/* Forward and backward of both networks; the gradients are then those of the whole batch. */
static ts_status run_networks(trainer *t, const batch *b, int64_t step, const distillation *d,
                              step_result *r, ts_error *error)
{
    ts_status status = TS_OK;
    halve_labels(t, b->labels);
    if (t->sides[TEACHER].net)
        status = run_teacher(t, b, step, d, r, error);
    if (status != TS_OK)
        return status;
    if (learns(t, STUDENT, step))
        status = run_student(t, b, step, d, r, error);
    if (status != TS_OK)
        return status;
    if (d->gradient)
        status = net_backward(t->sides[TEACHER].net, error);
    return status == TS_OK ? add_gradients(t, step, error) : status;
}

ts_status trainer_step(trainer *t, const batch *b, int64_t step, step_result *r, ts_error *error)
{
    const int64_t at = method_schedule_step(&t->plan, step);
    t->complete = is_complete(&t->plan, b);
    t->complete_steps = at ? t->complete_steps : 0;
    const distillation d = distillation_at(t, step);
    const bool projects = d.barlow > 0 && barlow_weight_count(t->barlow) > 0;
    *r = (step_result){
        .learning_rate = poly_learning_rate(t->plan.learning_rate, at, t->plan.steps),
        .loss = {NAN, NAN},
        .norm = {NAN, NAN},
        .barlow = NAN,
        .soft = NAN,
    };
    const ts_status status = run_networks(t, b, step, &d, r, error);
    if (status != TS_OK)
        return status;
    measure_gradients(t, step, projects, r);
    if (!all_finite(t, step, &d, r))
        return error_set(error, TS_BAD_INPUT,
                         "the loss or its gradient is no longer a finite number at step %lld "
                         "(student %g, teacher %g, Barlow Twins %g, softened labels %g): try a "
                         "lower learning_rate",
                         (long long)step + 1, r->loss[STUDENT], r->loss[TEACHER], r->barlow,
                         r->soft);
    for (int role = 0; role < ROLES; role++)
        if (learns(t, role, step))
            update_side(t, role, role == STUDENT ? at : t->complete_steps, r);
    if (projects)
        update_projector(t, t->complete_steps, r);
    if (t->average && t->complete)
        update_average(t);
    t->complete_steps += t->complete;
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
