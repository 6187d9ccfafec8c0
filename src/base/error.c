/* Errors as sentences. */
#include "base/base.h"

const char *ts_version(void)
{
    return TS_VERSION;
}

ts_status(error_set)(ts_error *error, ts_status status, const char *format, ...)
{
    if (error) {
        va_list list;
        va_start(list, format);
        error->status = status;
        vsnprintf(error->text, sizeof error->text, format, list);
        va_end(list);
    }
    return status;
}
