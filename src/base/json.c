/* JSON files. */
#include "base/base.h"

#include <jansson.h>
#include <stdlib.h>

ts_status json_read(const char *path, size_t limit, json_t **out, ts_error *error)
{
    uint8_t *bytes;
    size_t count;
    json_error_t cause;
    *out = NULL;
    const ts_status status = file_get(path, limit, &bytes, &count, error);
    if (status != TS_OK)
        return status;
    const size_t mark = text_mark((const char *)bytes, count);
    *out = json_loadb((const char *)bytes + mark, count - mark, JSON_REJECT_DUPLICATES, &cause);
    free(bytes);
    if (!*out)
        return error_set(error, TS_BAD_INPUT, "cannot read '%s' as JSON: line %d: %s", path,
                         cause.line, cause.text);
    return TS_OK;
}
