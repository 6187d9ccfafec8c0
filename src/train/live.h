/* What a run shows while it goes: the progress line for people, events for programs. */
#ifndef TWINSEG_TRAIN_LIVE_H
#define TWINSEG_TRAIN_LIVE_H

#include "train/method.h"
#include "train/run_folder.h"

typedef struct {
    FILE *events;               /* a JSON object per line; NULL: none */
    int64_t first, last, steps; /* done before this call, its last; of the whole run */
    double mean_seconds;        /* of a step, for the time left; 0 before the first */
    double dice[ROLES];         /* mean of the latest validation's three; NAN before it */
} live;

/* "begin": the step that the run is at, and how many cases it has. */
void live_begin(live *l, const plan *p, const run_split *split, int threads);
/* "step": the row of metrics.csv, time left and memory; and the progress line. */
void live_step(live *l, const metrics_row *row);
/* "end": finished, stopped or failed, after so many steps; why may be NULL. */
void live_end(live *l, const char *how, int64_t step, const char *why);

#endif
