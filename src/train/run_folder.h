/* The folder of a run: its settings (config.ini, split.json), what happened (metrics.csv, log.txt),
 * and the rules by which a run is begun, refused or resumed. */
#ifndef TWINSEG_TRAIN_RUN_FOLDER_H
#define TWINSEG_TRAIN_RUN_FOLDER_H

#include "plan/plan.h"

/* Which cases a run uses. ids are borrowed from the data set. */
typedef struct {
    int fold, folds;
    const char **train, **held_out;
    size_t train_count, held_out_count;
    const char **skipped; /* lack a truth or a modality that the method needs */
    size_t skipped_count;
    const char **student_alone; /* of the training cases, those that train no teacher */
    size_t student_alone_count;
} run_split;

/* One row of metrics.csv; NAN becomes an empty cell. step counts finished steps, from 1. */
typedef struct {
    int64_t step;
    double learning_rate, loss_student, loss_teacher, loss_barlow, loss_soft;
    double norm_student, norm_teacher;
    double seconds, waited;                  /* of the step; of it, for the loader */
    double dice_student[3], dice_teacher[3]; /* WT TC ET, where the step ended in a validation */
} metrics_row;

typedef struct {
    char *path;
    FILE *metrics, *log;
} run_folder;

/* May a run begin here, or with resume go on? A folder that holds a run is refused without resume,
 * one that holds none with it. To be called before hours of preprocessing; writes nothing. *begun:
 * the folder holds a run. */
ts_status run_folder_check(const char *path, bool resume, bool *begun, ts_error *error);
/* Begins the run (writes config.ini and split.json). Of a run that has begun it compares them:
 * settings and split must be those of the folder, but for settings that change no number
 * (train_setting_matters). */
ts_status run_folder_open(run_folder *f, const char *path, bool begun, const plan *p,
                          const run_split *split, ts_error *error);
/* Opens metrics.csv: of a run that was begun cut to the rows of the first `step` steps, else with
 * its header alone. */
ts_status run_folder_metrics(run_folder *f, bool begun, int64_t step, ts_error *error);
ts_status run_folder_row(run_folder *f, const metrics_row *row, ts_error *error);
/* Flushes metrics.csv to the disk, before a checkpoint that relies on its rows. */
ts_status run_folder_sync(run_folder *f, ts_error *error);
/* A line in log.txt with the time before it. */
void run_folder_log(run_folder *f, const char *format, ...) PRINTF_LIKE(2, 3);
void run_folder_close(run_folder *f);
/* Removes a file of the folder, where it is there. */
void run_folder_remove(const char *path, const char *name);

#endif
