/* A study's table, which `twinseg study` writes as JSON; the page lays it out. */
#include "report/parts.h"

#include <stdlib.h>

static bool is_figure(const json_t *f)
{
    return json_is_object(f) && json_array_size(json_object_get(f, "interval")) == 2;
}

/* Rows as the page needs them: all with the same scores. */
static bool is_table(const json_t *table)
{
    const json_t *rows = json_object_get(table, "rows");
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *scores = json_object_get(json_array_get(rows, i), "scores");
        const char *group, *metric;
        json_t *metrics, *unused;
        json_object_foreach(json_object_get(json_array_get(rows, 0), "scores"), group, metrics)
        {
            json_object_foreach(metrics, metric, unused)
            {
                if (!is_figure(json_object_get(json_object_get(scores, group), metric)))
                    return false;
            }
        }
    }
    return json_is_array(rows);
}

ts_status report_study(const char *folder, json_t **out, ts_error *error)
{
    static const char *const places[] = {"scores/table.json", "table.json"};
    ts_status status = TS_OK;
    *out = NULL;
    for (size_t i = 0; i < COUNT_OF(places) && status == TS_OK && !*out; i++) {
        char *path = path_join(folder, places[i], error);
        if (!path)
            return TS_MEMORY;
        if (file_exists(path)) {
            status = json_read(path, JSON_BYTES_MAX, out, error);
            if (status == TS_OK && !is_table(*out))
                status = error_set(
                    error, TS_BAD_INPUT,
                    "'%s' is not a table of a study (its rows are not as study writes them)", path);
        }
        free(path);
    }
    if (*out)
        json_object_set_new(*out, "path", report_string(folder));
    return status;
}
