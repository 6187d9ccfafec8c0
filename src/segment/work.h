/* What the steps share (private to segment/). */
#ifndef TWINSEG_SEGMENT_WORK_H
#define TWINSEG_SEGMENT_WORK_H

#include "segment/state.h"
#include "volume/volume.h"

typedef struct {
    const segment_request *request;
    pool *pool;
    json_t *found;        /* a step writes what it found here ... */
    string_list files;    /* ... and here the files that it made, as names in OUT */
    json_t *images_found; /* what the first step found; borrowed */
} segment_work;

/* "OUT/name", to be freed; adds the name to the files that the step made. */
char *work_output(segment_work *w, const char *name, ts_error *error);
/* The same of a file that was made before. */
char *work_input(const segment_work *w, const char *name, ts_error *error);

/* The steps. Each reads what it needs from OUT and from the images that were given. */
ts_status step_images(segment_work *w, ts_error *error); /* images/, brain.nii.gz, registration.* */
ts_status step_labels(segment_work *w, ts_error *error); /* seg.nii.gz, native/ */
ts_status step_measures(segment_work *w, ts_error *error); /* measures.json, measures.csv */
ts_status step_dicom(segment_work *w, ts_error *error);    /* seg.dcm */
ts_status step_report(segment_work *w, ts_error *error);   /* report.html */

/* What a step is made of: equal, or the step is made anew. New references. */
json_t *images_of(const segment_request *r, ts_error *error);
json_t *labels_of(const segment_request *r, ts_error *error);

/* Adds a sentence to what the step found, and prints it as a warning. */
void work_warn(segment_work *w, const char *sentence);

/* The reference, and the transform from its world to that of an image (4x4), as the first step
 * recorded them in registration.json. */
ts_status read_registration(const segment_work *w, modality *reference,
                            double transforms[MODALITIES][4][4], ts_error *error);

#endif
