/* A model's network as a PyTorch state dict. The model file's names are those of the module in
 * docs/exchange.md already; what goes are the lower heads, what comes is the mark "format": "pt" by
 * which readers of the field know PyTorch's shapes. */
#include "exchange/export.h"

#include <stdlib.h>
#include <string.h>

ts_status export_parameters(const model *m, net_parameter **parameters, size_t *count,
                            ts_error *error)
{
    size_t all;
    int64_t weights;
    *count = 0;
    const ts_status status = net_layout(&m->config, parameters, &all, &weights, error);
    for (size_t i = 0; status == TS_OK && i < all; i++) {
        const char *name = (*parameters)[i].name;
        if (strncmp(name, "head.", 5) || !strncmp(name, "head.0.", 7))
            (*parameters)[(*count)++] = (*parameters)[i];
    }
    return status;
}

ts_status exchange_export_torch(const model *m, const char *path, ts_error *error)
{
    net_parameter *parameters;
    size_t count;
    model_metadata d = {0};
    ts_status status = export_parameters(m, &parameters, &count, error);
    if (status != TS_OK)
        return status;
    safetensor *tensors = memory_allocate(count, sizeof *tensors, "a file's header", error);
    status = tensors ? model_metadata_make(m, &d, error) : TS_MEMORY;
    if (status == TS_OK) {
        const char *keys[COUNT_OF(d.keys) + 1] = {"format"}, *values[COUNT_OF(d.keys) + 1] = {"pt"};
        for (size_t i = 0; i < d.count; i++) {
            keys[i + 1] = d.keys[i];
            values[i + 1] = d.values[i];
        }
        for (size_t i = 0; i < count; i++)
            tensors[i] = model_tensor(m, &parameters[i]);
        status = safetensors_write(path, tensors, count, keys, values, d.count + 1, error);
    }
    model_metadata_free(&d);
    free(tensors);
    free(parameters);
    return status;
}
