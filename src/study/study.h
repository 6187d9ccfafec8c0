/* study: a grid of training runs, each scored on the cases that it was not trained on, and the
 * statistics over them. A study file (docs/studies.md) names arms, modality subsets, seeds and
 * folds; a cell is one run of the grid. The result of a cell is one small score file; the table
 * needs nothing else. */
#ifndef TWINSEG_STUDY_H
#define TWINSEG_STUDY_H

#include "dataset/dataset.h"
#include "evaluate/evaluate.h"
#include "model/model.h"
#include "plan/plan.h"

enum { STUDY_ARMS_MAX = 64, STUDY_SUBSETS_MAX = 15, STUDY_SEEDS_MAX = 64, STUDY_NAME_MAX = 48 };

/* One way to train: a method, or a method with settings of its own. */
typedef struct {
    char name[STUDY_NAME_MAX];
    plan plan; /* student and seed are the cell's */
} study_arm;

typedef struct {
    char name[24]; /* as the study file has it, joined by '+' */
    modality_set set;
} study_subset;

/* One run of the grid. name: ARM-SUBSET-sSEED-fFOLD, that of its run folder and score file. */
typedef struct {
    char name[128];
    size_t arm;
    modality_set input; /* what it is trained on: the subset, or all four (study_spans_subsets) */
    int64_t seed;
    int fold;
    plan plan; /* complete but for the threads */
} study_cell;

typedef struct {
    char *path; /* of the study file */
    char name[STUDY_NAME_MAX];
    study_arm arms[STUDY_ARMS_MAX];
    study_subset subsets[STUDY_SUBSETS_MAX];
    int64_t seeds[STUDY_SEEDS_MAX];
    size_t arm_count, subset_count, seed_count;
    size_t reference; /* the arm that the others are compared with */
    int folds;
    study_cell *cells; /* by seed, subset, fold, arm */
    size_t cell_count;
} study;

/* Does one run serve all subsets? Method teacher's does, which sees all modalities anyway, and so
 * does a student of any subset, which is scored on each of the study's. */
bool study_spans_subsets(const study_arm *arm);

/* Reads and checks a study file; the sentence of an error names file, line and cause. */
ts_status study_open(const char *path, study *out, ts_error *error);
void study_close(study *s);

/* ---- working through the grid ---------------------------------------------------------------- */

typedef struct {
    const char *const *data; /* folders of the data set */
    size_t data_count;
    const char *out;    /* OUT/cells/NAME: runs; OUT/predictions, OUT/logs, OUT/locks */
    const char *cache;  /* preprocessed cases; NULL: OUT/cache */
    const char *scores; /* score files and tables; NULL: OUT/scores */
    int workers;        /* cells at a time, a process each */
    int threads;        /* of a cell */
    size_t first, last; /* these cells alone, from 0, both ends included */
} study_options;

typedef struct {
    size_t done;   /* scored before this call or in it */
    size_t failed; /* in this call; each was warned of */
    size_t taken;  /* claimed by workers elsewhere */
} study_counts;

/* Runs every cell that has no score file yet and that no other worker has claimed. A cell that
 * fails is named with its cause, and the others go on. TS_STOPPED after an interrupt. */
ts_status study_run(const study *s, const study_options *o, study_counts *counts, ts_error *error);

typedef enum { CELL_WAITING, CELL_BEGUN, CELL_RUNNING, CELL_FAILED, CELL_DONE } study_state;

/* note: who runs it, why it failed, or "". */
study_state study_cell_state(const study *s, size_t cell, const study_options *o, char note[1024]);

/* ---- statistics ------------------------------------------------------------------------------ */

/* Two-sided p of Wilcoxon's signed-rank test on paired differences. Zeros are left out, ties share
 * their mean rank; exact up to 50 differences, beyond by the normal distribution with the variance
 * corrected for ties. scipy.stats.wilcoxon gives the same p, but for 14 to 50 differences with ties
 * among them, where it takes the normal distribution. 1 where no difference is left. */
double study_wilcoxon(const double *differences, size_t count);

/* 95 % percentile interval of the mean over 10 000 resamples of the differences, drawn with a fixed
 * seed. */
ts_status study_bootstrap(const double *differences, size_t count, double *low, double *high,
                          ts_error *error);

/* ---- the table ------------------------------------------------------------------------------- */

/* Writes table.md, table.csv, table.json and differences.png into the folder of the score files
 * from those that are there; *done counts them. */
ts_status study_table(const study *s, const char *scores, size_t *done, ts_error *error);

/* ---- one model on every subset of the modalities ---------------------------------------------- */

enum { STUDY_ALL_SUBSETS = 15 };

/* The 15 subsets in the order in which papers on missing modalities have them: one image, two, three,
 * all. */
extern const modality_set study_all_subsets[STUDY_ALL_SUBSETS];

typedef struct {
    const model *model; /* for any subset */
    const plan *settings;
    const dataset *data;
    const char *out; /* OUT/SUBSET: the predictions; OUT/subsets.md, .csv, .tex, scores.csv */
    bool lesion;     /* Dice lesion by lesion (BraTS 2023), else of whole regions */
} study_subsets_options;

/* Gives the model of each case with a truth every subset that the case has, scores it, and writes the
 * tables; *shown: subsets.md, free(). What is predicted already is kept, so that an interrupted call
 * can be repeated. */
ts_status study_subsets_run(const study_subsets_options *o, char **shown, ts_error *error);

#endif
