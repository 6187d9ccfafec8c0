/* Values that JSON cannot hold as they are. */
#include "report/parts.h"

#include <math.h>

json_t *report_number(double value)
{
    return isnan(value) ? json_null() : isinf(value) ? json_string("inf") : json_real(value);
}

json_t *report_string(const char *s)
{
    if (!s)
        return json_null();
    json_t *string = json_string(s);
    if (string)
        return string;
    text t = {0};
    text_append_escaped(&t, s);
    string = t.failed ? NULL : json_string(t.data);
    text_free(&t);
    return string ? string : json_null();
}
