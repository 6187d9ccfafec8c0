/* libFuzzer target: a config.ini from any bytes into a plan. A plan that was accepted prints, and
 * reads back as itself. */
#include "plan/plan.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static ts_status set(void *context, const char *section, const char *key, const char *value,
                     int line, ts_error *error)
{
    (void)section;
    (void)line;
    return plan_set(context, key, value, "fuzz", error);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    plan p, back;
    ts_error error = {0};
    text first = {0}, second = {0};
    plan_defaults(&p);
    plan_defaults(&back);
    if (ini_parse((const char *)bytes, count, "config.ini", set, &p, &error) != TS_OK ||
        plan_check(&p, &error) != TS_OK) {
        if (!error.text[0])
            abort(); /* an error without a sentence */
        return 0;
    }
    plan_print(&p, &first);
    if (ini_parse(first.data, first.length, "config.ini", set, &back, &error) != TS_OK)
        abort();
    plan_print(&back, &second);
    if (first.length != second.length || memcmp(first.data, second.data, first.length) != 0)
        abort();
    text_free(&first);
    text_free(&second);
    return 0;
}
