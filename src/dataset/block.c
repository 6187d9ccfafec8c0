/* The parts of a preprocessed case's block: where they are, and the foreground lists. */
#include "dataset/block.h"
#include "voxels/voxels.h"

#include <string.h>

static size_t align_64(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

bool block_place(const int64_t shape[3], bool labelled, const int64_t class_voxels[4],
                 block_layout *out)
{
    int64_t count;
    if (!voxel_count_checked(shape, INT32_MAX, &count)) /* foreground lists hold int32 */
        return false;
    const size_t voxels = (size_t)count;
    *out = (block_layout){.labelled = labelled, .voxels = count};
    out->labels_at = align_64(MODALITIES * sizeof(float) * voxels);
    size_t at = out->labels_at + (labelled ? align_64(voxels) : 0);
    for (int k = 1; k < 4; k++) {
        const int64_t own = labelled ? class_voxels[k] : 0;
        if (own < 0 || own > count)
            return false;
        out->class_voxels[k] = own;
        out->listed[k] = own < FOREGROUND_LIMIT ? own : FOREGROUND_LIMIT;
        out->foreground_at[k] = at;
        at += align_64((size_t)out->listed[k] * sizeof(int32_t));
    }
    out->bytes = at;
    return true;
}

ts_status block_plan(const int64_t shape[3], const uint8_t *labels, block_layout *out,
                     ts_error *error)
{
    int64_t count[4] = {0};
    const int64_t voxels = voxel_count(shape);
    for (int64_t i = 0; labels && i < voxels; i++)
        count[labels[i] & 3]++;
    if (!block_place(shape, labels != NULL, count, out))
        return error_set(error, TS_BAD_INPUT, "a volume of %lldx%lldx%lld voxels is too large",
                         (long long)shape[0], (long long)shape[1], (long long)shape[2]);
    return TS_OK;
}

void block_fill_labels(const block_layout *l, void *block, const int64_t shape[3],
                       const uint8_t *labels)
{
    char *base = block;
    const int64_t voxels = voxel_count(shape);
    int64_t seen[4] = {0}, listed[4] = {0};
    if (!l->labelled)
        return;
    memcpy(base + l->labels_at, labels, (size_t)voxels);
    for (int64_t i = 0; i < voxels; i++) {
        const int k = labels[i];
        if (!k)
            continue;
        /* voxel number `seen` is listed where it is the first at or past an even step */
        if (listed[k] * l->class_voxels[k] <= seen[k] * l->listed[k]) {
            int32_t *list = (int32_t *)(void *)(base + l->foreground_at[k]);
            list[listed[k]++] = (int32_t)i;
        }
        seen[k]++;
    }
}

void block_bind(const block_layout *l, const void *block, preprocessed *out)
{
    const char *base = block;
    out->images = block;
    out->labels = l->labelled ? (const uint8_t *)base + l->labels_at : NULL;
    for (int k = 1; k < 4; k++) {
        out->foreground[k] = (const int32_t *)(const void *)(base + l->foreground_at[k]);
        out->foreground_count[k] = l->listed[k];
    }
}
