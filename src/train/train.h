/* train: optimiser, schedule, one iteration, checkpoint, run folder (docs/method.md, "One
 * iteration", "Training"). */
#ifndef TWINSEG_TRAIN_H
#define TWINSEG_TRAIN_H

#include "dataset/dataset.h"
#include "plan/plan.h"

typedef struct {
    const char *const *data; /* folders of the data set */
    size_t data_count;
    const char *out; /* run folder, created */
    /* Models (names or paths) whose weights the networks begin with; NULL: random ones. Two-stage's
     * teacher takes the place of the first stage. */
    const char *student, *teacher;
    const char *cache; /* folder of preprocessed cases, shared among runs; NULL: OUT/cache */
    int fold, folds;   /* folds 0: all cases train */
    bool resume;
    int64_t stop_after; /* steps in this call; 0: to the end */
    FILE *events;       /* a JSON object per line: begin, step by step, end; NULL: none */
} train_options;

/* Steps of a whole run: those of the schedule, for two-stage twice as many. */
int64_t train_steps(const plan *p);

/* Trains to the end of the schedule (or stop_after, or an interrupt, which returns TS_STOPPED with
 * the checkpoint written). The run folder holds config.ini, split.json, metrics.csv, log.txt,
 * checkpoint.safetensors, and at the end model.safetensors and teacher.safetensors; with a held-out
 * fold also model-best.safetensors and teacher-best.safetensors. Bit for bit the same result with
 * any number of threads, interrupted and resumed or not. */
ts_status train_run(const plan *p, const train_options *options, ts_error *error);

/* The settings and the fold that a run folder was begun with. */
ts_status train_read_config(const char *out, plan *p, ts_error *error);
ts_status train_read_fold(const char *out, int *fold, int *folds, ts_error *error);
/* The ids of the cases that the run held out. */
ts_status train_read_held_out(const char *out, string_list *ids, ts_error *error);
/* An error that names the first setting of the run folder that is not the plan's. */
ts_status train_compare_config(const char *out, const plan *p, ts_error *error);
/* Settings that change no number of the result: threads and checkpoint_steps. */
bool train_setting_is_free(const char *key);
/* Does the setting change a number of a run of the plan's method? Of a method without a teacher
 * beside the student none of the distillation does. */
bool train_setting_matters(const plan *p, const char *key);

/* ---- what a plan will take (for `twinseg plan`) ---------------------------------------------- */

typedef struct {
    int64_t student_parameters, teacher_parameters; /* 0 where the method has none of the role */
    size_t weights, gradients, momentum;            /* bytes, both networks */
    size_t packed;                                  /* weights in the engine's layout */
    size_t workspace; /* activations and scratch: the larger network's, or both with
                       * teacher_gradient */
    size_t features;  /* latents and their gradients, labels of the lower heads, student's input */
    size_t loss;      /* standardised latents and correlations, while Barlow Twins is computed */
    size_t batches;   /* patches that the loader holds ready */
} train_memory;

ts_status train_plan_memory(const plan *p, train_memory *memory, ts_error *error);
size_t train_memory_total(const train_memory *m);

/* The median of `steps` steps on synthetic patches, after one that warms up, without loading; of
 * two-stage's stages the mean of both medians. */
ts_status train_measure(const plan *p, int steps, double *seconds_per_step, ts_error *error);

#endif
