/* libFuzzer target: a NIfTI file, header and voxels, from any bytes, through every reader. What one
 * of them accepts has the shape that its header says. */
#include "memory_file.h"
#include "volume/volume.h"

#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static void check_header(const volume_header *h)
{
    if (h->dimensions < 1 || h->dimensions > 7 || !volume_datatype_name(h->datatype))
        abort();
    for (int a = 0; a < 7; a++)
        if (h->shape[a] < 1)
            abort();
    for (int a = 0; a < 3; a++)
        for (int b = 0; b < 4; b++)
            if (!isfinite(h->affine[a][b]))
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    const char *path = memory_file(bytes, count);
    ts_error error = {0};
    volume v;
    volume_header h;
    volume_statistics s;
    uint8_t *labels;
    if (volume_read(path, &v, &error) == TS_OK) {
        check_header(&v.header);
        volatile float last; /* reads the last voxel of each volume, where the shape says it is */
        const int64_t voxels = v.header.shape[0] * v.header.shape[1] * v.header.shape[2];
        for (int64_t c = 1; c <= v.channels; c++)
            last = v.data[c * voxels - 1];
        (void)last;
        volume_free(&v);
    } else if (!error.text[0])
        abort(); /* an error without a sentence */
    if (volume_read_labels(path, &h, &labels, NULL) == TS_OK) {
        check_header(&h);
        free(labels);
    }
    if (volume_read_statistics(path, &h, &s, NULL) == TS_OK)
        check_header(&h);
    return 0;
}
