/* train: optimiser, schedule, one iteration, checkpoint, run folder. METHOD 2 and 3. */
#ifndef TWINSEG_TRAIN_H
#define TWINSEG_TRAIN_H

#include "dataset/dataset.h"
#include "plan/plan.h"

typedef struct {
    const char *data;     /* data set folder */
    const char *out;      /* run folder, created */
    int fold, folds;      /* folds 0: all cases train */
    bool resume;
    int64_t stop_after;   /* steps in this call; 0: to the end */
} train_options;

/* Trains to the end of the schedule (or stop_after, or an interrupt, which returns TS_STOPPED with
 * the checkpoint written). The run folder holds config.ini, split.json, metrics.csv, log.txt,
 * checkpoint.safetensors, and at the end model.safetensors and teacher.safetensors. */
ts_status train_run(const plan *p, const train_options *options, ts_error *error);

#endif
