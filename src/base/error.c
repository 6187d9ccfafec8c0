/* Errors as sentences. */
#include "base/base.h"

const char *ts_version(void)
{
    return TS_VERSION;
}

ts_status(error_set)(ts_error *error, ts_status status, const char *format, ...)
{
    if (error) {
        /* composed apart: an argument may be error->text itself */
        char sentence[sizeof error->text];
        va_list list;
        va_start(list, format);
        vsnprintf(sentence, sizeof sentence, format, list);
        va_end(list);
        error->status = status;
        escape_into(error->text, sizeof error->text, sentence);
    }
    return status;
}
