/* What a run shows while it goes: the progress line for people, events for programs. */
#ifndef TWINSEG_TRAIN_LIVE_H
#define TWINSEG_TRAIN_LIVE_H

#include "train/method.h"
#include "train/run_folder.h"

typedef struct {
    FILE *events;               /* a JSON object a line; NULL: none */
    int64_t first, last, steps; /* of this call: done before, asked for; of the schedule */
    double mean_seconds;        /* of a step, for the time left; 0 before the first */
    double dice[ROLES];         /* mean of the latest validation's three; NAN before it */
} live;

/* "begin": where the run stands and with how many cases. */
void live_begin(live *l, const plan *p, const run_split *split, int threads);
/* "step": the row of metrics.csv, time left and memory; and the progress line. */
void live_step(live *l, const metrics_row *row);
/* "end": finished, stopped or failed, after so many steps; why may be NULL. */
void live_end(live *l, const char *how, int64_t step, const char *why);

#endif
