/* A study's table, which `twinseg study` writes as JSON; the page lays it out. */
#include "report/parts.h"

#include <stdlib.h>

ts_status report_study(const char *folder, json_t **out, ts_error *error)
{
    static const char *const places[] = {"scores/table.json", "table.json"};
    ts_status status = TS_OK;
    *out = NULL;
    for (size_t i = 0; i < COUNT_OF(places) && status == TS_OK && !*out; i++) {
        json_error_t cause;
        char *path = report_path(folder, places[i], error);
        if (!path)
            return TS_MEMORY;
        if (file_exists(path)) {
            *out = json_load_file(path, JSON_REJECT_DUPLICATES, &cause);
            if (!json_is_array(json_object_get(*out, "rows")))
                status = error_set(error, TS_BAD_INPUT, "'%s' is no table of a study (%s)", path,
                                   *out ? "it has no rows" : cause.text);
        }
        free(path);
    }
    if (*out)
        json_object_set_new(*out, "path", report_string(folder));
    return status;
}
