/* record (private to predict/): what a folder of predictions says of itself. */
#ifndef TWINSEG_PREDICT_RECORD_H
#define TWINSEG_PREDICT_RECORD_H

#include "predict/predictor.h"

/* Before anything is predicted into the folder `out`: refuses one that belongs to the data set or
 * that holds files that are not predictions under this record; then makes it and writes
 * predict.json, which names models, settings, the data set and its cases. */
ts_status record_begin(const predictor *p, const dataset *d, const char *out, ts_error *error);

/* Puts the case's row into OUT/confidence.csv in place of an older one; the others stay. */
ts_status record_outcome(const char *out, const char *id, const predict_outcome *r,
                         ts_error *error);

#endif
