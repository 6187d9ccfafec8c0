/* A run from its data set to its models. */
#include "train/train.h"
#include "model/model.h"
#include "train/cases.h"
#include "train/given.h"
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
#include <unistd.h>

/* All that a run holds; released by close_run, also where only part of it is there. */
typedef struct {
    const plan *plan;
    const train_options *options;
    bool begun;        /* it goes on; else it is new */
    bool made_folder;  /* by this call */
    process_lock lock; /* of the folder, held by the first rank */
    char *cache;       /* folder of preprocessed cases */
    run_cases cases;
    run_folder folder;
    trainer *trainer;
    loader *loader;
    checkpoint_state state;
    likeness likeness; /* of the training cases */
    live live;
} run;

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

/* The run ends as soon as any of its ranks was interrupted. */
static bool is_stopping(void)
{
    return ranks_any(interrupt_requested());
}

static const char *const model_files[ROLES][2] = {
    {"model.safetensors", "model-best.safetensors"},
    {"teacher.safetensors", "teacher-best.safetensors"}};

static ts_status write_model(run *r, int role, bool best, ts_error *error)
{
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
    char *path = path_join(r->options->out, model_files[role][best], error);
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
    r->state.complete_steps = trainer_complete_steps(r->trainer);
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
    if (status != TS_OK)
        return status;
    memcpy(row->dice_student, dice[STUDENT], sizeof row->dice_student);
    memcpy(row->dice_teacher, dice[TEACHER], sizeof row->dice_teacher);
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
    return status;
}

static bool validates_after(const run *r, int64_t done)
{
    const int64_t every = r->plan->validate_steps;
    const int64_t in_schedule = method_schedule_step(r->plan, done - 1) + 1;
    return r->cases.split.held_out_count > 0 && every > 0 &&
           (in_schedule % every == 0 || in_schedule == r->plan->steps);
}

static metrics_row row_of(const step_result *result, int64_t step)
{
    return (metrics_row){
        .step = step,
        .learning_rate = result->learning_rate,
        .loss_student = result->loss[STUDENT],
        .loss_teacher = result->loss[TEACHER],
        .loss_barlow = result->barlow,
        .loss_soft = result->soft,
        .norm_student = result->norm[STUDENT],
        .norm_teacher = result->norm[TEACHER],
        .dice_student = {NAN, NAN, NAN},
        .dice_teacher = {NAN, NAN, NAN},
    };
}

/* One step, its row, and what is due after it. */
static ts_status one_step(run *r, ts_error *error)
{
    const batch *b;
    step_result result;
    double waited, *mean = &r->live.mean_seconds;
    const double start = clock_seconds();
    ts_status status = loader_next(r->loader, &b, &waited, error);
    if (status != TS_OK)
        return status;
    status = trainer_step(r->trainer, b, r->state.step, &result, error);
    if (status != TS_OK)
        return status;
    r->state.step++;
    metrics_row row = row_of(&result, r->state.step);
    row.seconds = clock_seconds() - start;
    row.waited = waited;
    *mean = *mean > 0 ? 0.95 * *mean + 0.05 * row.seconds : row.seconds;
    if (validates_after(r, r->state.step))
        status = validate_run(r, &row, error);
    if (status == TS_OK && writes())
        status = run_folder_row(&r->folder, &row, error);
    if (status != TS_OK)
        return status;
    if (writes())
        live_step(&r->live, &row);
    return r->state.step % r->plan->checkpoint_steps == 0 ? save(r, error) : TS_OK;
}

/* Steps up to `end` of the run, or to the end of the schedule that the run is in: of two-stage each
 * draws the same patches from its own beginning. */
static ts_status run_schedule(run *r, int64_t end, ts_error *error)
{
    const int64_t steps = r->plan->steps, schedule_end = (r->state.step / steps + 1) * steps;
    const int threads = pool_threads(trainer_pool(r->trainer));
    const plan sampling = method_sampling(r->plan, r->state.step);
    ts_status status =
        loader_create(&sampling, r->cases.preprocessed, r->cases.split.train_count,
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
    if (status != TS_OK)
        return status;
    if (r->state.step < all)
        run_folder_log(&r->folder, "stopped after step %lld of %lld", (long long)r->state.step,
                       (long long)all);
    if (r->state.step < end)
        return error_set(error, TS_STOPPED,
                         "stopped after step %lld of %lld; --resume continues from there",
                         (long long)r->state.step, (long long)all);
    return TS_OK;
}

static void log_beginning(run *r)
{
    const run_split *s = &r->cases.split;
    char names[24], processes[40] = "";
    const int threads = pool_threads(trainer_pool(r->trainer));
    if (ranks_count() > 1)
        snprintf(processes, sizeof processes, " on each of %d ranks", ranks_count());
    run_folder_log(&r->folder, "twinseg %s, %d thread%s%s, %s from step %lld of %lld", ts_version(),
                   threads, threads == 1 ? "" : "s", processes, r->state.step ? "resumed" : "begun",
                   (long long)r->state.step, (long long)train_steps(r->plan));
    run_folder_log(&r->folder,
                   "'%s' (%s): %zu cases train (%zu of them the student alone), %zu are held out, "
                   "%zu are skipped",
                   r->cases.data.path, dataset_layout(&r->cases.data), s->train_count,
                   s->student_alone_count, s->held_out_count, s->skipped_count);
    for (int role = 0; role < ROLES; role++)
        if (trainer_has(r->trainer, role)) {
            const char *from = r->state.begun_with[role];
            run_folder_log(&r->folder, "%s: %s, %lld parameters%s%s", role_names[role],
                           modality_print(trainer_channels(r->trainer, role), names),
                           (long long)net_weight_count(trainer_net(r->trainer, role)),
                           from[0] ? ", begun with those of fingerprint " : "", from);
        }
}

/* ---- the beginning ------------------------------------------------------------------------ */

/* Of the processes that are given a run folder one trains: the rows of metrics.csv and the
 * checkpoints of two would mix. */
static ts_status lock_folder(run *r, ts_error *error)
{
    process_name holder;
    char *path = path_join(r->options->out, "lock", error);
    if (!path)
        return TS_MEMORY;
    const ts_status status = process_lock_take(path, &r->lock, &holder, error);
    free(path);
    if (status != TS_OK || r->lock.held)
        return status;
    char who[160] = "another process";
    if (holder.pid)
        snprintf(who, sizeof who, "process %lld (%s)", (long long)holder.pid, holder.host);
    return error_set(error, TS_BAD_INPUT,
                     "'%s' is being trained by %s: wait until it ends, or give another --out",
                     r->options->out, who);
}

/* Of a run that is there already; before anything of it is read. */
static ts_status find_folder(run *r, ts_error *error)
{
    if (!writes())
        return TS_OK;
    const ts_status status =
        run_folder_check(r->options->out, r->options->resume, &r->begun, error);
    return status == TS_OK && r->begun ? lock_folder(r, error) : status;
}

/* Of a new run, once nothing about it can be refused any more. */
static ts_status make_folder(run *r, ts_error *error)
{
    if (r->begun || !writes())
        return TS_OK;
    r->made_folder = !directory_exists(r->options->out);
    ts_status status = directory_create(r->options->out, error);
    if (status != TS_OK)
        return status;
    status = lock_folder(r, error);
    if (status != TS_OK)
        return status;
    bool begun; /* by another process, a moment ago? */
    return run_folder_check(r->options->out, false, &begun, error);
}

/* The first rank fills the cache that the others then read. */
static ts_status preprocess_cases(run *r, ts_error *error)
{
    pool *threads = trainer_pool(r->trainer);
    ts_status status = TS_OK;
    char ready = 1;
    if (writes())
        status = run_cases_preprocess(&r->cases, r->plan, r->cache, threads, error);
    if (status != TS_OK)
        return status;
    ranks_broadcast(&ready, 1);
    if (!writes())
        status = run_cases_preprocess(&r->cases, r->plan, r->cache, threads, error);
    if (status != TS_OK)
        return status;
    return likeness_of_cases(r->cases.preprocessed, r->cases.split.train_count, r->plan->spacing_mm,
                             threads, &r->likeness, error);
}

/* A run that begins with models has a checkpoint before its config.ini makes it a run, so that
 * resuming needs none of their files; of any other an older checkpoint is in the way. */
static ts_status begin_files(run *r, bool given, ts_error *error)
{
    ts_status status = TS_OK;
    if (given)
        status = write_checkpoint(r, error);
    else if (writes())
        run_folder_remove(r->options->out, "checkpoint.safetensors");
    if (status == TS_OK && writes())
        status =
            run_folder_open(&r->folder, r->options->out, false, r->plan, &r->cases.split, error);
    return status;
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
            status = error_set(error, TS_BAD_INPUT, "'%s' is of step %lld, the run has %lld", path,
                               (long long)r->state.step, (long long)train_steps(r->plan));
        if (r->state.complete_steps < 0)
            r->state.complete_steps = method_schedule_step(r->plan, r->state.step);
        trainer_restored(r->trainer, r->state.complete_steps);
    }
    free(path);
    return status;
}

/* What the first rank writes down before the first step of this call. */
static ts_status begin_records(run *r, ts_error *error)
{
    if (!writes())
        return TS_OK;
    const ts_status status =
        provenance_add(r->options->out, &r->cases, r->state.step,
                       pool_threads(trainer_pool(r->trainer)), trainer_target(r->trainer), error);
    return status == TS_OK ? run_folder_metrics(&r->folder, r->begun, r->state.step, error)
                           : status;
}

static ts_status begin_new(run *r, ts_error *error)
{
    bool given;
    ts_status status = given_take(r->plan, r->options, r->trainer, &r->state, &given, error);
    if (status != TS_OK)
        return status;
    status = make_folder(r, error);
    if (status != TS_OK)
        return status;
    status = preprocess_cases(r, error);
    if (status != TS_OK)
        return status;
    status = begin_files(r, given, error);
    return status == TS_OK ? begin_records(r, error) : status;
}

static ts_status begin_again(run *r, ts_error *error)
{
    ts_status status = TS_OK;
    if (writes())
        status =
            run_folder_open(&r->folder, r->options->out, true, r->plan, &r->cases.split, error);
    if (status != TS_OK)
        return status;
    status = restore(r, error);
    if (status != TS_OK)
        return status;
    status = given_compare(r->plan, r->options, r->trainer, &r->state, error);
    if (status != TS_OK)
        return status;
    status = preprocess_cases(r, error);
    return status == TS_OK ? begin_records(r, error) : status;
}

/* Everything before the first step. */
static ts_status begin(run *r, ts_error *error)
{
    const train_options *o = r->options;
    ts_status status = plan_check(r->plan, error);
    if (status != TS_OK)
        return status;
    r->cache = o->cache ? string_format("%s", o->cache) : path_join(o->out, "cache", error);
    if (!r->cache)
        return error_set(error, TS_MEMORY, "out of memory");
    status = find_folder(r, error);
    if (status != TS_OK)
        return status;
    ranks_broadcast(&r->begun, sizeof r->begun);
    status = run_cases_open(&r->cases, r->plan, o, error);
    if (status != TS_OK)
        return status;
    status = trainer_create(r->plan, &r->trainer, error);
    if (status != TS_OK)
        return status;
    return r->begun ? begin_again(r, error) : begin_new(r, error);
}

/* ---- the end ------------------------------------------------------------------------------ */

/* A new run that failed before its config.ini was written leaves preprocessed cases at most. */
static void abandon_folder(run *r)
{
    const char *out = r->options->out;
    bool begun;
    const bool abandoned = !r->begun && run_folder_check(out, false, &begun, NULL) == TS_OK;
    if (abandoned && r->lock.held) {
        run_folder_remove(out, "checkpoint.safetensors");
        run_folder_remove(out, "split.json");
        if (!r->options->cache)
            rmdir(r->cache); /* where it is empty */
    }
    process_lock_release(&r->lock);
    if (abandoned && r->made_folder)
        rmdir(out); /* the same */
}

static void close_run(run *r)
{
    loader_destroy(r->loader);
    trainer_destroy(r->trainer);
    run_folder_close(&r->folder);
    run_cases_close(&r->cases);
    abandon_folder(r);
    free(r->cache);
}

static bool has_models(const run *r)
{
    bool all = true;
    for (int role = 0; role < ROLES; role++) {
        char *path = path_join(r->options->out, model_files[role][0], NULL);
        all = all && path && (!trainer_has(r->trainer, role) || file_exists(path));
        free(path);
    }
    return all;
}

/* The student last: where its model is, the run is finished. */
static ts_status finish(run *r, bool trained, ts_error *error)
{
    if (!trained && has_models(r)) {
        note("the run in '%s' is finished: all its %lld steps are done", r->options->out,
             (long long)r->state.step);
        return TS_OK;
    }
    ts_status status = write_model(r, TEACHER, false, error);
    if (status == TS_OK)
        status = write_model(r, STUDENT, false, error);
    if (status == TS_OK)
        run_folder_log(&r->folder, "finished: %lld steps, peak memory %.0f MiB",
                       (long long)r->state.step, (double)memory_peak_bytes() / 1048576);
    return status;
}

static const char *outcome(const run *r, ts_status status)
{
    if (status == TS_STOPPED)
        return "stopped";
    if (status != TS_OK)
        return "failed";
    return r->state.step < train_steps(r->plan) ? "stopped" : "finished";
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
    if (status != TS_OK)
        goto end;
    const int64_t first = r.state.step;
    log_beginning(&r);
    status = loop(&r, error);
    if (status == TS_OK && r.state.step == train_steps(p))
        status = finish(&r, r.state.step > first, error);
end:
    if (writes())
        live_end(&r.live, outcome(&r, status), r.state.step, status == TS_OK ? NULL : error->text);
    close_run(&r);
    return status;
}
