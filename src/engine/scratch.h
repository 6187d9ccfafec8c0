/* Pieces of the caller's scratch memory. */
#ifndef TWINSEG_ENGINE_SCRATCH_H
#define TWINSEG_ENGINE_SCRATCH_H

#include <stddef.h>

/* Pieces one behind the other, each at a multiple of 64 bytes. With base NULL it only counts. */
typedef struct {
    char *base;
    size_t used;
} scratch_pieces;

static inline void *scratch_take(scratch_pieces *s, size_t count, size_t size)
{
    void *piece = s->base ? s->base + s->used : NULL;
    s->used += (count * size + 63) & ~(size_t)63;
    return piece;
}

#endif
