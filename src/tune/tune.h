/* tune: predictions of held-out cases, and their truths, to post-processing rules. */
#ifndef TWINSEG_TUNE_H
#define TWINSEG_TUNE_H

#include "evaluate/evaluate.h"
#include "model/model.h"

/* The predicted cases of several folders, one a fold, with their truths. */
typedef struct {
    evaluate_list *lists; /* one a folder */
    size_t list_count;
    const evaluate_pair **pairs; /* of all lists; every one has a prediction */
    label_map *labels;           /* [count] of the predictions */
    label_map truth_labels;
    size_t count;
    double component_confidence; /* that all folders were predicted with */
} tune_cases;

/* labels: the readings of predictions and truths; LABELS_AUTO: as the folders state
 * (predict_take_labels). A case in two folders, and folders predicted with different component_confidence, are errors; so
 * are fewer than two cases. Release with tune_cases_free, also after an error. */
ts_status tune_cases_open(const string_list *folders, const char *truth, const label_map labels[2],
                          tune_cases *out, ts_error *error);
void tune_cases_free(tune_cases *c);

/* Mean Dice (both empty: 1) over the cases: of the predictions as they are, with the rules chosen,
 * and of each case with the rules chosen on the others, which is what to expect of new cases. */
typedef struct {
    model_rules rules;
    double before[REGIONS], after[REGIONS], held_out[REGIONS];
} tuning;

/* Chooses the rules by the mean Dice of WT, TC and ET over predictions that were made without them;
 * of equals the smaller thresholds. */
ts_status tune_rules(const tune_cases *c, pool *p, tuning *out, ts_error *error);

/* Can all these model files be read, and written again? To be called before the work. */
ts_status tune_check_models(const string_list *paths, ts_error *error);
/* Writes the rules into model files. */
ts_status tune_write_models(const string_list *paths, const model_rules *rules, ts_error *error);

#endif
