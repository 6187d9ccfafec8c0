/* Counts, sizes and boxes of voxels. */
#include "voxels/voxels.h"

#include <string.h>

static const double least_mm = 0.01, most_mm = 100;

bool voxel_count_checked(const int64_t shape[3], int64_t most, int64_t *count)
{
    size_t product = 1;
    for (int k = 0; k < 3; k++)
        if (shape[k] < 1 || !size_multiply(product, (size_t)shape[k], &product) ||
            product > (size_t)most)
            return false;
    *count = (int64_t)product;
    return true;
}

bool voxel_size_possible(double mm)
{
    return mm >= least_mm && mm <= most_mm; /* false for NaN */
}

ts_status voxel_sizes_check(const double mm[3], const char *name, ts_error *error)
{
    for (int k = 0; k < 3; k++)
        if (!voxel_size_possible(mm[k]))
            return error_set(error, TS_BAD_INPUT,
                             "the voxels of '%s' measure %.4g mm along axis %d, where %g to %g "
                             "are possible: its header is damaged or not in mm",
                             name, mm[k], k + 1, least_mm, most_mm);
    return TS_OK;
}

voxel_box box_grow(const voxel_box *b, int64_t room, const int64_t shape[3])
{
    voxel_box grown;
    for (int k = 0; k < 3; k++) {
        grown.low[k] = b->low[k] > room ? b->low[k] - room : 0;
        grown.high[k] = b->high[k] + room < shape[k] ? b->high[k] + room : shape[k] - 1;
    }
    return grown;
}

voxel_box box_of_set(const uint8_t *bytes, const int64_t shape[3])
{
    voxel_box b = box_empty();
    for (int64_t z = 0, row = 0; z < shape[2]; z++)
        for (int64_t y = 0; y < shape[1]; y++, row += shape[0]) {
            const int64_t first = bytes_next_set(bytes + row, 0, shape[0]);
            int64_t last = shape[0] - 1;
            if (first == shape[0])
                continue;
            while (!bytes[row + last])
                last--;
            box_join(&b, &(voxel_box){{first, y, z}, {last, y, z}});
        }
    return b;
}

void box_cut(const uint8_t *bytes, const int64_t shape[3], const voxel_box *b,
             const uint8_t table[256], uint8_t *out)
{
    int64_t n[3];
    box_shape(b, n);
    for (int64_t z = 0; z < n[2]; z++)
        for (int64_t y = 0; y < n[1]; y++, out += n[0]) {
            const uint8_t *row = bytes + box_row(b, shape, y, z);
            if (!table)
                memcpy(out, row, (size_t)n[0]);
            for (int64_t x = 0; table && x < n[0]; x++)
                out[x] = table[row[x]];
        }
}

void box_cut_numbers(const int32_t *numbers, const int64_t shape[3], const voxel_box *b,
                     const uint8_t *table, uint8_t *out)
{
    int64_t n[3];
    box_shape(b, n);
    for (int64_t z = 0; z < n[2]; z++)
        for (int64_t y = 0; y < n[1]; y++, out += n[0]) {
            const int32_t *row = numbers + box_row(b, shape, y, z);
            for (int64_t x = 0; x < n[0]; x++)
                out[x] = table[row[x]];
        }
}
