/* A run from its data set to its models. */
#include "train/train.h"
#include "model/model.h"
#include "train/cases.h"
#include "train/iteration.h"
#include "train/live.h"
#include "train/loading.h"
#include "train/provenance.h"
#include "train/validate.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* All that a run holds; released by close_run, whatever stands. */
typedef struct {
    const plan *plan;
    const train_options *options;
    run_cases cases;
    run_folder folder;
    trainer *trainer;
    loader *loader;
    checkpoint_state state;
    likeness likeness; /* of the training cases */
    live live;
} run;

static void close_run(run *r)
{
    loader_destroy(r->loader);
    trainer_destroy(r->trainer);
    run_folder_close(&r->folder);
    run_cases_close(&r->cases);
}

/* ---- model files -------------------------------------------------------------------------- */

/* The plan as the model file keeps it: without what changes no number of it, so that equal runs
 * give equal files whatever machine they ran on. */
static plan plan_of_model(const plan *p)
{
    plan defaults, m = *p;
    plan_defaults(&defaults);
    m.threads = defaults.threads;
    m.checkpoint_steps = defaults.checkpoint_steps;
    return m;
}

/* Finished steps of a role's schedule. */
static int64_t steps_of(const run *r, int role)
{
    if (r->plan->method != METHOD_TWO_STAGE)
        return r->state.step;
    const int64_t student = r->state.step - r->plan->steps;
    return role == STUDENT ? student : student < 0 ? r->state.step : r->plan->steps;
}

/* What a model says of its making; no dates and no paths, for the same reason. */
static char *provenance(const run *r, int role, bool best)
{
    const run_split *s = &r->cases.split;
    uint64_t hash = HASH_START;
    char checksum[20], fold[32];
    for (size_t i = 0; i < s->train_count; i++)
        hash = hash_bytes(hash, s->train[i], strlen(s->train[i]) + 1);
    snprintf(checksum, sizeof checksum, "%016" PRIx64, hash);
    snprintf(fold, sizeof fold, s->folds ? "%d/%d" : "none", s->fold, s->folds);
    char loss[32] = "", method_name[32] = "";
    for (size_t i = 0; i < plan_keys(); i++) {
        if (!strcmp(plan_key(i), "loss"))
            plan_value(r->plan, i, loss, sizeof loss);
        if (!strcmp(plan_key(i), "method"))
            plan_value(r->plan, i, method_name, sizeof method_name);
    }
    json_t *object = json_pack(
        "{s:s, s:s, s:I, s:s, s:I, s:I, s:I, s:s, s:s, s:s}", "program", "twinseg " TS_VERSION,
        "method", method_name, "cases", (json_int_t)s->train_count, "cases_checksum", checksum,
        "steps", (json_int_t)steps_of(r, role), "schedule", (json_int_t)r->plan->steps, "seed",
        (json_int_t)r->plan->seed, "loss", loss, "fold", fold, "chosen",
        best ? "best pseudo-Dice on the held-out fold" : "last step");
    if (r->state.begun_with[role][0])
        json_object_set_new(object, "begun_with", json_string(r->state.begun_with[role]));
    char *out = object ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    return out;
}

/* Of several ranks the first writes; all have the same bits. */
static bool writes(void)
{
    return ranks_self() == 0;
}

/* The run ends as soon as any of its ranks was asked to. */
static bool is_stopping(void)
{
    return ranks_any(interrupt_requested());
}

static ts_status write_model(run *r, int role, bool best, ts_error *error)
{
    static const char *const names[ROLES][2] = {
        {"model.safetensors", "model-best.safetensors"},
        {"teacher.safetensors", "teacher-best.safetensors"}};
    if (!trainer_has(r->trainer, role) || !writes())
        return TS_OK;
    net *n = trainer_net(r->trainer, role);
    model m = {
        .plan = plan_of_model(r->plan),
        .channels = trainer_channels(r->trainer, role),
        .weights = net_weights(n),
        .weight_count = net_weight_count(n),
        .likeness = r->likeness,
        .provenance = provenance(r, role, best),
    };
    m.config = net_config_of(r->plan, m.channels);
    snprintf(m.role, sizeof m.role, "%s", role_names[role]);
    char *path = path_join(r->options->out, names[role][best], error);
    ts_status status = TS_MEMORY;
    if (path && m.provenance)
        status = model_write(path, &m, error);
    else if (path)
        error_set(error, TS_MEMORY, "out of memory while writing '%s'", path);
    free(m.provenance);
    free(path);
    return status;
}

/* ---- checkpoints -------------------------------------------------------------------------- */

static ts_status write_checkpoint(run *r, ts_error *error)
{
    checkpoint_part parts[TRAINER_PARTS];
    const size_t count = trainer_state(r->trainer, parts);
    if (!writes())
        return TS_OK;
    char *path = path_join(r->options->out, "checkpoint.safetensors", error);
    const ts_status status =
        path ? checkpoint_write(path, &r->state, parts, count, error) : TS_MEMORY;
    free(path);
    return status;
}

static ts_status save(run *r, ts_error *error)
{
    const ts_status status = writes() ? run_folder_sync(&r->folder, error) : TS_OK;
    return status == TS_OK ? write_checkpoint(r, error) : status;
}

/* Takes the run up where its checkpoint left it; one that was stopped before the first checkpoint
 * begins at step 0. */
static ts_status restore(run *r, ts_error *error)
{
    checkpoint_part parts[TRAINER_PARTS];
    const size_t count = trainer_state(r->trainer, parts);
    char *path = path_join(r->options->out, "checkpoint.safetensors", error);
    ts_status status = path ? TS_OK : TS_MEMORY;
    if (path && file_exists(path)) {
        status = checkpoint_read(path, &r->state, parts, count, error);
        if (status == TS_OK && r->state.step > train_steps(r->plan))
            status = error_set(error, TS_BAD_INPUT, "'%s' stands at step %lld of %lld", path,
                               (long long)r->state.step, (long long)train_steps(r->plan));
        trainer_restored(r->trainer);
    }
    free(path);
    return status;
}

/* ---- the loop ----------------------------------------------------------------------------- */

static double mean_of(const double dice[3])
{
    return (dice[0] + dice[1] + dice[2]) / 3;
}

static ts_status validate_run(run *r, metrics_row *row, ts_error *error)
{
    double dice[ROLES][3];
    const run_split *s = &r->cases.split;
    ts_status status =
        validate(r->trainer, r->plan, row->step - 1, r->cases.preprocessed + s->train_count,
                 s->held_out_count, dice, error);
    for (int role = 0; status == TS_OK && role < ROLES; role++) {
        if (isnan(dice[role][0]))
            continue;
        run_folder_log(&r->folder, "step %lld: %s pseudo-Dice WT %.4f TC %.4f ET %.4f",
                       (long long)row->step, role_names[role], dice[role][0], dice[role][1],
                       dice[role][2]);
        if (mean_of(dice[role]) > r->state.best_dice[role]) {
            r->state.best_dice[role] = mean_of(dice[role]);
            status = write_model(r, role, true, error);
        }
    }
    memcpy(row->dice_student, dice[STUDENT], sizeof row->dice_student);
    memcpy(row->dice_teacher, dice[TEACHER], sizeof row->dice_teacher);
    return status;
}

static bool validates_after(const run *r, int64_t done)
{
    const int64_t every = r->plan->validate_steps;
    const int64_t in_schedule = method_schedule_step(r->plan, done - 1) + 1;
    return r->cases.split.held_out_count > 0 && every > 0 &&
           (in_schedule % every == 0 || in_schedule == r->plan->steps);
}

/* One step, its row, and what is due after it. */
static ts_status one_step(run *r, ts_error *error)
{
    const batch *b;
    step_result result;
    double waited;
    const double start = clock_seconds();
    ts_status status = loader_next(r->loader, &b, &waited, error);
    if (status == TS_OK)
        status = trainer_step(r->trainer, b, r->state.step, &result, error);
    if (status != TS_OK)
        return status;
    const double seconds = clock_seconds() - start;
    double *mean = &r->live.mean_seconds;
    *mean = *mean > 0 ? 0.95 * *mean + 0.05 * seconds : seconds;
    r->state.step++;
    metrics_row row = {
        .step = r->state.step,
        .learning_rate = result.learning_rate,
        .loss_student = result.loss[STUDENT],
        .loss_teacher = result.loss[TEACHER],
        .loss_barlow = result.barlow,
        .loss_soft = result.soft,
        .norm_student = result.norm[STUDENT],
        .norm_teacher = result.norm[TEACHER],
        .seconds = seconds,
        .waited = waited,
        .dice_student = {NAN, NAN, NAN},
        .dice_teacher = {NAN, NAN, NAN},
    };
    if (validates_after(r, r->state.step))
        status = validate_run(r, &row, error);
    if (status == TS_OK && writes())
        status = run_folder_row(&r->folder, &row, error);
    if (status == TS_OK && writes())
        live_step(&r->live, &row);
    if (status == TS_OK && r->state.step % r->plan->checkpoint_steps == 0)
        status = save(r, error);
    return status;
}

/* Steps up to `end` of the run, or to the end of the schedule that the run is in: of two-stage each
 * draws the same patches from its own beginning. */
static ts_status run_schedule(run *r, int64_t end, ts_error *error)
{
    const int64_t steps = r->plan->steps, schedule_end = (r->state.step / steps + 1) * steps;
    const int threads = pool_threads(trainer_pool(r->trainer));
    ts_status status =
        loader_create(r->plan, r->cases.preprocessed, r->cases.split.train_count,
                      method_schedule_step(r->plan, r->state.step), loading_threads(threads),
                      loading_ahead(threads), &r->loader, error);
    while (status == TS_OK && r->state.step < end && r->state.step < schedule_end && !is_stopping())
        status = one_step(r, error);
    loader_destroy(r->loader);
    r->loader = NULL;
    return status;
}

static ts_status loop(run *r, ts_error *error)
{
    const int64_t first = r->state.step, stop = r->options->stop_after, all = train_steps(r->plan);
    const int64_t end = stop > 0 && first + stop < all ? first + stop : all;
    ts_status status = TS_OK;
    r->live.first = first;
    r->live.last = end;
    r->live.steps = all;
    if (writes())
        live_begin(&r->live, r->plan, &r->cases.split, pool_threads(trainer_pool(r->trainer)));
    while (status == TS_OK && r->state.step < end && !is_stopping())
        status = run_schedule(r, end, error);
    progress_end();
    if (status != TS_OK) {
        run_folder_log(&r->folder, "failed: %s", error->text);
        return status;
    }
    status = save(r, error);
    if (status == TS_OK && r->state.step < all)
        run_folder_log(&r->folder, "stopped after step %lld of %lld", (long long)r->state.step,
                       (long long)all);
    if (status == TS_OK && r->state.step < end)
        status = error_set(error, TS_STOPPED,
                           "stopped after step %lld of %lld; --resume goes on from there",
                           (long long)r->state.step, (long long)all);
    return status;
}

static void log_beginning(run *r)
{
    const run_split *s = &r->cases.split;
    char names[24];
    run_folder_log(&r->folder, "twinseg %s, %d threads on %d ranks, %s from step %lld of %lld",
                   ts_version(), pool_threads(trainer_pool(r->trainer)), ranks_count(),
                   r->state.step ? "resumed" : "begun", (long long)r->state.step,
                   (long long)train_steps(r->plan));
    run_folder_log(&r->folder, "'%s' (%s): %zu cases train, %zu are held out, %zu are skipped",
                   r->cases.data.path, r->cases.data.layout, s->train_count, s->held_out_count,
                   s->skipped_count);
    for (int role = 0; role < ROLES; role++)
        if (trainer_has(r->trainer, role)) {
            const char *from = r->state.begun_with[role];
            run_folder_log(&r->folder, "%s: %s, %lld parameters%s%s", role_names[role],
                           modality_print(trainer_channels(r->trainer, role), names),
                           (long long)net_weight_count(trainer_net(r->trainer, role)),
                           from[0] ? ", begun with those of fingerprint " : "", from);
        }
}

/* ---- networks trained before --------------------------------------------------------------- */

static const char *given(const run *r, int role)
{
    return role == STUDENT ? r->options->student : r->options->teacher;
}

static ts_status check_given(const run *r, int role, const char *path, const model *m,
                             ts_error *error)
{
    const modality_set channels = trainer_channels(r->trainer, role);
    const net_config has = m->config, wants = net_config_of(r->plan, channels);
    if (role == TEACHER && (m->channels != ALL_MODALITIES || model_any_subset(m)))
        return error_set(error, TS_BAD_INPUT,
                         "'%s' is a student: a teacher sees all four modalities", path);
    if (role == STUDENT &&
        (m->channels != channels || model_any_subset(m) != plan_any_subset(r->plan)))
        return error_set(error, TS_BAD_INPUT,
                         "'%s' sees other modalities than this run's student: give the --student "
                         "and --method that it was trained with",
                         path);
    if (has.classes != wants.classes || has.base != wants.base || has.cap != wants.cap ||
        has.stages != wants.stages || has.deep_supervision != wants.deep_supervision ||
        m->plan.spacing_mm != r->plan->spacing_mm)
        return error_set(error, TS_BAD_INPUT,
                         "'%s' has another network or spacing than this run: spacing, base, cap, "
                         "stages, deep_supervision and the classes of loss must agree",
                         path);
    return TS_OK;
}

/* A run that begins takes the weights; of one that goes on only two-stage's teacher, which no step
 * of its second stage changes, can be compared. */
static ts_status use_given(run *r, int role, bool begun, ts_error *error)
{
    model m;
    const char *path = given(r, role);
    if (!trainer_has(r->trainer, role))
        return error_set(error, TS_BAD_INPUT,
                         "'%s' is given as %s, and the run's method trains none: leave it out",
                         path, role_names[role]);
    const bool frozen = role == TEACHER && r->plan->method == METHOD_TWO_STAGE;
    if (begun && !frozen)
        return error_set(error, TS_BAD_INPUT,
                         "'%s': the run in '%s' has begun and has weights of its own; leave it out",
                         path, r->options->out);
    ts_status status = model_open(path, &m, error);
    if (status != TS_OK)
        return status;
    status = check_given(r, role, path, &m, error);
    const size_t bytes = (size_t)m.weight_count * sizeof(float);
    if (status == TS_OK && !begun)
        status = trainer_set_weights(r->trainer, role, m.weights, m.weight_count, error);
    else if (status == TS_OK &&
             (r->state.step < r->plan->steps ||
              memcmp(m.weights, net_weights(trainer_net(r->trainer, role)), bytes)))
        status = error_set(error, TS_BAD_INPUT,
                           "'%s' is not the teacher that the run in '%s' was begun with", path,
                           r->options->out);
    if (status == TS_OK && !begun && frozen)
        r->state.step = r->plan->steps;
    else if (status == TS_OK && !begun)
        weights_fingerprint(m.weights, m.weight_count, r->state.begun_with[role]);
    model_free(&m);
    return status;
}

/* A run that begins so has a checkpoint before config.ini makes it a run, so that resuming needs
 * none of the files. */
static ts_status use_all_given(run *r, bool begun, ts_error *error)
{
    ts_status status = TS_OK;
    bool any = false;
    for (int role = 0; status == TS_OK && role < ROLES; role++)
        if (given(r, role)) {
            any = true;
            status = use_given(r, role, begun, error);
        }
    if (status == TS_OK && any && !begun)
        status = directory_create(r->options->out, error);
    if (status == TS_OK && any && !begun)
        status = write_checkpoint(r, error);
    return status;
}

/* The first rank fills the cache that the others then read. */
static ts_status preprocess_cases(run *r, const char *cache, ts_error *error)
{
    pool *threads = trainer_pool(r->trainer);
    ts_status status = TS_OK;
    char ready = 1;
    if (writes())
        status = run_cases_preprocess(&r->cases, r->plan, cache, threads, error);
    if (status == TS_OK)
        ranks_broadcast(&ready, 1);
    if (!writes())
        status = run_cases_preprocess(&r->cases, r->plan, cache, threads, error);
    return status;
}

/* Everything before the first step. */
static ts_status begin(run *r, ts_error *error)
{
    bool begun;
    const train_options *o = r->options;
    ts_status status = plan_check(r->plan, error);
    if (status == TS_OK && writes())
        status = run_folder_check(o->out, o->resume, &begun, error);
    if (status == TS_OK)
        ranks_broadcast(&begun, sizeof begun);
    if (status == TS_OK)
        status = run_cases_open(&r->cases, r->plan, o, error);
    if (status == TS_OK)
        status = trainer_create(r->plan, &r->trainer, error);
    if (status != TS_OK)
        return status;
    char *own_cache = o->cache ? NULL : path_join(o->out, "cache", error);
    if (!o->cache && !own_cache)
        return TS_MEMORY;
    status = preprocess_cases(r, o->cache ? o->cache : own_cache, error);
    free(own_cache);
    if (status == TS_OK)
        status =
            likeness_of_cases(r->cases.preprocessed, r->cases.split.train_count,
                              r->plan->spacing_mm, trainer_pool(r->trainer), &r->likeness, error);
    if (status == TS_OK && !begun)
        status = use_all_given(r, begun, error);
    if (status == TS_OK && writes())
        status = run_folder_open(&r->folder, o->out, begun, r->plan, &r->cases.split, error);
    if (status == TS_OK && begun)
        status = restore(r, error);
    if (status == TS_OK && writes())
        status =
            provenance_add(o->out, &r->cases, r->state.step, pool_threads(trainer_pool(r->trainer)),
                           trainer_target(r->trainer), error);
    if (status == TS_OK && begun)
        status = use_all_given(r, begun, error);
    if (status == TS_OK && writes())
        status = run_folder_metrics(&r->folder, r->state.step, error);
    return status;
}

ts_status train_run(const plan *p, const train_options *options, ts_error *error)
{
    run r = {.plan = p,
             .options = options,
             .state = {.best_dice = {-1, -1}},
             .live = {.events = options->events}};
    ts_error unheard = {0};
    error = error ? error : &unheard; /* the log quotes it */
    ts_status status = begin(&r, error);
    if (status == TS_OK) {
        log_beginning(&r);
        status = loop(&r, error);
    }
    if (status == TS_OK && r.state.step == train_steps(p)) {
        /* the student last: where its model stands, the run is finished */
        status = write_model(&r, TEACHER, false, error);
        if (status == TS_OK)
            status = write_model(&r, STUDENT, false, error);
        run_folder_log(&r.folder, "finished: %lld steps, peak memory %.0f MiB",
                       (long long)r.state.step, (double)memory_peak_bytes() / 1048576);
    }
    if (writes())
        live_end(&r.live,
                 status == TS_STOPPED            ? "stopped"
                 : status != TS_OK               ? "failed"
                 : r.state.step < train_steps(p) ? "stopped"
                                                 : "finished",
                 r.state.step, status == TS_OK ? NULL : error->text);
    close_run(&r);
    return status;
}
