/* segment: a patient's raw images in; their masks on every image's own grid, measures and a report
 * out. The steps (registration and brain, labels, measures, DICOM, report) are kept in one folder
 * with a record, so that a second call goes on where the first stopped. docs/segment.md. */
#ifndef TWINSEG_SEGMENT_H
#define TWINSEG_SEGMENT_H

#include "model/model.h"
#include "plan/plan.h"

/* One image that was given. */
typedef struct {
    const char *path;  /* NIfTI; NULL: not there */
    const char *dicom; /* the folder that it is from, where dcm2niix made it; else NULL, and: */
    const char *told;  /* what the series is called, for the report */
    const char *uid;   /* of the series */
} segment_input;

typedef struct {
    segment_input input[MODALITIES];
    const char *folder;              /* OUT; made where it is not there */
    const char *brain, *skull_strip; /* a mask; a command; NULL: neither */
    const model *models;
    size_t model_count;
    const plan *settings; /* of the prediction, segment_settings of them; threads too */
    bool dicom_seg;       /* also seg.dcm */
} segment_request;

/* The keys of plan.h that may be set, the last NULL: those of a prediction less `labels`, for the
 * measures and the report read the labels again. */
extern const char *const segment_settings[];

typedef struct {
    string_list warnings; /* of the whole, which the report shows too */
    size_t made, kept;    /* steps */
} segment_result;

/* All of OUT, in steps. Those that are there already, made from the same images by the same
 * settings, are kept; where these differ, a note says what, and the step and all after it are made
 * anew. A folder that holds other files is refused, as is one that another process works in.
 * Names and IDs of patients are written nowhere. The result is to be freed after an error too. */
ts_status segment_patient(const segment_request *r, segment_result *out, ts_error *error);
void segment_result_free(segment_result *r);

#endif
