/* compare: two dates of one patient: what changed in volume, which lesions are the same, which are
 * new. docs/measures.md, "Two dates". */
#ifndef TWINSEG_COMPARE_H
#define TWINSEG_COMPARE_H

#include "align/align.h"
#include "measure/measure.h"

/* One date as it lies in a folder: what `segment` writes (images/, seg.nii.gz, brain.nii.gz), or a
 * single case with images and labels in any layout of docs/data.md. */
typedef struct {
    char *id;                                  /* the folder's name */
    char *images[MODALITIES], *labels, *brain; /* paths; NULL: not there */
} compare_date;

ts_status compare_date_open(const char *folder, compare_date *out, ts_error *error);
void compare_date_free(compare_date *d);

/* Lesions of both dates that are one: which overlap or come within 2 mm after registration, also by
 * way of others (two that grew into one, one that fell into two). */
typedef struct {
    size_t before, after; /* how many lesions of each date */
    size_t root;          /* of the first lesion: those of the second date are counted on */
    double et_ml[2], product_mm2[2]; /* of each date, their sums */
    double centre_mm[3]; /* in the world of the second date, or of the first where none is left */
    bool right;
} compare_group;

typedef struct {
    measures date[2];
    modality contrast[2];  /* of the images that were registered */
    alignment found;       /* world of the first date to world of the second */
    compare_group *groups; /* [count], owned: most ET first, of both dates together */
    size_t count;
    size_t *group_of[2]; /* [lesions of the date], owned: index of its group */
} comparison;

typedef struct {
    const char *before, *after; /* folders */
    const char *out;  /* a folder for compare.json, .csv and .png; NULL: nothing is written */
    label_map labels; /* how both are read; LABELS_AUTO: by themselves */
} compare_request;

/* Reads, measures, registers, matches and writes. To be freed also after an error. */
ts_status compare_dates(const compare_request *r, pool *p, comparison *out, ts_error *error);
void comparison_free(comparison *c);

/* "new", "gone", "the same", "merged", "split", "several". */
const char *compare_state(const compare_group *g);
/* Percent of the first; NAN where it is 0. */
double compare_percent(double before, double after);

/* compare.json and compare.csv into a folder, by rename (private to compare/ but for tests). */
ts_status compare_write(const comparison *c, const char *folder, ts_error *error);

#endif
