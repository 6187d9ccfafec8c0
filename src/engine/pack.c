/* Weights in the order in which multiply reads them. */
#include "engine/pack.h"

#define MOST_TILE 8 /* of any target */

int64_t packed_count(const engine *e, int64_t terms, int64_t channels)
{
    return terms * e->kernels->weights_of_term * round_up(channels, e->kernels->tile);
}

typedef struct {
    const engine *e;
    const weight_map *map;
    const float *weight;
    float *packed;
    int64_t last_half;
} packing;

/* The weights of a term's half for a tile of channels, as weight_map says. Prefetches those of
 * the next unit, runs of 27 that no hardware prefetcher follows: packing takes a quarter of the
 * time. */
static void pack_row(const packing *j, int64_t term_half, const int64_t *channel, int64_t tile,
                     float *out)
{
    const int64_t at = j->map->term_at[term_half], last = j->last_half;
    const int64_t next = j->map->term_at[term_half + 64 < last ? term_half + 64 : last];
    for (int64_t c = 0; c < tile; c++) {
        __builtin_prefetch(j->weight + (next < 0 || channel[c] < 0 ? 0 : next + channel[c]));
        out[c] = at < 0 || channel[c] < 0 ? 0 : j->weight[at + channel[c]];
    }
}

static void pack_block(void *context, int64_t block, int thread)
{
    (void)thread;
    const packing *j = context;
    const kernels *k = j->e->kernels;
    const int64_t rows = j->map->terms * k->weights_of_term, tile = k->tile;
    int64_t channel[MOST_TILE];
    for (int64_t c = 0; c < tile; c++)
        channel[c] =
            block * tile + c < j->map->channels ? j->map->channel_at[block * tile + c] : -1;
    float *to = j->packed + block * rows * tile;
    for (int64_t r = 0; r < rows; r++, to += tile) {
        if (!k->dot) {
            pack_row(j, r, channel, tile, to);
            continue;
        }
        float low[MOST_TILE], high[MOST_TILE];
        uint32_t pair[MOST_TILE];
        pack_row(j, 2 * r, channel, tile, low);
        pack_row(j, 2 * r + 1, channel, tile, high);
        for (int64_t c = 0; c < tile; c++)
            pair[c] = float_to_bf16(low[c]) | (uint32_t)float_to_bf16(high[c]) << 16;
        memcpy(to, pair, (size_t)tile * sizeof *pair);
    }
}

void pack_weights(engine *e, const weight_map *map, const float *weight, float *packed)
{
    packing j = {.e = e, .map = map, .weight = weight, .packed = packed};
    j.last_half = map->terms * CHANNELS_PER_UNIT(e->dtype) - 1;
    const int64_t tile = e->kernels->tile;
    pool_run(e->threads, pack_block, &j, (map->channels + tile - 1) / tile);
}
