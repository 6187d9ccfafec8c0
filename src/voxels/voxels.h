/* voxels: what is done with arrays of voxels whatever they hold: counting, boxes, connected
 * components, and the sizes that a voxel can have. Shapes are x, y, z; x runs fastest. */
#ifndef TWINSEG_VOXELS_H
#define TWINSEG_VOXELS_H

#include "base/base.h"

/* ---- counts and sizes ----------------------------------------------------------------------- */

/* For shapes whose product is known to fit. */
static inline int64_t voxel_count(const int64_t shape[3])
{
    return shape[0] * shape[1] * shape[2];
}

/* For shapes from files: *count is the product; false (*count untouched) where an extent is below 1
 * or the product exceeds `most`. */
bool voxel_count_checked(const int64_t shape[3], int64_t most, int64_t *count);

/* Can a voxel be that long? 0.01 to 100 mm: scanners make 0.2 to 10 mm; metres read as mm, and
 * damaged headers, lie outside. */
bool voxel_size_possible(double mm);

/* An error that names the file and the axis where a size is not possible. */
ts_status voxel_sizes_check(const double mm[3], const char *name, ts_error *error);

/* ---- boxes ---------------------------------------------------------------------------------- */

/* The voxels from low to high, both included. Empty: high < low. */
typedef struct {
    int64_t low[3], high[3];
} voxel_box;

static inline voxel_box box_empty(void)
{
    return (voxel_box){{INT64_MAX, INT64_MAX, INT64_MAX}, {-1, -1, -1}};
}

static inline bool box_is_empty(const voxel_box *b)
{
    return b->high[0] < b->low[0];
}

/* Makes the box hold another one too, which may be empty. */
static inline void box_join(voxel_box *b, const voxel_box *other)
{
    for (int k = 0; k < 3; k++) {
        b->low[k] = other->low[k] < b->low[k] ? other->low[k] : b->low[k];
        b->high[k] = other->high[k] > b->high[k] ? other->high[k] : b->high[k];
    }
}

static inline void box_add(voxel_box *b, int64_t x, int64_t y, int64_t z)
{
    const voxel_box one = {{x, y, z}, {x, y, z}};
    box_join(b, &one);
}

/* Its extents; 0 where it is empty. */
static inline void box_shape(const voxel_box *b, int64_t shape[3])
{
    for (int k = 0; k < 3; k++)
        shape[k] = box_is_empty(b) ? 0 : b->high[k] - b->low[k] + 1;
}

/* The box with room on every side, as far as the volume goes. b is not empty. */
voxel_box box_grow(const voxel_box *b, int64_t room, const int64_t shape[3]);

/* The index in the volume of the first voxel of row (y, z) of the box. */
static inline int64_t box_row(const voxel_box *b, const int64_t shape[3], int64_t y, int64_t z)
{
    return b->low[0] + shape[0] * (b->low[1] + y + shape[1] * (b->low[2] + z));
}

/* The box around the bytes that are not 0. */
voxel_box box_of_set(const uint8_t *bytes, const int64_t shape[3]);

/* out[voxel of the box] = table[byte]; a NULL table leaves the bytes as they are. */
void box_cut(const uint8_t *bytes, const int64_t shape[3], const voxel_box *b,
             const uint8_t table[256], uint8_t *out);

/* The same of numbers, such as those of components: out = table[number]. */
void box_cut_numbers(const int32_t *numbers, const int64_t shape[3], const voxel_box *b,
                     const uint8_t *table, uint8_t *out);

/* ---- holes ---------------------------------------------------------------------------------- */

/* mask becomes 1 where it was not 0 and in its holes: voxels of 0 that no way through the six faces
 * of such voxels leads from to the volume's faces. scratch: a number for each voxel; at most
 * INT32_MAX voxels. */
void holes_fill(uint8_t *mask, const int64_t shape[3], int32_t *scratch);

/* ---- connected components ------------------------------------------------------------------- */

typedef struct {
    int64_t voxels;
    voxel_box box;
} voxel_component;

/* The 26-connected components of a mask, numbered from 1 in the order of their first voxels. */
typedef struct {
    int32_t *numbers; /* of every voxel, 0: not in the mask */
    int32_t count;
    voxel_component *all; /* [count + 1]; by number, [0] is unused */
} components;

/* The voxels of the mask are those that are not 0. To be freed also after an error. */
ts_status components_find(const uint8_t *mask, const int64_t shape[3], components *out,
                          ts_error *error);
void components_free(components *c);

#endif
