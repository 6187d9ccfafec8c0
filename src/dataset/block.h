/* block (private to dataset/): the one block of memory that a preprocessed case lives in, the same
 * on the heap and in a cache file:
 *   images [MODALITIES][z][y][x] float | labels [z][y][x] uint8 | foreground of class 1, 2, 3 int32
 * each part starting at a multiple of 64 bytes. */
#ifndef TWINSEG_DATASET_BLOCK_H
#define TWINSEG_DATASET_BLOCK_H

#include "dataset/dataset.h"

/* Of a class at most this many voxels are listed, evenly spread over all of them in memory order:
 * 4 MiB a class. A whole tumour at 1 mm has some 100,000. */
enum { FOREGROUND_LIMIT = 1 << 20 };

typedef struct {
    bool labelled;
    int64_t voxels, class_voxels[4], listed[4];
    size_t labels_at, foreground_at[4], bytes;
} block_layout;

/* The layout for a shape and its labels (NULL: unlabelled), counted here. */
ts_status block_plan(const int64_t shape[3], const uint8_t *labels, block_layout *out,
                     ts_error *error);
/* The same from counts, as a cache's header gives them; false where they are impossible. */
bool block_place(const int64_t shape[3], bool labelled, const int64_t class_voxels[4],
                 block_layout *out);

/* Writes labels and foreground lists into a block. */
void block_fill_labels(const block_layout *l, void *block, const int64_t shape[3],
                       const uint8_t *labels);

/* Points the members of *out into the block. */
void block_bind(const block_layout *l, const void *block, preprocessed *out);

#endif
