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

ts_status provenance_add(const char *folder, const run_cases *cases, int64_t from_step, int threads,
                         const char *target, ts_error *error)
{
    ts_error cause;
    char *path = path_join(folder, "provenance.json", error), *content = NULL;
    if (!path)
        return TS_MEMORY;
    json_t *sums = case_checksums(cases);
    json_t *record = NULL;
    ts_status status = TS_OK;
    if (!file_exists(path))
        record = json_object();
    else
        status = json_read(path, JSON_BYTES_MAX, &record, &cause);
    if (status == TS_OK && !json_is_object(record))
        status = error_set(&cause, TS_BAD_INPUT, "cannot read '%s': it is not the record of a run",
                           path);
    if (status != TS_OK)
        error_set(error, status, "%s; move it away to go on with the run", cause.text);
    if (status == TS_OK) {
        if (json_is_object(json_object_get(record, "cases")))
            note_changes(json_object_get(record, "cases"), sums);
        else
            json_object_set(record, "cases", sums);
        if (!json_is_array(json_object_get(record, "sessions")))
            json_object_set_new(record, "sessions", json_array());
        json_array_append_new(json_object_get(record, "sessions"),
                              session(from_step, threads, target));
        content = json_dumps(record, JSON_INDENT(1));
        status = content ? file_put(path, content, strlen(content), error)
                         : error_set(error, TS_MEMORY, "out of memory while writing '%s'", path);
    }
    free(content);
    json_decref(record);
    json_decref(sums);
    free(path);
    return status;
}
