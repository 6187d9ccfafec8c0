/* libFuzzer target: a JSON sidecar from any bytes, and what the series is then taken for. */
#include "memory_file.h"
#include "series/series.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    series_facts f = series_facts_none();
    ts_error error = {0};
    if (series_read_sidecar(memory_file(bytes, count), &f, &error) != TS_OK) {
        if (!error.text[0])
            abort(); /* an error without a sentence */
        return 0;
    }
    const series_verdict v = series_classify(&f);
    if (v.kind < 0 || v.kind > SERIES_DOUBTFUL || !v.why[0])
        abort();
    return 0;
}
