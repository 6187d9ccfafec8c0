/* report: runs, predictions and studies in, one HTML file out that any browser shows without
 * network or server. The page is page.html, page.css and page.js, which are embedded in the
 * program; what it shows is in it as JSON. */
#ifndef TWINSEG_REPORT_H
#define TWINSEG_REPORT_H

#include "evaluate/evaluate.h"
#include "plan/plan.h"

typedef struct {
    const char *data; /* data set of the images and truths; NULL: those that predict recorded */
    convention convention; /* of the scores */
    label_map labels[2];   /* of predictions and truths; AUTO: as they say themselves */
    modality_set shown;    /* images to show; 0: FLAIR and T1CE, or what a case has */
    int pictures;          /* cases with slices, of each folder of predictions */
    int threads;
} report_options;

/* What a report holds. */
typedef struct {
    size_t runs, predictions, studies, patients, cases, pictures, bytes;
} report_counts;

/* Each folder is a run (config.ini), a study (scores/table.json or table.json, else cells/) or
 * a patient (segment.json) or
 * predictions (predict.json or label files); any other is an error that says so. Of what is not
 * finished the report shows what is there. By rename. */
ts_status report_write(const char *const *folders, size_t count, const report_options *o,
                       const char *out, report_counts *counts, ts_error *error);

#endif
