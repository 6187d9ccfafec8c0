/* What the files of report/ share: each makes one part of the page's JSON. */
#ifndef TWINSEG_REPORT_PARTS_H
#define TWINSEG_REPORT_PARTS_H

#include "dataset/dataset.h"
#include "report/report.h"
#include "volume/volume.h"

#include <jansson.h>

/* A run: state, settings, curves, split, models, log. */
ts_status report_run(const char *folder, json_t **out, ts_error *error);

/* A study's table.json. *out is NULL where the folder has none. */
ts_status report_study(const char *folder, json_t **out, ts_error *error);

/* A folder of `segment`: its records, measures and slices. text_limit as below. */
ts_status report_patient(const char *folder, size_t text_limit, json_t **out, ts_error *error);

/* Predictions: scores, slices, files with checksums. text_limit: the most characters that the
 * slices may take. */
ts_status report_predictions(const char *folder, const report_options *o, size_t text_limit,
                             report_counts *counts, json_t **out, ts_error *error);

/* ---- slices --------------------------------------------------------------------------------- */

/* One case on one grid; labels 0 to 3, NULL: none. */
typedef struct {
    const volume_header *header;
    const float *images[MODALITIES];
    const uint8_t *prediction, *truth;
} picture_source;

/* The case turned to LPS, cut to the head, resampled so that it takes at most text_limit
 * characters, and packed for page.js. */
ts_status report_pack(const picture_source *s, size_t text_limit, pool *p, json_t **out,
                      ts_error *error);

/* ---- values --------------------------------------------------------------------------------- */

/* JSON has no NaN and no infinity: null, and "inf". */
json_t *report_number(double value);
/* null for NULL; what is not UTF-8 is shown as \\xff. */
json_t *report_string(const char *s);

#endif
