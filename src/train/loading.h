/* How many threads load beside the step, and how far ahead: idle ones cost nothing, and half as
 * many as the step has keep ahead of it. */
#ifndef TWINSEG_TRAIN_LOADING_H
#define TWINSEG_TRAIN_LOADING_H

static inline int loading_threads(int threads)
{
    return (threads + 1) / 2;
}

/* Batches that lie ready, beyond the one in use. */
static inline int loading_ahead(int threads)
{
    return loading_threads(threads) + 1;
}

#endif
