/* libFuzzer target: dataset.json, of MSD and of nnU-Net, from any bytes. */
#include "dataset/layout.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    dataset_description d;
    ts_error error = {0};
    if (dataset_describe((const char *)bytes, count, "dataset.json", &d, &error) != TS_OK) {
        if (!error.text[0])
            abort(); /* an error without a sentence */
        return 0;
    }
    if (d.channels < 0 || d.channels > DATASET_CHANNELS_MAX)
        abort();
    for (int i = 0; i < d.channels; i++)
        if (d.role[i] < ROLE_NONE || d.role[i] >= MODALITIES ||
            strlen(d.name[i]) >= sizeof d.name[i])
            abort();
    return 0;
}
