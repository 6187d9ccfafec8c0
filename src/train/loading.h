/* How many threads load batches while a step runs, and how far ahead: idle ones cost nothing, and
 * half as many threads as the step has are fast enough. */
#ifndef TWINSEG_TRAIN_LOADING_H
#define TWINSEG_TRAIN_LOADING_H

static inline int loading_threads(int threads)
{
    return (threads + 1) / 2;
}

/* Batches that are ready, beyond the one in use. */
static inline int loading_ahead(int threads)
{
    return loading_threads(threads) + 1;
}

#endif
