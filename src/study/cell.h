/* cell: trains and scores one run of the grid. The score file is all that the table needs, and is
 * small enough to be committed. */
#ifndef TWINSEG_STUDY_CELL_H
#define TWINSEG_STUDY_CELL_H

#include "study/study.h"

typedef struct {
    char *id;
    region_scores legacy[REGIONS], lesion[REGIONS];
} case_scores;

/* Scores of the held-out cases, of one model of the run. */
typedef struct {
    char role[16];      /* "student" or "teacher" */
    modality_set input; /* what it was given */
    int64_t parameters;
    char weights[20]; /* fingerprint, hexadecimal */
    case_scores *cases;
    size_t count;
} model_scores;

typedef struct {
    int64_t steps;
    double seconds; /* of all steps together, loading included */
    model_scores *models;
    size_t count;
} cell_scores;

void cell_scores_free(cell_scores *s);

/* study_open and scores_read from memory; path is used in messages. */
ts_status study_parse(const char *bytes, size_t count, const char *path, study *out,
                      ts_error *error);
ts_status scores_parse(const uint8_t *bytes, size_t count, const char *path, const study *s,
                       const study_cell *c, cell_scores *scores, ts_error *error);

/* FOLDER/NAME.json, by rename. */
ts_status scores_write(const char *folder, const study *s, const study_cell *c,
                       const cell_scores *scores, ts_error *error);
/* *found false where there is no such file. Settings, seed or fold other than the cell's are an
 * error that names the first. */
ts_status scores_read(const char *folder, const study *s, const study_cell *c, bool *found,
                      cell_scores *scores, ts_error *error);

/* Trains (or goes on, or takes a finished run as it is), predicts the held-out cases and scores
 * them. After TS_OK the score file is there. */
ts_status cell_run(const study *s, const study_cell *c, const study_options *o, ts_error *error);

/* FOLDER/SUBFOLDER/NAME and the suffix; subfolder may be NULL; free(). */
char *cell_path(const char *folder, const char *subfolder, const study_cell *c, const char *suffix,
                ts_error *error);

#endif
