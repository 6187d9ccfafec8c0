/* The memory of a training: made, released, and read and written as the state of a run. */
#include "train/trainer.h"
#include "loss/loss.h"
#include "train/optimiser.h"

#include <stdlib.h>
#include <string.h>

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
static ts_status create_buffers(trainer *t, ts_error *error)
{
    const int64_t voxels = voxel_count(t->plan.patch);
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
        return error_set(
            error, TS_BAD_INPUT,
            "%d ranks cannot share a batch of %lld: batch must be a multiple of their number",
            ranks, (long long)p->batch);
    if (ranks > 1 && p->batch / ranks * 4 * voxel_count(p->patch) > INT32_MAX)
        return error_set(error, TS_BAD_INPUT,
                         "the patches of a rank are too large for a message: take more ranks");
    return TS_OK;
}

static ts_status fill_trainer(trainer *t, ts_error *error)
{
    const plan *p = &t->plan;
    ts_status status =
        engine_create(plan_threads(p), (compute_dtype)p->dtype, NULL, &t->engine, error);
    if (status != TS_OK)
        return status;
    for (int role = 0; role < ROLES; role++) {
        status = method_has(p, role) ? create_side(t, role, error) : TS_OK;
        if (status != TS_OK)
            return status;
    }
    status = method_averages(p) ? create_average(t, error) : TS_OK;
    if (status != TS_OK)
        return status;
    status = bind_workspaces(t, error);
    return status == TS_OK ? create_buffers(t, error) : status;
}

ts_status trainer_create(const plan *p, trainer **out, ts_error *error)
{
    *out = NULL;
    ts_status status = check_ranks(p, error);
    if (status != TS_OK)
        return status;
    trainer *t = memory_allocate(1, sizeof *t, "the training state", error);
    if (!t)
        return TS_MEMORY;
    t->plan = *p;
    t->own = p->batch / ranks_count();
    t->first = t->own * ranks_self();
    status = fill_trainer(t, error);
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
ts_status trainer_set_weights(trainer *t, int role, const float *weights, int64_t count,
                              ts_error *error)
{
    net *n = t->sides[role].net;
    if (count != net_weight_count(n))
        return error_set(error, TS_BAD_INPUT,
                         "the %s's model has %lld weights, the network of this run has %lld",
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

int64_t trainer_complete_steps(const trainer *t)
{
    return t->complete_steps;
}

void trainer_restored(trainer *t, int64_t complete_steps)
{
    t->complete_steps = complete_steps;
    for (int role = 0; role < ROLES; role++)
        if (t->sides[role].net)
            net_weights_changed(t->sides[role].net);
}
