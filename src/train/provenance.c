#include "train/provenance.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static json_t *case_checksums(const run_cases *c)
{
    json_t *sums = json_object();
    for (size_t i = 0; i < c->preprocessed_count; i++) {
        char hex[12];
        snprintf(hex, sizeof hex, "%08" PRIx32, c->preprocessed[i].checksum);
        json_object_set_new(sums, c->used[i]->id, json_string(hex));
    }
    return sums;
}

static void note_changes(const json_t *before, json_t *now)
{
    const char *id;
    json_t *sum;
    json_object_foreach(now, id, sum)
    {
        const json_t *was = json_object_get(before, id);
        if (was && !json_equal(was, sum))
            note("case %s has changed since the run began (checksum %s, now %s)", id,
                 json_string_value(was) ?: "?", json_string_value(sum));
    }
}

static json_t *session(int64_t from_step, int threads, const char *target)
{
    char stamp[40];
    struct tm local;
    const machine_facts m = machine_describe();
    const time_t now = time(NULL);
    strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M:%S %z", localtime_r(&now, &local));
    return json_pack("{s:I, s:s, s:s, s:s, s:i, s:s, s:i, s:s}", "from_step", (json_int_t)from_step,
                     "time", stamp, "version", ts_version(), "processor", m.processor, "processors",
                     m.processors, "system", m.system, "threads", threads, "target", target);
}

static ts_status read_record(const char *path, json_t **record, ts_error *error)
{
    ts_error cause;
    *record = NULL;
    if (!file_exists(path)) {
        *record = json_object();
        return *record ? TS_OK : error_set(error, TS_MEMORY, "out of memory");
    }
    const ts_status status = json_read(path, JSON_BYTES_MAX, record, &cause);
    if (status != TS_OK)
        return error_set(error, status, "%s; move it away to continue the run", cause.text);
    if (!json_is_object(*record))
        return error_set(
            error, TS_BAD_INPUT,
            "cannot read '%s': it is not the record of a run; move it away to continue "
            "the run",
            path);
    return TS_OK;
}

static ts_status write_record(const char *path, const json_t *record, ts_error *error)
{
    char *content = json_dumps(record, JSON_INDENT(1));
    const ts_status status =
        content ? file_put(path, content, strlen(content), error)
                : error_set(error, TS_MEMORY, "out of memory while writing '%s'", path);
    free(content);
    return status;
}

ts_status provenance_add(const char *folder, const run_cases *cases, int64_t from_step, int threads,
                         const char *target, ts_error *error)
{
    char *path = path_join(folder, "provenance.json", error);
    if (!path)
        return TS_MEMORY;
    json_t *sums = NULL, *record;
    ts_status status = read_record(path, &record, error);
    if (status != TS_OK)
        goto end;
    sums = case_checksums(cases);
    if (json_is_object(json_object_get(record, "cases")))
        note_changes(json_object_get(record, "cases"), sums);
    else
        json_object_set(record, "cases", sums);
    if (!json_is_array(json_object_get(record, "sessions")))
        json_object_set_new(record, "sessions", json_array());
    json_array_append_new(json_object_get(record, "sessions"), session(from_step, threads, target));
    status = write_record(path, record, error);
end:
    json_decref(record);
    json_decref(sums);
    free(path);
    return status;
}
