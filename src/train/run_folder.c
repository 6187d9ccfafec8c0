/* config.ini, split.json, metrics.csv and log.txt of a run. The first two appear by rename and
 * never change; the others grow by lines. */
#include "train/run_folder.h"
#include "train/train.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char metrics_header[] =
    "step,lr,loss_student,loss_teacher,loss_barlow,loss_soft,grad_student,grad_teacher,"
    "seconds,waited,"
    "dice_student_wt,dice_student_tc,dice_student_et,"
    "dice_teacher_wt,dice_teacher_tc,dice_teacher_et\n";

/* ---- config.ini --------------------------------------------------------------------------- */

static ts_status write_config(const char *path, const plan *p, ts_error *error)
{
    text t = {0};
    text_append(&t,
                "# Every setting of this run (twinseg %s). Another run with these values:\n"
                "#   twinseg train DATA --config THIS_FILE --out ANOTHER_RUN\n",
                ts_version());
    plan_print(p, &t);
    const ts_status status =
        t.failed ? error_set(error, TS_MEMORY, "out of memory while writing '%s'", path)
                 : file_put(path, t.data, t.length, error);
    text_free(&t);
    return status;
}

ts_status train_read_config(const char *out, plan *p, ts_error *error)
{
    char *path = path_join(out, "config.ini", error);
    if (!path)
        return TS_MEMORY;
    plan_defaults(p);
    const ts_status status = plan_read(p, path, error);
    free(path);
    return status;
}

ts_status train_compare_config(const char *folder, const plan *p, ts_error *error)
{
    plan before;
    const ts_status status = train_read_config(folder, &before, error);
    if (status != TS_OK)
        return status;
    for (size_t i = 0; i < plan_keys(); i++) {
        char was[128], is[128];
        plan_value(&before, i, was, sizeof was);
        plan_value(p, i, is, sizeof is);
        if (strcmp(was, is) && train_setting_matters(p, plan_key(i)))
            return error_set(error, TS_BAD_INPUT,
                             "'%s' was started with %s = %s and cannot continue with %s = %s; use "
                             "the old value, or another --out",
                             folder, plan_key(i), was, plan_key(i), is);
    }
    return TS_OK;
}

/* ---- split.json --------------------------------------------------------------------------- */

static json_t *id_list(const char *const *ids, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < count; i++)
        if (json_array_append_new(list, json_string(ids[i])) != 0) {
            json_decref(list);
            list = NULL;
        }
    return list;
}

static json_t *split_json(const run_split *s)
{
    json_t *alone =
        s->student_alone_count ? id_list(s->student_alone, s->student_alone_count) : NULL;
    return json_pack("{s:i, s:i, s:o, s:o, s:o, s:o*}", "fold", s->fold, "folds", s->folds, "train",
                     id_list(s->train, s->train_count), "held_out",
                     id_list(s->held_out, s->held_out_count), "skipped",
                     id_list(s->skipped, s->skipped_count), "student_alone", alone);
}

static bool holds(const json_t *list, const char *id)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!strcmp(json_string_value(json_array_get(list, i)) ?: "", id))
            return true;
    return false;
}

/* An id of one list that the other lacks; NULL where there is none. */
static const char *missing_from(const json_t *list, const json_t *other)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *id = json_string_value(json_array_get(list, i));
        if (id && !holds(other, id))
            return id;
    }
    return NULL;
}

static ts_status compare_split(const char *path, const json_t *before, const json_t *now,
                               ts_error *error)
{
    static const char *const lists[] = {"train", "held_out"};
    const json_int_t fold = json_integer_value(json_object_get(before, "fold"));
    const json_int_t folds = json_integer_value(json_object_get(before, "folds"));
    if (json_equal(before, now))
        return TS_OK;
    if (!json_equal(json_object_get(before, "fold"), json_object_get(now, "fold")) ||
        !json_equal(json_object_get(before, "folds"), json_object_get(now, "folds")))
        return folds ? error_set(error, TS_BAD_INPUT,
                                 "'%s': the run was started with --fold %lld/%lld; give the same",
                                 path, (long long)fold, (long long)folds)
                     : error_set(error, TS_BAD_INPUT,
                                 "'%s': the run was started without --fold; leave it out", path);
    for (size_t i = 0; i < COUNT_OF(lists); i++) {
        const json_t *a = json_object_get(before, lists[i]), *b = json_object_get(now, lists[i]);
        const char *lost = missing_from(a, b), *added = missing_from(b, a);
        if (lost || added)
            return error_set(
                error, TS_BAD_INPUT,
                "'%s': the data set has changed since the run was started: case '%s' %s; "
                "restore it, or start anew with another --out",
                path, lost ? lost : added, lost ? "is no longer there" : "is new");
    }
    const json_t *a = json_object_get(before, "student_alone");
    const json_t *b = json_object_get(now, "student_alone");
    const char *worse = missing_from(b, a), *better = missing_from(a, b);
    if (worse || better)
        return error_set(error, TS_BAD_INPUT,
                         "'%s': the data set has changed since the run was started: case '%s' %s; "
                         "restore it, or start anew with another --out",
                         path, worse ? worse : better,
                         worse ? "lacks modalities now" : "no longer lacks modalities");
    return error_set(error, TS_BAD_INPUT,
                     "'%s': the data set has changed since the run was started; start anew with "
                     "another --out",
                     path);
}

ts_status train_read_fold(const char *out, int *fold, int *folds, ts_error *error)
{
    json_t *split;
    char *path = path_join(out, "split.json", error);
    if (!path)
        return TS_MEMORY;
    ts_status status = json_read(path, JSON_BYTES_MAX, &split, error);
    if (status == TS_OK && json_unpack(split, "{s:i, s:i}", "fold", fold, "folds", folds) != 0)
        status =
            error_set(error, TS_BAD_INPUT,
                      "cannot read '%s' (it names no fold); start anew with another --out", path);
    json_decref(split);
    free(path);
    return status;
}

ts_status train_read_held_out(const char *out, string_list *ids, ts_error *error)
{
    json_t *split;
    *ids = (string_list){0};
    char *path = path_join(out, "split.json", error);
    if (!path)
        return TS_MEMORY;
    ts_status status = json_read(path, JSON_BYTES_MAX, &split, error);
    const json_t *list = json_object_get(split, "held_out");
    if (status == TS_OK && !json_is_array(list))
        status =
            error_set(error, TS_BAD_INPUT, "cannot read '%s' (it lists no held-out cases)", path);
    for (size_t i = 0; status == TS_OK && i < json_array_size(list); i++)
        status = string_list_add(ids, json_string_value(json_array_get(list, i)) ?: "", error);
    json_decref(split);
    free(path);
    return status;
}

static ts_status write_split(const char *path, const json_t *split, ts_error *error)
{
    char *content = json_dumps(split, JSON_INDENT(1));
    const ts_status status =
        content ? file_put(path, content, strlen(content), error)
                : error_set(error, TS_MEMORY, "out of memory while writing '%s'", path);
    free(content);
    return status;
}

/* Writes the split of a new run, compares that of one that has begun. */
static ts_status handle_split(const char *path, const run_split *split, bool begun, ts_error *error)
{
    ts_error cause;
    json_t *now = split_json(split), *before = NULL;
    ts_status status;
    if (!now)
        return error_set(error, TS_MEMORY, "out of memory while writing '%s'", path);
    if (!begun)
        status = write_split(path, now, error);
    else if ((status = json_read(path, JSON_BYTES_MAX, &before, &cause)) == TS_OK)
        status = compare_split(path, before, now, error);
    else
        error_set(error, status, "%s; start anew with another --out", cause.text);
    json_decref(before);
    json_decref(now);
    return status;
}

/* ---- the folder --------------------------------------------------------------------------- */

ts_status run_folder_check(const char *path, bool resume, bool *begun, ts_error *error)
{
    char *config = path_join(path, "config.ini", error);
    if (!config)
        return TS_MEMORY;
    *begun = file_exists(config);
    free(config);
    if (*begun && !resume)
        return error_set(
            error, TS_BAD_INPUT,
            "'%s' already contains a run: add --resume to continue it, or give another "
            "--out",
            path);
    if (!*begun && resume)
        return error_set(error, TS_BAD_INPUT, "'%s' holds no run to resume: leave out --resume",
                         path);
    return TS_OK;
}

static ts_status open_log(run_folder *f, ts_error *error)
{
    char *path = path_join(f->path, "log.txt", error);
    if (!path)
        return TS_MEMORY;
    f->log = fopen(path, "ae");
    const ts_status status =
        f->log ? TS_OK : error_set(error, TS_IO, "cannot write '%s': %s", path, strerror(errno));
    free(path);
    return status;
}

/* config.ini comes last: where it is, the run has begun. */
static ts_status handle_files(const char *path, bool begun, const plan *p, const run_split *split,
                              ts_error *error)
{
    ts_status status = TS_MEMORY;
    char *list = path_join(path, "split.json", error);
    char *config = list ? path_join(path, "config.ini", error) : NULL;
    if (!config)
        goto end;
    status = begun ? train_compare_config(path, p, error) : directory_create(path, error);
    if (status != TS_OK)
        goto end;
    status = handle_split(list, split, begun, error);
    if (status == TS_OK && !begun)
        status = write_config(config, p, error);
end:
    free(list);
    free(config);
    return status;
}

ts_status run_folder_open(run_folder *f, const char *path, bool begun, const plan *p,
                          const run_split *split, ts_error *error)
{
    *f = (run_folder){.path = strdup(path)};
    if (!f->path)
        return error_set(error, TS_MEMORY, "out of memory");
    ts_status status = handle_files(path, begun, p, split, error);
    if (status == TS_OK)
        status = open_log(f, error);
    if (status != TS_OK)
        run_folder_close(f);
    return status;
}

/* How many bytes of metrics.csv are the header and the rows of the first `step` steps. Those are on
 * the disk (run_folder_sync); rows behind them may be damaged by a power cut, so csv_read could
 * refuse the file. Steps ascend: whatever does not is damage, even if it looks like a row. */
static size_t valid_prefix(const char *content, size_t count, int64_t step)
{
    size_t at = strlen(metrics_header);
    for (int64_t last = 0; last < step;) {
        const char *newline = memchr(content + at, '\n', count - at);
        const int64_t row = strtoll(content + at, NULL, 10);
        if (!newline || row <= last || row > step)
            break;
        last = row;
        at = (size_t)(newline - content) + 1;
    }
    return at;
}

static ts_status cut_metrics(const char *path, int64_t step, ts_error *error)
{
    uint8_t *content;
    size_t count;
    ts_status status = file_get(path, (size_t)1 << 30, &content, &count, error);
    if (status != TS_OK)
        return status;
    if (count < strlen(metrics_header) || memcmp(content, metrics_header, strlen(metrics_header)))
        status = error_set(error, TS_BAD_INPUT,
                           "'%s' does not begin with the header of this version's metrics: begin "
                           "anew with another --out",
                           path);
    else
        status = file_put(path, content, valid_prefix((char *)content, count, step), error);
    free(content);
    return status;
}

ts_status run_folder_metrics(run_folder *f, bool begun, int64_t step, ts_error *error)
{
    char *path = path_join(f->path, "metrics.csv", error);
    if (!path)
        return TS_MEMORY;
    const bool rows = begun && step > 0 && file_exists(path); /* none after a given teacher */
    ts_status status = rows ? cut_metrics(path, step, error)
                            : file_put(path, metrics_header, strlen(metrics_header), error);
    if (status == TS_OK && !(f->metrics = fopen(path, "ae")))
        status = error_set(error, TS_IO, "cannot write '%s': %s", path, strerror(errno));
    free(path);
    return status;
}

static void append_cell(text *t, double value)
{
    if (isnan(value))
        text_append(t, ",");
    else
        text_append(t, ",%.9g", value);
}

ts_status run_folder_row(run_folder *f, const metrics_row *r, ts_error *error)
{
    text t = {0};
    text_append(&t, "%lld", (long long)r->step);
    const double cells[] = {r->learning_rate, r->loss_student, r->loss_teacher, r->loss_barlow,
                            r->loss_soft,     r->norm_student, r->norm_teacher};
    for (size_t i = 0; i < COUNT_OF(cells); i++)
        append_cell(&t, cells[i]);
    text_append(&t, ",%.4f,%.4f", r->seconds, r->waited);
    for (int i = 0; i < 3; i++)
        append_cell(&t, r->dice_student[i]);
    for (int i = 0; i < 3; i++)
        append_cell(&t, r->dice_teacher[i]);
    text_append(&t, "\n");
    const bool good =
        !t.failed && fwrite(t.data, 1, t.length, f->metrics) == t.length && fflush(f->metrics) == 0;
    text_free(&t);
    return good ? TS_OK
                : error_set(error, TS_IO, "cannot write '%s/metrics.csv': %s", f->path,
                            strerror(errno));
}

ts_status run_folder_sync(run_folder *f, ts_error *error)
{
    if (fflush(f->metrics) == 0 && fsync(fileno(f->metrics)) == 0)
        return TS_OK;
    return error_set(error, TS_IO, "cannot write '%s/metrics.csv': %s", f->path, strerror(errno));
}

void run_folder_log(run_folder *f, const char *format, ...)
{
    char stamp[32];
    struct tm local;
    const time_t now = time(NULL);
    va_list list;
    if (!f->log)
        return;
    strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M:%S", localtime_r(&now, &local));
    fprintf(f->log, "%s  ", stamp);
    va_start(list, format);
    print_line_list(f->log, format, list);
    va_end(list);
    fflush(f->log);
}

void run_folder_close(run_folder *f)
{
    if (f->metrics)
        fclose(f->metrics);
    if (f->log)
        fclose(f->log);
    free(f->path);
    *f = (run_folder){0};
}

void run_folder_remove(const char *path, const char *name)
{
    char *file = path_join(path, name, NULL);
    if (file)
        unlink(file);
    free(file);
}
