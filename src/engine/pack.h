/* Packed weights: a layer's master weights in the order in which multiply reads them. */
#ifndef TWINSEG_ENGINE_PACK_H
#define TWINSEG_ENGINE_PACK_H

#include "engine/kernels.h"

/* Which master weight belongs to (term, half of its unit, output channel) of a product:
 * weight[term_at[term * halves + half] + channel_at[channel]], or 0 where either is negative. */
typedef struct {
    int64_t terms, channels;
    int64_t *term_at, *channel_at;
} weight_map;

/* Floats of packed weights. */
int64_t packed_count(const engine *e, int64_t terms, int64_t channels);
/* packed: packed_count() floats, zeros where the map has no weight. */
void pack_weights(engine *e, const weight_map *map, const float *weight, float *packed);

#endif
