/* Products into the phases of a tensor (spread.c). */
#ifndef TWINSEG_ENGINE_SPREAD_H
#define TWINSEG_ENGINE_SPREAD_H

#include "engine/kernels.h"

/* Products whose channels are phases of `whole`: one product with a channel for each phase
 * (transposed convolution), or eight, one for each phase (data gradient of stride 2). */
typedef struct {
    engine *e;
    const tensor *whole, *half;
    int products;             /* 1 or 8 */
    const uint32_t **term[8]; /* [n][terms] */
    int64_t terms[8], channels;
    const float *packed[8], *bias;
    bool add;
    int64_t rows; /* of half in a task */
    uint32_t *local;
    int64_t local_count;
} spread;

void spread_run(const spread *s);

#endif
