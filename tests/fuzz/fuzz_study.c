/* libFuzzer target: a study file, from any bytes. */
#include "study/cell.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    study s;
    ts_error error = {0};
    if (study_parse((const char *)bytes, count, "study.ini", &s, &error) != TS_OK) {
        if (!error.text[0])
            abort(); /* an error without a sentence */
        return 0;
    }
    if (!s.cell_count || s.reference >= s.arm_count)
        abort();
    for (size_t i = 0; i < s.cell_count; i++)
        if (s.cells[i].arm >= s.arm_count || strchr(s.cells[i].name, '/') || !s.cells[i].input)
            abort();
    study_close(&s);
    return 0;
}
