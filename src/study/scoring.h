/* scoring (private to study/): a model on the cases that have its input, predicted and scored as
 * `twinseg predict` and `twinseg evaluate` do. */
#ifndef TWINSEG_STUDY_SCORING_H
#define TWINSEG_STUDY_SCORING_H

#include "dataset/dataset.h"
#include "model/model.h"
#include "study/cell.h"

/* Those of the cases that have `input`, with these images alone, so that a model cannot see more.
 * They borrow from the data set; free(out->cases). */
ts_status scoring_choose(const dataset *d, const dataset_case *const *cases, size_t count,
                         modality_set input, dataset *out, ts_error *error);

/* Predicts the cases into the folder, keeping what is there of the same model, and scores them by
 * both conventions into *out (cell_scores_free). settings: of the prediction, threads included. */
ts_status scoring_run(const model *m, const plan *settings, const dataset *cases,
                      modality_set input, const char *folder, model_scores *out, ts_error *error);

/* "t1+flair": of names of folders and tables. */
const char *scoring_name(modality_set input, char buffer[24]);

#endif
