#include "train/given.h"
#include "model/model.h"

#include <string.h>

static const char *path_of(const train_options *o, int role)
{
    return role == STUDENT ? o->student : o->teacher;
}

/* Two-stage's teacher takes the place of the first stage. */
static bool is_frozen(const plan *p, int role)
{
    return role == TEACHER && p->method == METHOD_TWO_STAGE;
}

static ts_status check_model(const plan *p, trainer *t, int role, const char *path, const model *m,
                             ts_error *error)
{
    const modality_set channels = trainer_channels(t, role);
    const net_config has = m->config, wants = net_config_of(p, channels);
    if (role == TEACHER && (m->channels != ALL_MODALITIES || model_any_subset(m)))
        return error_set(error, TS_BAD_INPUT,
                         "'%s' is a student: a teacher sees all four modalities", path);
    if (role == STUDENT && (m->channels != channels || model_any_subset(m) != plan_any_subset(p) ||
                            model_any_image(m) != plan_any_image(p)))
        return error_set(error, TS_BAD_INPUT,
                         "'%s' sees other modalities than this run's student: give the --student "
                         "and --method that it was trained with",
                         path);
    if (has.classes != wants.classes || has.base != wants.base || has.cap != wants.cap ||
        has.stages != wants.stages || has.deep_supervision != wants.deep_supervision ||
        m->plan.spacing_mm != p->spacing_mm)
        return error_set(error, TS_BAD_INPUT,
                         "'%s' has another network or spacing than this run: spacing, base, cap, "
                         "stages, deep_supervision and the classes of loss must agree",
                         path);
    return TS_OK;
}

/* Opens the model of a role; model_free after TS_OK. */
static ts_status open_model(const plan *p, trainer *t, int role, const char *path, model *m,
                            ts_error *error)
{
    if (!trainer_has(t, role))
        return error_set(error, TS_BAD_INPUT,
                         "'%s' is given as the %s, and the run's method has none: leave it out",
                         path, role_names[role]);
    ts_status status = model_open(path, m, error);
    if (status != TS_OK)
        return status;
    status = check_model(p, t, role, path, m, error);
    if (status != TS_OK)
        model_free(m);
    return status;
}

ts_status given_take(const plan *p, const train_options *o, trainer *t, checkpoint_state *state,
                     bool *any, ts_error *error)
{
    *any = false;
    for (int role = 0; role < ROLES; role++) {
        model m;
        const char *path = path_of(o, role);
        if (!path)
            continue;
        ts_status status = open_model(p, t, role, path, &m, error);
        if (status != TS_OK)
            return status;
        status = trainer_set_weights(t, role, m.weights, m.weight_count, error);
        if (is_frozen(p, role))
            state->step = p->steps;
        else
            weights_fingerprint(m.weights, m.weight_count, state->begun_with[role]);
        model_free(&m);
        if (status != TS_OK)
            return status;
        *any = true;
    }
    return TS_OK;
}

ts_status given_compare(const plan *p, const train_options *o, trainer *t,
                        const checkpoint_state *state, ts_error *error)
{
    for (int role = 0; role < ROLES; role++) {
        model m;
        const char *path = path_of(o, role);
        if (!path)
            continue;
        if (trainer_has(t, role) && !is_frozen(p, role))
            return error_set(error, TS_BAD_INPUT,
                             "'%s': the run in '%s' was started with its own weights; leave it out",
                             path, o->out);
        const ts_status status = open_model(p, t, role, path, &m, error);
        if (status != TS_OK)
            return status;
        const bool same =
            state->step >= p->steps && !memcmp(m.weights, net_weights(trainer_net(t, role)),
                                               (size_t)m.weight_count * sizeof(float));
        model_free(&m);
        if (!same)
            return error_set(error, TS_BAD_INPUT,
                             "'%s' is not the teacher that the run in '%s' was started with", path,
                             o->out);
    }
    return TS_OK;
}
