/* table: the rows of a study's table, computed from score files; and their renderings. */
#ifndef TWINSEG_STUDY_TABLE_H
#define TWINSEG_STUDY_TABLE_H

#include "study/cell.h"

/* dice and hd95 of the legacy convention, lesion_dice and lesion_hd95 of the other. */
enum { METRICS = 4 };
extern const char *const metric_names[METRICS];

/* The three regions, and their mean. */
enum { GROUPS = REGIONS + 1 };
extern const char *const group_names[GROUPS];

/* Over patients, each the mean of its seeds. NAN where there is no value. */
typedef struct {
    double mean, median, mean_low, mean_high; /* the bootstrap's interval of the mean */
    double difference, low, high, p; /* to the reference, over the same patients and seeds */
    double share; /* of the teacher's lead over the reference that the arm closes */
} figure;

typedef struct {
    char arm[STUDY_NAME_MAX + 16]; /* "teacher of ARM" for one that trained with a student */
    const char *subset;
    bool is_reference, is_teacher;
    size_t runs, runs_planned;
    double seconds, steps;  /* of a run, on average */
    size_t patients, pairs; /* with scores; also with the reference's */
    figure figures[METRICS][GROUPS];
    double *differences; /* Dice by group: [GROUPS][pairs] */
} table_row;

typedef struct {
    const study *study;
    table_row *rows; /* by subset, then arm */
    size_t count, cells_done;
} table;

ts_status table_compute(const study *s, const char *scores, table *out, ts_error *error);
void table_free(table *t);

ts_status table_write_markdown(const table *t, const char *path, ts_error *error);
ts_status table_write_csv(const table *t, const char *path, ts_error *error);
ts_status table_write_json(const table *t, const char *path, ts_error *error);
ts_status table_draw(const table *t, const char *path, ts_error *error);

#endif
