/* Fuzz target: the safetensors header and, where it stands, the model in it. */
#include "model/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    ts_error e;
    safetensors s;
    model m;
    if (safetensors_parse(bytes, count, "fuzz", &s, &e) != TS_OK)
        return 0;
    if (model_decode(&s, "fuzz", &m, &e) == TS_OK)
        model_free(&m);
    safetensors_free(&s);
    return 0;
}
