/* The cases of a run: which train, which are held out, which are skipped; and those that are used,
 * preprocessed. */
#ifndef TWINSEG_TRAIN_CASES_H
#define TWINSEG_TRAIN_CASES_H

#include "dataset/dataset.h"
#include "train/run_folder.h"
#include "train/train.h"

typedef struct {
    dataset data;
    run_split split;            /* ids, borrowed from data */
    const dataset_case **used;  /* the training cases, then the held-out ones */
    preprocessed *preprocessed; /* of the used, in that order */
    size_t preprocessed_count;
} run_cases;

/* Opens the data set and splits its cases; a run without a training case for each of its networks is
 * an error. */
ts_status run_cases_open(run_cases *c, const plan *p, const train_options *options,
                         ts_error *error);
/* Preprocesses every used case through the cache folder, with a progress line. */
ts_status run_cases_preprocess(run_cases *c, const plan *p, const char *cache, pool *threads,
                               ts_error *error);
void run_cases_close(run_cases *c);

#endif
